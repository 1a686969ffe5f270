"""Target of stain normalisation: a method, and statistics that images are brought to by it.

    target = pooled_target("macenko", training_images, count)
    seen = target.normalized(images)  # in a compiled program, each image by its own statistics
    seen = target.apply(tile, target.statistics_of(slide))  # a part of an image too large to be changed whole

A new method is a module with `statistics`, `apply` and `pooled`, and a row of `METHODS`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nucseg_jax.ops.stain_normalization import macenko, reinhard

# Of one image: a NamedTuple of arrays, `reinhard.Moments` or `macenko.Stains`.
Statistics = Any


class Method(NamedTuple):
    """A row of `METHODS`.

    Attributes:
      kind: the NamedTuple that holds statistics; its last field is `is_usable`.
      shapes: of its other fields, in their order.
      statistics: an image, uint8 [H, W, 3], to statistics.
      apply: pixels uint8 [H, W, 3], statistics of their image and the target's, to pixels.
      pooled: images and their number to statistics of all together; NumPy alone.
    """

    kind: Callable[..., Statistics]
    shapes: Mapping[str, tuple[int, ...]]
    statistics: Callable[[Any], Statistics]
    apply: Callable[[Any, Statistics, Statistics], Any]
    pooled: Callable[[Iterable[np.ndarray], int], Statistics]


METHODS: Mapping[str, Method] = {
    "reinhard": Method(
        reinhard.Moments,
        {"mean": (3,), "deviation": (3,)},
        reinhard.statistics,
        reinhard.apply,
        reinhard.pooled,
    ),
    "macenko": Method(
        macenko.Stains,
        {"vectors": (2, 3), "strengths": (2,)},
        macenko.statistics,
        macenko.apply,
        macenko.pooled,
    ),
}


@dataclasses.dataclass(frozen=True, eq=False)
class StainTarget:
    """A method and the statistics that images are brought to.

    Attributes:
      method: a name of `METHODS`.
      statistics: usable ones, of NumPy arrays.
    """

    method: str
    statistics: Statistics

    def normalized(self, images: jax.Array) -> jax.Array:
        """Normalises images, uint8 [N, H, W, 3], each by its own statistics; for use inside a compiled program."""
        row = METHODS[self.method]
        changed: jax.Array = jax.vmap(lambda image: row.apply(image, row.statistics(image), self.statistics))(
            images
        )
        return changed

    def statistics_of(self, image: np.ndarray) -> Statistics:
        """Measures an image, uint8 [H, W, 3]; any arrangement of its pixels gives the same."""
        return METHODS[self.method].statistics(image)

    def apply(self, image: np.ndarray, of_image: Statistics) -> np.ndarray:
        """Normalises an image or part of it, uint8 [H, W, 3], by statistics of the whole."""
        changed: np.ndarray = METHODS[self.method].apply(image, of_image, self.statistics)
        return changed


def pooled_target(method: str, images: Iterable[np.ndarray], count: int) -> StainTarget:
    """Measures images together; the same images in the same order give the same target.

    Args:
      method: a name of `METHODS`.
      images: uint8 [H, W, 3] each.
      count: how many there are.

    Raises:
      UserError: none of them is tissue with stains.
    """
    return StainTarget(method, METHODS[method].pooled(images, count))
