"""Nuclei in several pieces."""

import numpy as np
import skimage.measure

from nucseg_jax.core.counted import counted

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


def pieces_note(broken: int, nuclei: int) -> str:
    """Returns a sentence if so many of the nuclei lie in several pieces that their ids seem to mean something else."""
    if broken <= MOST_DISCONNECTED * nuclei:
        return ""
    return (
        f"{broken:,} of {counted(nuclei, 'nucleus')} lie in several pieces: the labels seem to hold classes, or one"
        " number for many nuclei, so that fewer nuclei are counted than there are."
    )
