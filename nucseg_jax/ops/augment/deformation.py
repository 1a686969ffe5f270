"""Larger or smaller, and bent: tissue at another magnification, stretched by the cut."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from nucseg_jax.ops.augment.geometry import Labels
from nucseg_jax.ops.augment.intensity import in_range

# Between two points of the grid whose displacements are drawn: a nucleus at .25 microns a px. Four times
# the largest displacement, so that no tissue is folded.
GRID_PX = 32


def random_deformation(
    image: jax.Array,
    label: Labels,
    keys: jax.Array,
    *,
    scale: float,
    elastic_px: float,
    outside: object,
) -> tuple[jax.Array, Labels]:
    """Applies `deformed` at each example's own `random_places`.

    Args:
      image: float32 [N, H, W, 3].
      label: integers [N, H, W], or a tree of such arrays; moves with the image.
      keys: typed random keys [N].
      scale: of `random_places`.
      elastic_px: of `random_places`.
      outside: of `deformed`.
    """
    size = (image.shape[1], image.shape[2])

    def places(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return random_places(key, size, scale=scale, elastic_px=elastic_px)

    return deformed(image, label, jax.vmap(places)(keys), outside=outside)


def random_places(
    key: jax.Array, size: tuple[int, int], *, scale: float, elastic_px: float
) -> tuple[jax.Array, jax.Array]:
    """Draws where each pixel of a deformed image is taken from.

    The image is magnified about its centre by a factor between 1 / (1 + scale) and 1 + scale, whose logarithm is
    uniform. Then the points of a grid, about `GRID_PX` apart, move by up to `elastic_px` down or up and right or left,
    each uniformly; what lies between them follows along cubic curves, by no more than that.

    Args:
      key: typed random key.
      size: height and width of the image in px.
      scale: 0 = the same size.
      elastic_px: 0 = not bent.

    Returns:
      Rows and columns, float32 [H, W] each; they may lie outside of the image.
    """
    for_scale, for_bend = jax.random.split(key)
    factor = jnp.exp(jax.random.uniform(for_scale, minval=-1.0, maxval=1.0) * math.log1p(scale))
    middle = jnp.array([(side - 1) / 2 for side in size])
    places = jnp.stack(jnp.mgrid[: size[0], : size[1]], axis=-1).astype(jnp.float32)
    places = middle + (places - middle) / factor
    if elastic_px:
        points = [max(2, round(side / GRID_PX)) for side in size]
        moves = jax.random.uniform(for_bend, (*points, 2), minval=-elastic_px, maxval=elastic_px)
        places += jnp.clip(jax.image.resize(moves, (*size, 2), "cubic"), -elastic_px, elastic_px)
    return places[..., 0], places[..., 1]


def deformed(
    image: jax.Array, label: Labels, places: tuple[jax.Array, jax.Array], *, outside: object
) -> tuple[jax.Array, Labels]:
    """Takes each pixel of image and label from its place.

    Args:
      image: float32 [N, H, W, 3], 0..255; linear between pixels, mirrored at the edge.
      label: integers [N, H, W], or a tree of such arrays: the nearest pixel.
      places: rows and columns, float32 [N, H, W] each.
      outside: for each array of `label` its value where a place lies outside. A mirrored nucleus would be in two places
        with one number.

    Returns:
      image and label of the same shapes and dtypes.
    """

    def linear(channel: jax.Array, at: tuple[jax.Array, jax.Array]) -> jax.Array:
        values: jax.Array = map_coordinates(channel, at, order=1, mode="mirror")
        return values

    def nearest(numbers: jax.Array, beyond: int) -> jax.Array:
        def of_one(one: jax.Array, at: tuple[jax.Array, jax.Array]) -> jax.Array:
            values: jax.Array = map_coordinates(one, at, order=0, mode="constant", cval=beyond)
            return values

        return jax.vmap(of_one)(numbers, places)

    moved: Labels = jax.tree.map(nearest, label, outside)
    # Rounding takes a mean of equal values beyond them.
    return in_range(jax.vmap(jax.vmap(linear, (-1, None), -1))(image, places)), moved
