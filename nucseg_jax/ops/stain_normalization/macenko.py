"""Macenko et al. 2009: the two stains of an image by its optical densities, exchanged for those of the target.

Densities of tissue lie near a plane, spanned by the first two eigenvectors of their covariance. In it the stains are
the directions at the 1st and 99th percentile of the angles, and their strengths the 99th percentile of their amounts,
all of them over pixels of tissue, so that the share of background does not matter. The part of a density that lies
outside of the plane is kept, as in HistomicsTK; in other codes it is lost. White stays white.

All densities are to base 10. Another base would change each of them by the same factor: of what is computed here
only the threshold of tissue depends on it.
"""

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

import jax
import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.ops.stain import optical_density, transmitted
from nucseg_jax.ops.stain_normalization.mixing import mixed
from nucseg_jax.ops.stain_normalization.tissue import has_enough, is_tissue

Array = TypeVar("Array", np.ndarray, jax.Array)

_ANGLES = (0.01, 0.99)
_STRENGTH = 0.99
# Of the squared sine between both stains: below 2 degrees they are one.
_LEAST_SQUARED_SINE = 1e-3
# Of the strength of a stain; below it, noise would be multiplied.
_LEAST_STRENGTH = 0.01
# Pixels that are kept of all images together where they are pooled: 12 MB.
_POOL_PX = 1 << 22


class Stains(NamedTuple, Generic[Array]):
    """The stains of an image.

    Attributes:
      vectors: float [2, 3], optical density of a unit of each in red, green and blue, of length 1; haematoxylin, which
        absorbs more of the red, first.
      strengths: float [2], amounts that 99 % of the tissue do not exceed.
      is_usable: bool [], False where the image has too little tissue or one stain alone; it is then left as it is.
    """

    vectors: Array
    strengths: Array
    is_usable: Array


def statistics(image: Array) -> Stains[Array]:
    """Measures an image, uint8 [H, W, 3]: in float64 an array of numpy, in float32 one of JAX."""
    density = optical_density(image.astype(float)).reshape(-1, 3)
    return _of_densities(density, is_tissue(density))


def apply(image: Array, of_image: Stains[Array], target: Stains[Array]) -> Array:
    """Exchanges the stains of pixels for the target's.

    Args:
      image: uint8 [H, W, 3], an image or part of it.
      of_image: statistics of the whole image.
      target: usable ones.

    Returns:
      uint8 [H, W, 3]; `image` itself where `of_image` is not usable.
    """
    xp = image.__array_namespace__()
    usable = xp.asarray(of_image.is_usable)
    vectors = xp.where(usable, of_image.vectors, target.vectors)
    strengths = xp.where(usable, of_image.strengths, target.strengths)
    factors = xp.concatenate([target.strengths / strengths, xp.ones(1)])
    matrix = mixed(_unmixing(vectors) * factors, _with_normal(xp.asarray(target.vectors)))
    density = mixed(optical_density(image.astype(xp.float32)), matrix)
    level = xp.rint(xp.clip(transmitted(density), min=0.0, max=255.0)).astype(xp.uint8)
    changed: Array = xp.where(usable, level, image)
    return changed


