"""The columns by which tables of a split name its patches."""

from collections.abc import Sequence

import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex

PLACES = ("image", "top", "left")


def patch_columns(
    position: np.ndarray, group: np.ndarray, patches: np.ndarray, *, info: DatasetInfo, index: PatchIndex
) -> dict[str, Sequence[int | str]]:
    """Returns the columns index, fold, row, the data set's word for a group, and `PLACES` if images are known.

    Args:
      position: integer [N], of each patch in the split's list.
      group: integer [N], position in the data set's `groups`.
      patches: integer [P, 2], (fold, row in the fold) of the whole split; `position` points into it.
      info: of the data set.
      index: of the data set.
    """
    listed = patches[position]
    columns: dict[str, Sequence[int | str]] = {
        "index": position.tolist(),
        "fold": listed[:, 0].tolist(),
        "row": listed[:, 1].tolist(),
        info.group_noun: [info.groups[number] for number in group],
    }
    if index.has_places:
        at = index.positions(listed)
        values = ([index.image[place] for place in at], index.top[at].tolist(), index.left[at].tolist())
        columns |= dict(zip(PLACES, values, strict=True))
    return columns
