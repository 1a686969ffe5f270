"""A model whose logits are divided by one number, so that its probabilities are shares (Guo et al. 2017, section 4.2).

The last convolution gives the logits, so that dividing its weights by the temperature divides them: the result is
variables of the same model, and whatever predicts, averages or exports with these is calibrated without knowing it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.core.arrays import Variables

LAST_CONVOLUTION = "head"


def with_temperature(variables: Variables, temperature: float, map_channels: int) -> Variables:
    """Divides the logits of a model by a temperature; maps of an instance head stay what they are.

    Args:
      variables: of a `models.segmenter.Segmenter`, on the host or on devices.
      temperature: above 0; more than 1 makes probabilities less extreme.
      map_channels: M of the model.

    Returns:
      Variables of the same model, of the same shapes and dtypes. The mask of one logit at a threshold of one half stays
      the same.

    Raises:
      ValueError: another temperature.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature is {temperature}; expected a number above 0")
    last = variables["params"][LAST_CONVOLUTION]
    channels = last["bias"].shape[-1]
    is_map = (np.arange(channels) >= 1) & (np.arange(channels) <= map_channels)
    factor = np.where(is_map, 1.0, 1.0 / temperature).astype(np.float32)

    def scaled(leaf: jax.Array) -> jax.Array:
        return jnp.asarray(leaf * factor, leaf.dtype)

    return {
        **variables,
        "params": {**variables["params"], LAST_CONVOLUTION: jax.tree.map(scaled, dict(last))},
    }