def pooled(images: Iterable[np.ndarray], count: int) -> Stains[np.ndarray]:
    """Measures images together, by every k-th pixel of the tissue of each, so that their number is bounded.

    Args:
      images: uint8 [H, W, 3] each; those that are hardly tissue are left out.
      count: how many there are.

    Raises:
      UserError: none of them has tissue, or all have one stain alone.
    """
    most = max(1, _POOL_PX // max(count, 1))
    kept = []
    for image in images:
        tissue = is_tissue(optical_density(image.astype(np.float32)))
        if has_enough(tissue):
            pixels = image[tissue]
            kept.append(pixels[:: -(-len(pixels) // most)])
    found = statistics(np.concatenate(kept)[None]) if kept else None
    if found is None or not found.is_usable:
        raise UserError(
            "the images have no two stains to normalise others to: they are blank, or of one colour",
            expected="images of tissue with two stains, such as haematoxylin and eosin",
        )
    return found


def _of_densities(density: Array, tissue: Array) -> Stains[Array]:
    """Finds the stains of pixels, float [P, 3], where bool [P] is True."""
    xp = density.__array_namespace__()
    number = xp.maximum(tissue.sum(), 1)
    mean = xp.where(tissue[:, None], density, 0.0).sum(axis=0) / number
    apart = xp.where(tissue[:, None], density - mean, 0.0)
    # Ascending eigenvalues: the plane of the last two.
    plane = xp.linalg.eigh(_second_moments(apart) / number)[1][:, 1:]
    # Angles are measured from the mean, so that no sign of an eigenvector matters, and none is near a half turn.
    along = _unit(mixed(mean, plane))
    across = xp.stack([-along[1], along[0]])
    axes = xp.stack([mixed(along, plane.T), mixed(across, plane.T)])
    seen = mixed(density, axes.T)
    angle = xp.arctan2(seen[:, 1], seen[:, 0])
    ends = [
        xp.cos(end) * axes[0] + xp.sin(end) * axes[1]
        for end in (_quantile(angle, tissue, share) for share in _ANGLES)
    ]
    is_first = ends[0][0] > ends[1][0]
    vectors = xp.stack([xp.where(is_first, *ends), xp.where(is_first, *ends[::-1])])
    squared_sine = _squared_sine(vectors)
    is_apart = squared_sine > _LEAST_SQUARED_SINE
    safe = xp.where(is_apart, vectors, xp.eye(2, 3, dtype=density.dtype))
    amounts = mixed(density, _unmixing(safe))
    strengths = xp.stack([_quantile(amounts[:, stain], tissue, _STRENGTH) for stain in (0, 1)])
    usable = has_enough(tissue) & is_apart & (strengths > _LEAST_STRENGTH).all()
    return Stains(vectors, strengths, usable)


def _second_moments(apart: Array) -> Array:
    """Sums of products of channels, [P, 3] to [3, 3], in full precision on every device."""
    xp = apart.__array_namespace__()
    moments: Array = xp.stack([(apart * apart[:, index : index + 1]).sum(axis=0) for index in range(3)])
    return moments


def _quantile(values: Array, mask: Array, share: float) -> Array:
    """Interpolates linearly between the values [P] where a mask is True, as `numpy.quantile` does; 0 of none."""
    xp = values.__array_namespace__()
    number = mask.sum()
    ordered = xp.sort(xp.where(mask, values, xp.inf))
    position = share * xp.maximum(number - 1, 0)
    below = xp.floor(position).astype(int)
    above = xp.minimum(below + 1, xp.maximum(number - 1, 0))
    low, high = (xp.where(number > 0, ordered[index], 0.0) for index in (below, above))
    between: Array = low + (high - low) * (position - below)
    return between


def _unit(vector: Array) -> Array:
    """Returns a vector at length 1; of one without a length, the first axis."""
    xp = vector.__array_namespace__()
    length = xp.sqrt((vector * vector).sum())
    first = xp.asarray([1.0] + [0.0] * (vector.shape[0] - 1), dtype=vector.dtype)
    unit: Array = xp.where(length > 0, vector / xp.where(length > 0, length, 1.0), first)
    return unit


def _squared_sine(vectors: Array) -> Array:
    squared: Array = 1.0 - (vectors[0] * vectors[1]).sum() ** 2
    return squared


def _with_normal(vectors: Array) -> Array:
    """Adds the direction across both stains, of length 1: [2, 3] to [3, 3]."""
    xp = vectors.__array_namespace__()
    normal = xp.linalg.cross(vectors[0], vectors[1])
    rows: Array = xp.concatenate([vectors, _unit(normal)[None]])
    return rows


def _unmixing(vectors: Array) -> Array:
    """Inverts `_with_normal`: densities times [3, 3] are the amounts of both stains, and what lies across them."""
    xp = vectors.__array_namespace__()
    first, second = vectors
    cosine = (first * second).sum()
    scale = _squared_sine(vectors)
    columns: Array = xp.stack(
        [(first - cosine * second) / scale, (second - cosine * first) / scale, _with_normal(vectors)[2]],
        axis=1,
    )
    return columns
