"""The class of a nucleus, from the classes of its pixels: one rule for scores and for files of nuclei."""

import numpy as np

from nucseg_jax.heads.decoding.band import Band


def class_votes(nuclei: np.ndarray, band: Band, *, first: int, count: int) -> np.ndarray | None:
    """Sums up what the pixels of each nucleus say about its class; the first of the largest is its class.

    With `band.class_levels` a pixel gives each class its probability; without them it gives its likeliest class 1.

    Args:
      nuclei: unsigned or int [h, W]: 0, or numbers from `first` to `first` + `count` - 1.
      band: outputs on the same pixels.
      first, count: see `nuclei`.

    Returns:
      int64 [count, C]; None without classes. Without `class_levels` C is the largest class that occurs, at least 1.
    """
    inside = nuclei > 0
    index = nuclei[inside].astype(np.int64) - first
    if band.class_levels is not None:
        seen = band.class_levels[inside]
        columns = [np.bincount(index, seen[:, number], minlength=count) for number in range(seen.shape[1])]
        return np.stack(columns, axis=-1).astype(np.int64)
    if band.classes is None:
        return None
    number = band.classes[inside].astype(np.int64)
    votes: np.ndarray = np.zeros((count, max(1, int(number.max(initial=0)))), np.int64)
    np.add.at(votes, (index[number > 0], number[number > 0] - 1), 1)
    return votes
