"""Instance maps in a canonical form: nuclei numbered without gaps, in the order of their first pixels.

Whatever ids a map comes with, its canonical form is the same, so that no metric depends on ids: where two nuclei tie,
the one whose first pixel (row by row) comes first is taken.

    ids      number        ids of 1, 2   area_px
    0 9 9    0 1 1         9, 4          3, 1
    4 0 9    2 0 1
"""

from typing import NamedTuple

import numpy as np

from nucseg_jax.core.errors import UserError

# Ids up to this multiple of the pixel count are looked up in a table; larger ones are sorted first.
_TABLE_SHARE = 4


class InstanceMap(NamedTuple):
    """The nuclei of one image, T of them.

    Attributes:
      number: int32 [H, W], 0 = background, 1..T.
      ids: int64 [T], the id of each in the map that was given.
      area_px: int64 [T], its pixels, at least 1.
    """

    number: np.ndarray
    ids: np.ndarray
    area_px: np.ndarray

    @property
    def nucleus_count(self) -> int:
        """T, the count of nuclei."""
        return len(self.ids)

    def centroids(self) -> np.ndarray:
        """Returns the mean (row, column) of the pixels of each nucleus, float64 [T, 2]; (0, 0) is the first pixel."""
        width = self.number.shape[1]
        flat = self.number.reshape(-1)
        pixel = np.flatnonzero(flat)
        numbers = flat[pixel] - 1
        sums = [
            np.bincount(numbers, weights=axis, minlength=self.nucleus_count)
            for axis in np.divmod(pixel, width)
        ]
        mean: np.ndarray = np.stack(sums, axis=1) / self.area_px[:, None]
        return mean

    def votes(self, label: np.ndarray, num_labels: int) -> np.ndarray:
        """Counts the labels below each nucleus.

        Args:
          label: integer [H, W], 0..num_labels-1.
          num_labels: L.

        Returns:
          int64 [T, L], pixels.
        """
        pixel = np.flatnonzero(self.number)
        code = (self.number.reshape(-1)[pixel].astype(np.int64) - 1) * num_labels + label.reshape(-1)[pixel]
        return np.bincount(code, minlength=self.nucleus_count * num_labels).reshape(
            self.nucleus_count, num_labels
        )

    def keep(self, is_kept: np.ndarray) -> "InstanceMap":
        """Returns the map with the nuclei where bool [T] is True; the others become background."""
        if is_kept.all():
            return self
        number_of = np.concatenate([[0], np.where(is_kept, np.cumsum(is_kept), 0)]).astype(np.int32)
        return InstanceMap(number_of[self.number], self.ids[is_kept], self.area_px[is_kept])


def instance_map(ids: np.ndarray, name: str = "the instance map") -> InstanceMap:
    """Brings a map of ids into its canonical form.

    Args:
      ids: integer [H, W], 0 = background; any other id is a nucleus, in one piece or several. Gaps are allowed.
      name: of the map, for errors.

    Raises:
      UserError: the map is not two-dimensional, not of integers, or has an id below 0 or above 2^63 - 1.

    >>> instance_map(np.array([[0, 9, 9], [4, 0, 9]], np.uint16)).number.tolist()
    [[0, 1, 1], [2, 0, 1]]
    """
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise UserError(
            f"{name} is {ids.dtype} {list(ids.shape)}", expected="integers [H, W], 0 = background"
        )
    flat = ids.reshape(-1)
    pixel = np.flatnonzero(flat)
    values = flat[pixel]
    if len(values) and (int(values.min()) < 0 or int(values.max()) > np.iinfo(np.int64).max):
        wrong = int(values.min()) if int(values.min()) < 0 else int(values.max())
        raise UserError(f"{name} has the id {wrong}", expected="0 = background, and ids from 1")
    values = values.astype(np.int64)
    known = None
    if len(values) and int(values.max()) > _TABLE_SHARE * len(flat):
        known, values = np.unique(values, return_inverse=True)
    first = np.full(int(values.max(initial=-1)) + 1, len(flat))
    np.minimum.at(first, values, pixel)
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < len(flat))]
    number_of: np.ndarray = np.zeros(len(first), np.int32)
    number_of[order] = np.arange(1, len(order) + 1)
    number: np.ndarray = np.zeros(len(flat), np.int32)
    number[pixel] = number_of[values]
    area = np.bincount(number[pixel], minlength=len(order) + 1)[1:]
    return InstanceMap(number.reshape(ids.shape), order if known is None else known[order], area)
