"""Kinds of errors of single nuclei: missed, extra, merged and split, for pictures.

Scores know matches alone (IoU > 1/2). A nucleus may be of two kinds: two truth nuclei below one predicted nucleus are
missed, and that one is extra and merged.
"""

from typing import NamedTuple

import numpy as np

from nucseg_jax.evaluation.instances.overlap import Overlap


class NucleusErrors(NamedTuple):
    """Errors of T truth and P predicted nuclei.

    Attributes:
      missed: bool [T], in no match.
      split: bool [T], of two or more predicted nuclei each has more than half of its pixels in it.
      extra: bool [P], in no match.
      merged: bool [P], it has more than half of the pixels of each of two or more truth nuclei.
    """

    missed: np.ndarray
    split: np.ndarray
    extra: np.ndarray
    merged: np.ndarray


def nucleus_errors(pairs: Overlap) -> NucleusErrors:
    """Finds the errors of an image.

    >>> from nucseg_jax.evaluation.instances.instance_map import instance_map
    >>> from nucseg_jax.evaluation.instances.overlap import overlap
    >>> truth, prediction = np.array([[1, 1, 2, 2, 3, 3]]), np.array([[5, 5, 5, 5, 7, 8]])
    >>> [kind.tolist() for kind in nucleus_errors(overlap(instance_map(truth), instance_map(prediction)))]
    [[True, True, True], [False, False, True], [True, True, True], [True, False, False]]
    """
    T, P = len(pairs.truth_px), len(pairs.prediction_px)
    missed, extra = np.ones(T, bool), np.ones(P, bool)
    missed[pairs.truth[pairs.is_match]] = False
    extra[pairs.prediction[pairs.is_match]] = False
    covers_truth = 2 * pairs.intersection_px > pairs.truth_px[pairs.truth]
    lies_in_truth = 2 * pairs.intersection_px > pairs.prediction_px[pairs.prediction]
    return NucleusErrors(
        missed=missed,
        split=np.bincount(pairs.truth[lies_in_truth], minlength=T) > 1,
        extra=extra,
        merged=np.bincount(pairs.prediction[covers_truth], minlength=P) > 1,
    )
