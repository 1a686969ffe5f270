"""Models of tests that are functions from images to logits."""

from flax import linen as nn

from nucseg_jax.ops.outputs import Outputs


class LogitsModel(nn.Module):
    """A model without an instance head; `__call__` gives its logits."""

    map_channels = 0

    def outputs(self, image, *, train):
        logits = self(image, train=train)
        return Outputs(logits=logits, nucleus=logits)
