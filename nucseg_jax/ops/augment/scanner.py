"""White balance and gamma, as scanners differ; unlike stain, they tint glass too."""

import jax
import jax.numpy as jnp

from nucseg_jax.ops.augment.intensity import in_range

_WHITE = 255.0


def scanner_jitter(image: jax.Array, keys: jax.Array, *, white_balance: float, gamma: float) -> jax.Array:
    """Applies `rescanned` with each example's own draws: logarithms of gains in -+ white_balance, of gamma in -+ gamma.

    Args:
      image: float32 [N, H, W, 3], 0..255.
      keys: typed random keys [N].
      white_balance, gamma: 0..1, 0 = off.
    """
    draws = jax.vmap(lambda key: jax.random.uniform(key, (4,), minval=-1.0, maxval=1.0))(keys)
    return rescanned(image, log_gain=white_balance * draws[:, :3], log_gamma=gamma * draws[:, 3])


def rescanned(image: jax.Array, *, log_gain: jax.Array, log_gamma: jax.Array) -> jax.Array:
    """Changes intensities to 255 (I / 255)^gamma, times a gain of each channel.

    Args:
      image: float32 [N, H, W, 3], 0..255.
      log_gain: float32 [N, 3], natural logarithms of red, green and blue; 0 = as it is.
      log_gamma: float32 [N]; 0 = as it is.

    Returns:
      float32 [N, H, W, 3], 0..255.
    """
    exponent = jnp.exp(log_gamma)[:, None, None, None]
    gain = jnp.exp(log_gain)[:, None, None, :]
    return in_range(_WHITE * (image / _WHITE) ** exponent * gain)
