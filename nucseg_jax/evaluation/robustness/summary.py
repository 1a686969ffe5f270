"""The summary of all cells: mean corrupted Dice, retained share, mCE, with intervals by the bootstrap over images.

Letters as in `evaluation.bootstrap`: N images, B resamples; M cells, the clean one first.

    mean corrupted   mean over kinds of the mean over severities of the micro Dice
    retained         mean corrupted / clean
    mCE              mean over kinds of (sum over severities of 1 - Dice) / (the baseline's), as ImageNet-C (Hendrycks &
                     Dietterich 2019) has it of classification errors; 1 = as the baseline

All rows, and the differences of a run and its baseline, are computed on the same resamples.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nucseg_jax.evaluation.bootstrap import (
    Statistic,
    bootstrap_intervals,
    of_annotated_patches,
    pooled_dice,
    with_differences,
)
from nucseg_jax.evaluation.robustness.cell_scores import COLUMNS, CellScores
from nucseg_jax.evaluation.robustness.cells import Cell

CLEAN_ROW, MEAN_ROW, RETAINED_ROW = "clean", "mean_corrupted", "retained"
MCE = "mce"


def summarise(
    cells: Sequence[Cell], counts: np.ndarray, baseline: np.ndarray | None = None
) -> dict[str, Any]:
    """Summarises the cells of a run, and compares them with a baseline's.

    Args:
      cells: M, the clean one first.
      counts: int64 [M, N, 4], TP, FP, FN, TN of each cell and image.
      baseline: the same of the baseline, on the same images.

    Returns:
      JSON values: `run` {row: {estimate, low, high}} with the rows clean, mean_corrupted, retained and each kind's mean
      over severities; `worst_kind`, the lowest of these, None where none is defined; with a baseline also `baseline`
      and `difference` (run - baseline), each like `run`, and `mce`. Without a corrupted cell `run`, `baseline` and
      `difference` have the row clean alone. What is undefined is None.
    """
    kinds = kinds_of(cells)
    names = [CLEAN_ROW, MEAN_ROW, RETAINED_ROW, *kinds] if kinds else [CLEAN_ROW]
    given = [counts] if baseline is None else [counts, baseline]
    # [1, N, M, 4]: one run, and cells in the place of classes.
    annotated = of_annotated_patches([np.moveaxis(each, 0, 1)[None] for each in given])
    rows = [functools.partial(cell_rows, cells, each) for each in annotated]
    statistic = with_differences(rows, [] if baseline is None else [(0, 1)])
    if baseline is not None and kinds:
        statistic = _also(statistic, functools.partial(corruption_error, cells, *annotated))
    found = bootstrap_intervals(statistic, annotated[0].shape[1])
    entries = [
        dict(zip(("estimate", "low", "high"), map(_defined, values), strict=True))
        for values in zip(*found, strict=True)
    ]
    blocks = ["run"] if baseline is None else ["run", "baseline", "difference"]
    summary: dict[str, Any] = {
        block: dict(zip(names, entries[number * len(names) :], strict=False))
        for number, block in enumerate(blocks)
    }
    if baseline is not None and kinds:
        summary[MCE] = entries[-1]
    if kinds:
        means = {kind: summary["run"][kind]["estimate"] for kind in kinds}
        defined = {kind: mean for kind, mean in means.items() if mean is not None}
        summary["worst_kind"] = min(defined, key=lambda kind: defined[kind], default=None)
    return summary


def kinds_of(cells: Sequence[Cell]) -> list[str]:
    """Returns the kinds of the cells, each once, in their order."""
    return list(dict.fromkeys(cell.kind for cell in cells if cell.severity))


def mean_scores(cells: Mapping[Cell, CellScores]) -> dict[str, dict[str, float | None]]:
    """Computes the means of every score, as the mean corrupted Dice is.

    Args:
      cells: the clean one first.

    Returns:
      {score: {clean, mean_corrupted}}; None without a corrupted cell, and where a cell's score is undefined.
    """
    kinds = kinds_of(list(cells))

    def mean_of(column: str) -> float | None:
        by_kind = [
            [scores.scores[column] for cell, scores in cells.items() if cell.kind == kind] for kind in kinds
        ]
        means = [np.mean(np.array(values, float)) for values in by_kind]
        return _defined(np.mean(means)) if means else None

    clean = next(iter(cells.values())).scores
    return {column: {CLEAN_ROW: clean[column], MEAN_ROW: mean_of(column)} for column in COLUMNS}


def cell_rows(cells: Sequence[Cell], counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Computes the rows of `summarise` from resamples.

    Args:
      cells: M.
      counts: int64 [1, N, M, 4].
      weights: float64 [B, N].

    Returns:
      float64 [3 + kinds, B], or [1, B] without a corrupted cell.
    """
    dice = pooled_dice(counts, weights)
    clean, by_kind = dice[0], _by_kind(cells, dice)
    if not by_kind:
        return np.asarray(clean[None])
    means = np.stack([of_kind.mean(axis=0) for of_kind in by_kind])
    mean = means.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([clean, mean, mean / clean, *means])


def corruption_error(
    cells: Sequence[Cell], counts: np.ndarray, baseline: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Computes the mCE from resamples; arguments as in `cell_rows`, float64 [1, B]."""
    errors, others = (
        np.stack([(1.0 - of_kind).sum(axis=0) for of_kind in _by_kind(cells, pooled_dice(each, weights))])
        for each in (counts, baseline)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: np.ndarray = (errors / others).mean(axis=0, keepdims=True)
    return ratio


def _by_kind(cells: Sequence[Cell], dice: np.ndarray) -> list[np.ndarray]:
    """[M, B] to a list of [severities, B], one for each kind."""
    return [
        dice[[number for number, cell in enumerate(cells) if cell.kind == kind]] for kind in kinds_of(cells)
    ]


def _also(first: Statistic, second: Statistic) -> Statistic:
    return lambda weights: np.concatenate([first(weights), second(weights)])


def _defined(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
