"""More or less of each dye, as slides differ from one laboratory to the next (Tellez et al. 2018)."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.ops.augment.intensity import in_range, mixed
from nucseg_jax.ops.stain import RUIFROK_VECTORS, optical_density

_UNMIXING: np.ndarray = np.linalg.inv(RUIFROK_VECTORS)


def stain_jitter(image: jax.Array, keys: jax.Array, *, factor: float, offset: float) -> jax.Array:
    """Applies `adjusted_stain` with each example's own draws, uniform: factors in 1 -+ factor, offsets in -+ offset.

    Args:
      image: float32 [N, H, W, 3], 0..255.
      keys: typed random keys [N].
      factor: 0..1, 0 = off.
      offset: in units of optical density, 0 = off.
    """
    draws = jax.vmap(lambda key: jax.random.uniform(key, (2, 3), minval=-1.0, maxval=1.0))(keys)
    return adjusted_stain(image, factor=1.0 + factor * draws[:, 0], offset=offset * draws[:, 1])


def adjusted_stain(image: jax.Array, *, factor: jax.Array, offset: jax.Array) -> jax.Array:
    """Changes the amounts of haematoxylin, eosin and DAB to `amount * factor + offset`, in optical-density space.

    The offset fades to nothing towards white, in proportion to the light that a pixel absorbs, so that glass
    stays glass; published as `augment_background=False` of TIAToolbox, there with a hard mask.

    Args:
      image: float32 [N, H, W, 3], 0..255.
      factor: float32 [N, 3], one a dye, 1 = as it is.
      offset: float32 [N, 3], 0 = as it is.

    Returns:
      float32 [N, H, W, 3], 0..255; an unchanged stain leaves the image exactly as it is.
    """
    vectors, unmixing = (jnp.asarray(matrix, image.dtype) for matrix in (RUIFROK_VECTORS, _UNMIXING))
    # Unmixing, factor - 1 and mixing are one matrix an image.
    change = jnp.einsum("cs,ns,sd->ncd", unmixing, factor - 1.0, vectors, precision="highest")
    more = mixed(optical_density(image), change)
    absorbed = 1.0 - mixed(image, jnp.full((1, 3, 1), 1.0 / (3 * 255.0), image.dtype))
    added = jnp.einsum("ns,sd->nd", offset, vectors, precision="highest")[:, None, None, :]
    # exp took a tenth of the time of a power of 10 on CPU.
    return in_range(image * jnp.exp(-math.log(10.0) * (more + absorbed * added)))
