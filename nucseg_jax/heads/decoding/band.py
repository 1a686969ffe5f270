"""A model's outputs on some rows of an image, in which nuclei are found: whole levels of a byte each."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nucseg_jax.heads.decoding.quantize import class_levels, map_levels
from nucseg_jax.ops.levels import any_nucleus, levels, lowest_nucleus_level


class Band(NamedTuple):
    """Outputs on h rows of an image, or on all of them.

    Attributes:
      level: uint8 [h, W], probability of any nucleus in 255ths; see `ops.levels.levels`.
      classes: uint8 [h, W], the likeliest class, 1..C; None without classes.
      maps: int8 [h, W, M], of the instance head; see `quantize.map_levels`; None without one.
      class_levels: uint8 [h, W, C], probability of each class in 255ths; None without an instance head or classes.
    """

    level: np.ndarray
    classes: np.ndarray | None = None
    maps: np.ndarray | None = None
    class_levels: np.ndarray | None = None

    def present(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields name and array of each that is not None."""
        yield from ((name, array) for name, array in self._asdict().items() if array is not None)


def to_band(values: np.ndarray, threshold: float, map_channels: int = 0) -> Band:
    """Rounds a model's outputs to levels.

    The level is at least `ops.levels.lowest_nucleus_level` exactly where a nucleus is more probable than the
    threshold.

    Args:
      values: float32 [h, W, F + M]: probability of each of F foreground classes, then the maps of the instance head.
      threshold: 0 <= threshold < 1, compared as a float32.
      map_channels: M.

    Raises:
      UserError: a map is not a number.
    """
    count = values.shape[-1] - map_channels
    foreground, maps = values[..., :count], values[..., count:]
    probability = any_nucleus(foreground)
    level = levels(probability, probability > threshold, lowest_nucleus_level(threshold))
    has_classes = count > 1
    return Band(
        level=level,
        classes=(foreground.argmax(axis=-1) + 1).astype(np.uint8) if has_classes else None,
        maps=map_levels(maps) if map_channels else None,
        class_levels=class_levels(foreground) if has_classes and map_channels else None,
    )
