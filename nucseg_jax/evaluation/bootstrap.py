"""Uncertainty of scores from the choice of patches: the bootstrap (Efron & Tibshirani 1993).

Letters: N patches of a split, S runs of one configuration, B resamples, K statistics, 4 = (TP, FP, FN, TN).

    patches 0..N-1  --scipy.stats.bootstrap-->  B resamples of N patches, with replacement
                    --how often each was drawn-->  weights [B, N]  --statistic-->  [K, B]  --percentiles-->  [K]

A statistic sees weights, never patches, so whatever is computed at once is computed on the same resamples: the
runs of a configuration, and the configurations that are compared (a paired bootstrap). A pooled Dice is computed
from the pooled counts of each resample; it is not a mean over patches.

What no interval here covers: patches of one slide resemble each other, so that the true spread is wider; and only
the runs that were made are averaged, so that other seeds are another matter.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from nucseg_jax.evaluation.scores import ratios

CONFIDENCE = 0.95
RESAMPLES = 9_999
SEED = 0
# Limits memory: one batch holds weights of this many resamples.
_RESAMPLES_AT_ONCE = 500

# Weights float64 [B, N], how often each patch is drawn -> [K, B]; NaN where undefined.
Statistic = Callable[[np.ndarray], np.ndarray]

# (convention, metric) of `evaluation.scores` that intervals are given for.
MEASURES = (
    ("micro", "dice"),
    ("micro", "iou"),
    ("micro", "accuracy"),
    ("micro", "sensitivity"),
    ("image_skip", "dice"),
    ("image_skip", "iou"),
)


class Intervals(NamedTuple):
    """Estimates and intervals of K statistics: float64 [K] each, NaN where a statistic or its interval is undefined.

    Attributes:
      estimate: on the patches as they are.
      low, high: percentiles of the statistic over the resamples.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray


def bootstrap_intervals(
    statistic: Statistic,
    patches: int,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Intervals:
    """Percentile intervals; equal arguments give equal intervals.

    Percentiles and not BCa: they stay defined where all resamples agree, as between equal configurations.

    Args:
      statistic: of the weights of N patches.
      patches: N; with fewer than two there is nothing to resample and the intervals are NaN.
      confidence: 0..1.
      resamples: B.
      seed: of the resampling.
    """

    def of_rows(rows: np.ndarray, axis: int = -1) -> np.ndarray:
        """Rows drawn, [..., N] along `axis`, to [K, ...]."""
        del axis  # scipy hands the resampled axis last.
        values = statistic(draws_of_each(rows.reshape(-1, patches), patches))
        return values.reshape(len(values), *rows.shape[:-1])

    estimate = statistic(np.ones((1, patches)))[:, 0]
    if patches < 2:
        undefined = np.full_like(estimate, np.nan)
        return Intervals(estimate, undefined, undefined)
    with warnings.catch_warnings():
        # It speaks of BCa where a resample is undefined; the NaN shows it.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.arange(patches),),
            of_rows,
            vectorized=True,
            method="percentile",
            confidence_level=confidence,
            n_resamples=resamples,
            batch=_RESAMPLES_AT_ONCE,
            rng=np.random.default_rng(seed),
        )
    return Intervals(estimate, *found.confidence_interval)


def of_annotated_patches(counts: list[np.ndarray]) -> list[np.ndarray]:
    """Leaves out the patches without an annotated pixel, which no resample may draw.

    Args:
      counts: of each configuration, integer [S, N, ..., 4]; N is the same patches in all.
    """
    is_annotated = counts[0][0].reshape(counts[0].shape[1], -1).any(axis=1)
    return [of_runs[:, is_annotated] for of_runs in counts]


def draws_of_each(rows: np.ndarray, patches: int) -> np.ndarray:
    """Counts the draws of each patch: int [B, N] of patch numbers to float64 [B, N], each row adding up to N.

    >>> draws_of_each(np.array([[0, 0, 2]]), 3)
    array([[2., 0., 1.]])
    """
    offsets: np.ndarray = patches * np.arange(len(rows))[:, None]
    counts = np.bincount((rows + offsets).ravel(), minlength=len(rows) * patches)
    return counts.reshape(len(rows), patches).astype(np.float64)


def mean_scores(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The `MEASURES` of one configuration, mean over its runs.

    Args:
      counts: integer [S, N, 4], nucleus against background.
      weights: float64 [B, N].

    Returns:
      float64 [len(MEASURES), B], NaN where no patch that was drawn defines the measure.
    """
    runs = []
    for of_run in counts:
        # Exact: sums of integers below 2^53.
        pooled = ratios(np.rint(weights @ of_run.astype(np.float64)).astype(np.int64))
        has_truth = of_run[:, 0] + of_run[:, 2] > 0
        of_patches = ratios(of_run[has_truth])
        drawn = weights[:, has_truth]
        with np.errstate(invalid="ignore"):
            runs.append(
                [
                    pooled[metric]
                    if convention == "micro"
                    else drawn @ of_patches[metric] / drawn.sum(axis=1)
                    for convention, metric in MEASURES
                ]
            )
    scores: np.ndarray = np.mean(np.array(runs), axis=0)
    return scores


def pooled_dice(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Micro Dice of every class of one configuration, mean over its runs.

    Args:
      counts: integer [S, N, C, 4], each of C classes against all the rest.
      weights: float64 [B, N].

    Returns:
      float64 [C, B], NaN where in a run no patch that was drawn has the class, neither in truth nor in prediction.
    """
    # Exact, as above: [B, S, C, 4].
    pooled = np.rint(np.tensordot(weights, counts.astype(np.float64), axes=(1, 1))).astype(np.int64)
    dice: np.ndarray = ratios(pooled)["dice"].mean(axis=1)
    return dice.T


def comparison(configurations: list[np.ndarray], pairs: list[tuple[int, int]]) -> Statistic:
    """Scores of every configuration, and differences of pairs, on the same resamples.

    Args:
      configurations: C arrays of counts, integer [S, N, 4]; N is the same patches in all, S may differ.
      pairs: (minuend, subtrahend), positions in `configurations`.

    Returns:
      A statistic of K = (C + len(pairs)) * len(MEASURES): configurations first, then pairs, each with all
      `MEASURES` in order.
    """
    return with_differences([functools.partial(mean_scores, counts) for counts in configurations], pairs)


def with_differences(statistics: Sequence[Statistic], pairs: Sequence[tuple[int, int]]) -> Statistic:
    """Returns the statistic of C configurations and of differences of pairs, on the same resamples.

    Args:
      statistics: one of each configuration, all of K rows.
      pairs: (minuend, subtrahend), positions in `statistics`.

    Returns:
      (C + len(pairs)) * K rows: configurations first, then pairs.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        scores = [of_configuration(weights) for of_configuration in statistics]
        differences = [scores[first] - scores[second] for first, second in pairs]
        return np.concatenate([*scores, *differences])

    return statistic
