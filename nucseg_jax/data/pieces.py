"""Nuclei in several pieces."""

import numpy as np
import skimage.measure

# A share of the nuclei, above which ids seem to mean something else; in PanNuke it is one in a thousand.
MOST_DISCONNECTED = 0.2


def count_disconnected(ids: np.ndarray) -> int:
    """Counts the ids of a map, integer [H, W] with 0 = background, that lie in more than one 8-connected piece.

    >>> count_disconnected(np.array([[1, 0, 1], [2, 2, 0]]))
    1
    """
    pieces, num_pieces = skimage.measure.label(ids, background=0, return_num=True, connectivity=2)
    if not num_pieces:
        return 0
    # Writing each pixel's id at its piece leaves one id a piece.
    owner = np.zeros(num_pieces + 1, np.int64)
    owner[pieces] = ids
    _, pieces_of_id = np.unique(owner[1:], return_counts=True)
    return int(np.count_nonzero(pieces_of_id > 1))
