"""The scores of one cell, and the counts of its images from which intervals are computed."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from nucseg_jax.core.results import Scores
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.evaluation.calibration import expected_calibration_error
from nucseg_jax.evaluation.robustness.cells import Cell
from nucseg_jax.evaluation.split_scores import SplitScores

# Column and its place in a split's entry of results.json; see `scores` and `instances.instance_scores`.
_PLACES: Mapping[str, tuple[str, ...]] = {
    "dice_micro": ("micro", "dice"),
    "iou_micro": ("micro", "iou"),
    "dice_image": ("image_skip", "dice"),
    "iou_image": ("image_skip", "iou"),
    "bpq_image": ("instances", "image", "bpq"),
    "mpq_image": ("instances", "image", "mpq"),
    "detection_f1_pooled": ("instances", "pooled", "detection_f1"),
}
# Of `calibration.expected_calibration_error`, which results.json does not hold.
CALIBRATION = "calibration_error"
COLUMNS = (*_PLACES, CALIBRATION)


@dataclasses.dataclass(frozen=True)
class CellScores:
    """One cell of one model on one split.

    Attributes:
      scores: by `COLUMNS`; None where undefined or not scored.
      counts: int64 [N, 4], TP, FP, FN, TN of nucleus against background, images in the order of the split.
    """

    scores: Scores
    counts: np.ndarray

    @classmethod
    def of(cls, scored: SplitScores) -> "CellScores":
        """Takes what a cell keeps from the scores of a split."""
        scores = {column: _at(scored.result, place) for column, place in _PLACES.items()}
        scores[CALIBRATION] = expected_calibration_error(scored.levels)
        return cls(scores, scored.counts.counts[:, 0].astype(np.int64))

    def as_json(self, cell: Cell) -> JsonObject:
        """Returns JSON values, with the strength and the unit that the cell had."""
        return {
            "cell": cell.name,
            "value": cell.value,
            "unit": cell.unit,
            "scores": self.scores,
            "counts": self.counts.tolist(),
        }

    @classmethod
    def from_json(cls, values: JsonObject, cell: Cell) -> "CellScores":
        """Reads what `as_json` gave.

        Raises:
          ValueError, KeyError, TypeError: it is none, or of another cell, strength or unit.
        """
        for name, expected in (("cell", cell.name), ("value", cell.value), ("unit", cell.unit)):
            if values[name] != expected:
                raise ValueError(f"its {name} is {values[name]!r}, and not {expected!r}")
        counts = np.array(values["counts"], np.int64)
        if counts.ndim != 2 or counts.shape[1] != 4:
            raise ValueError("its counts are not four numbers for each image")
        return cls({column: values["scores"][column] for column in COLUMNS}, counts)


def _at(entry: Any, place: tuple[str, ...]) -> float | None:
    for key in place:
        if key not in entry:
            return None
        entry = entry[key]
    value: float | None = entry
    return value
