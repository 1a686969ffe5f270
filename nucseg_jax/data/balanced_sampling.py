"""Probabilities by which patches of rare groups and with rare classes are trained on more often.

CellViT (arXiv:2306.15350), gamma in 0..1. Of P patches, n_g are of group g and n_c hold class c; K is the
sum of the n_c.

    w_group = P / (gamma n_g + (1 - gamma) P)
    w_class = (1 - gamma) max_c present_c + gamma sum_c present_c K / (gamma n_c + (1 - gamma) K)
    p       ~ w_group / max w_group + w_class / max w_class

A patch without any class has the least w_class of those with one, as in CellViT's code: gamma = 0 is uniform.
"""

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.class_presence import contents_of
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_store import PatchStore


def balanced_probability(group: np.ndarray, has_class: np.ndarray, *, gamma: float) -> np.ndarray:
    """Returns the probability of each patch, float64 [P]; sums to 1, none is 0.

    Args:
      group: int [P], >= 0.
      has_class: bool [P, C]; without a class (C = 0, or none in any patch) groups alone count.
      gamma: 0 = uniform, 1 = in full inverse proportion to counts.
    """
    weight = _inverse_frequency(np.bincount(group), len(group), gamma)[group]
    weight = weight / weight.max()
    counts = has_class.sum(axis=0)
    if counts.sum():
        of_classes = gamma * (has_class * _inverse_frequency(counts, int(counts.sum()), gamma)).sum(axis=1)
        of_classes += (1 - gamma) * has_class.any(axis=1)
        of_classes[of_classes == 0] = of_classes[of_classes > 0].min()
        weight = weight + of_classes / of_classes.max()
    return np.asarray(weight / weight.sum())


def _inverse_frequency(counts: np.ndarray, total: int, gamma: float) -> np.ndarray:
    # What no patch has gets some number; it is looked up by none.
    return np.asarray(total / (gamma * np.maximum(counts, 1) + (1 - gamma) * total))


def training_probability(
    patches: PatchStore, rows: np.ndarray, info: DatasetInfo, *, gamma: float
) -> np.ndarray:
    """Returns the probability of each training patch, float64 [P]; see `balanced_probability`.

    Args:
      patches: of the data set; read once if they are on disk.
      rows: int [P], rows of `patches` to train on.
      info: of the data set: its classes and groups.
      gamma: see `balanced_probability`.

    Raises:
      UserError: the training patches have one group and no class, or all the same ones: nothing to balance.
    """
    group, has_class = contents_of(patches, rows, len(info.class_names))
    if len(np.unique(group)) < 2 and len(np.unique(has_class, axis=0)) < 2:
        raise UserError(
            f"data.sampling is balanced, but all training patches have the same {info.group_noun} and the same"
            " classes",
            expected="training patches of several groups, or with different classes",
            advice="add --config.data.sampling=uniform",
        )
    return balanced_probability(group, has_class, gamma=gamma)
