"""Between a source's pixels and the model's: Pillow's antialiased triangle filter, region by region.

Downwards it averages over the area that a new pixel covers, upwards it is bilinear. A region comes out as it would of
the whole image: what the filter needs around it is read with it.
"""

import dataclasses
import math

import numpy as np
from PIL import Image

from nucseg_jax.images.source import Source

_FILTER = Image.Resampling.BILINEAR


@dataclasses.dataclass(frozen=True)
class ModelView:
    """A source on the model's grid.

    Attributes:
      source: the image.
      height, width: of the model's grid.
    """

    source: Source
    height: int
    width: int

    @property
    def is_identity(self) -> bool:
        """True if both grids are the same."""
        return (self.height, self.width) == (self.source.height, self.source.width)

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """uint8 [height, width, 3] of a region on the model's grid, inside the image."""
        if self.is_identity:
            return self.source.read(top, left, height, width)
        first_row, end_row, box_rows = _needed(top, height, self.source.height, self.height)
        first_column, end_column, box_columns = _needed(left, width, self.source.width, self.width)
        region = self.source.read(first_row, first_column, end_row - first_row, end_column - first_column)
        box = (box_columns[0], box_rows[0], box_columns[1], box_rows[1])
        return np.asarray(
            Image.fromarray(np.ascontiguousarray(region)).resize((width, height), _FILTER, box=box)
        )


def _needed(start: int, count: int, from_length: int, to_length: int) -> tuple[int, int, tuple[float, float]]:
    """First and end of the old pixels that `count` new ones from `start` take, and their span from the first on."""
    scale = from_length / to_length
    begin, end = start * scale, min((start + count) * scale, from_length)
    margin = math.ceil(max(scale, 1.0)) + 1
    first = max(0, math.floor(begin) - margin)
    last = min(from_length, math.ceil(end) + margin)
    return first, last, (begin - first, min(end - first, last - first))


class ToSourceGrid:
    """Takes bands of rows on the model's grid and gives them on the source's.

    Args:
      view: both grids.
      top: the first row of the source that is needed.
    """

    def __init__(self, view: ModelView, *, top: int = 0):
        self._view = view
        self._next = top
        # Rows on the model's grid that are still needed, and where they begin.
        self._held: np.ndarray | None = None
        self._held_top = 0

    def first_model_row(self) -> int:
        """The first row on the model's grid that is read for them."""
        if self._view.is_identity:
            return self._next
        return _needed(self._next, 1, self._view.height, self._view.source.height)[0]

    def push(self, top: int, band: np.ndarray) -> tuple[int, np.ndarray]:
        """Takes the next band.

        Args:
          top: its first row.
          band: float32 [h, width, F] on the model's grid, following the band before.

        Returns:
          First row, and float32 [h', W, F] on the source's grid; h' may be 0.
        """
        view = self._view
        if view.is_identity:
            skipped = max(self._next - top, 0)
            band = band[skipped:]
            start, self._next = self._next, self._next + len(band)
            return start, band
        if self._held is None or not len(self._held):
            self._held, self._held_top = band, top
        else:
            self._held = np.concatenate([self._held, band])
        available = self._held_top + len(self._held)
        start, end = self._next, self._next
        height, width = view.source.height, view.source.width
        if available == view.height:
            end = height
        else:
            # As far as the filter's margin lets; at most a pixel too few, which the next band brings.
            margin = math.ceil(max(view.height / height, 1.0)) + 1
            end = max(start, math.floor((available - margin - 1) * height / view.height))
        first, last, (box_top, box_bottom) = _needed(start, max(end - start, 1), view.height, height)
        if end == start:
            return start, np.zeros((0, width, band.shape[-1]), np.float32)
        held = self._held[first - self._held_top : last - self._held_top]
        box = (0, box_top, view.width, box_bottom)
        channels = [
            np.asarray(Image.fromarray(held[..., index]).resize((width, end - start), _FILTER, box=box))
            for index in range(held.shape[-1])
        ]
        self._next = end
        kept = max(self.first_model_row() - self._held_top, 0) if end < height else 0
        self._held, self._held_top = self._held[kept:], self._held_top + kept
        return start, np.stack(channels, axis=-1)
