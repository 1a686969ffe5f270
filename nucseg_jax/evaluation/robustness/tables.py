"""The CSV files of a robustness benchmark: a row for each cell, and one for each image of each cell.

    model,data,kind,severity,value,unit,images,dice_micro,...
    run,test,noise,3,12,standard deviation of 255,40,0.812345,...

An undefined score, and one that was not computed, is an empty cell.
"""

import csv
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.core.files import atomic_write
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.evaluation.per_image import CELLS, RATIOS
from nucseg_jax.evaluation.robustness.cell_scores import COLUMNS, CellScores
from nucseg_jax.evaluation.robustness.cells import Cell
from nucseg_jax.evaluation.scores import ratios


class ScoredSplit(NamedTuple):
    """All cells of one model on one split.

    Attributes:
      model: 'run' or 'baseline'.
      data: the split, or the data set that --data named.
      patches: int [N, 2], (fold, row) of its images.
      cells: scores by cell, the clean one first.
    """

    model: str
    data: str
    patches: np.ndarray
    cells: Mapping[Cell, CellScores]


def cells_as_json(splits: Sequence[ScoredSplit]) -> list[JsonObject]:
    """Returns a row for each cell, with exact scores."""
    return [
        {
            "model": split.model,
            "data": split.data,
            "kind": cell.kind,
            "severity": cell.severity,
            "value": cell.value,
            "unit": cell.unit,
            "images": len(split.patches),
            **{column: scores.scores[column] for column in COLUMNS},
        }
        for split in splits
        for cell, scores in split.cells.items()
    ]


def write_cells(path: pathlib.Path, splits: Sequence[ScoredSplit]) -> None:
    """Writes the rows of `cells_as_json`, atomically, scores with six decimals."""
    header = ("model", "data", "kind", "severity", "value", "unit", "images", *COLUMNS)
    rows = cells_as_json(splits)
    _write(
        path,
        header,
        (
            [
                _decimal(row[name]) if name in COLUMNS else "" if row[name] is None else row[name]
                for name in header
            ]
            for row in rows
        ),
    )


def write_images(path: pathlib.Path, splits: Sequence[ScoredSplit]) -> None:
    """Writes a row for each image of each cell, atomically; nucleus against background."""
    header = ("model", "data", "kind", "severity", "index", "fold", "row", *CELLS, *RATIOS)
    _write(path, header, (row for split in splits for row in _image_rows(split)))


def _image_rows(split: ScoredSplit) -> Iterable[Sequence[object]]:
    for cell, scores in split.cells.items():
        values = ratios(scores.counts)
        for index, (patch, counts) in enumerate(
            zip(split.patches.tolist(), scores.counts.tolist(), strict=True)
        ):
            yield (
                *(split.model, split.data, cell.kind, cell.severity, index, *patch, *counts),
                *("" if np.isnan(values[name][index]) else f"{values[name][index]:.6f}" for name in RATIOS),
            )


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _write(path: pathlib.Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
