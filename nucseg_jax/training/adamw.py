"""AdamW, whose weight decay bypasses Adam's scaling (arXiv:1711.05101), for parameters of a `Segmenter`."""

from collections.abc import Sequence

import jax
import numpy as np
import optax

from nucseg_jax.core.arrays import Tree
from nucseg_jax.core.tree import mask_by_name
from nucseg_jax.training.optimizer import encoder_factor, frozen_left_out


def kernel_mask(params: Tree) -> Tree:
    """True at every kernel: biases, scales and layer scales do not decay."""
    return mask_by_name(params, lambda name: name.endswith("/kernel"))


def adamw_optimizer(
    *,
    lr: float,
    weight_decay: float,
    encoder_lr_factor: float = 1.0,
    frozen_stages: Sequence[str] = (),
    b1: float = 0.9,
    b2: float = 0.999,
    epsilon: float = 1e-7,
) -> optax.GradientTransformation:
    """Returns optax's AdamW: updates -lr * (Adam's direction + weight_decay * w), the decay on kernels alone.

    Args:
      lr: learning rate, >= 0.
      weight_decay: >= 0; what multiplies the learning rate multiplies the decay too, as in PyTorch.
      encoder_lr_factor: factor on the encoder's learning rate.
      frozen_stages: the encoder's stages (`model.encoder.stages`) with no updates and no moments.
      b1, b2: decays of Adam's moments, between 0 and 1.
      epsilon: added to the square root of the bias-corrected second moment.

    Returns:
      A transformation of `params` of a `Segmenter`; its `update` needs `params`.
    """
    adamw = optax.adamw(lr, b1=b1, b2=b2, eps=epsilon, weight_decay=weight_decay, mask=kernel_mask)
    optimizer = frozen_left_out(optax.chain(adamw, *encoder_factor(encoder_lr_factor)), frozen_stages)

    def init(params: optax.Params) -> optax.OptState:
        # Zeros all over. optax would compile a program for each shape.
        shapes = jax.eval_shape(optimizer.init, params)
        zeros: optax.OptState = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        return zeros

    return optax.GradientTransformation(init, optimizer.update)
