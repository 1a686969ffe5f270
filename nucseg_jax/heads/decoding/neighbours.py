"""Index pairs that set each pixel beside a neighbour: all 8-connected pairs of an image, each once."""

import numpy as np

Index = slice | tuple[slice, slice]
# Of an image, each pixel and its neighbour: to the right, below, below and to the right, below and to the left.
NEIGHBOURS: tuple[tuple[Index, Index], ...] = (
    (np.s_[:, :-1], np.s_[:, 1:]),
    (np.s_[:-1], np.s_[1:]),
    (np.s_[:-1, :-1], np.s_[1:, 1:]),
    (np.s_[:-1, 1:], np.s_[1:, :-1]),
)
