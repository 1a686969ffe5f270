"""Robustness measurements of the run folders of `conftest.write_run`, written without a model."""

import json
import pathlib

import numpy as np
from PIL import Image

from nucseg_jax.evaluation.robustness.cell_scores import COLUMNS, CellScores
from nucseg_jax.evaluation.robustness.cells import CLEAN, Cell, cells_of
from nucseg_jax.evaluation.robustness.measurement import strip_path, write_measurement
from nucseg_jax.evaluation.robustness.summary import mean_scores, summarise
from nucseg_jax.evaluation.robustness.tables import ScoredSplit, cells_as_json, write_cells
from nucseg_jax.evaluation.scores import ratios
from tests.reporting.conftest import split_counts

KINDS = ("jpeg", "noise")
PATCHES = 24


def record_of(run: pathlib.Path) -> dict:
    """JSON values of the record that a checkpoint of the run would hold."""
    split = json.loads((run / "split.json").read_text())
    config = json.loads((run / "config.json").read_text())
    digests = {"split_digest": split["digest"], "data_digest": split["data_digest"]}
    return {"step": 50, "config": config, **digests, "scores": {}, "files": {}}


def scored_cell(seed: int, quality: float, *, nuclei: bool = False) -> CellScores:
    """Scores of a cell whose patches have that share of their nuclei found."""
    counts = split_counts("test", PATCHES, seed=seed, quality=quality).counts[:, 0].astype(np.int64)
    total = ratios(counts.sum(axis=0)[None])
    scores = dict.fromkeys(COLUMNS) | {
        "dice_micro": float(total["dice"][0]),
        "iou_micro": float(total["iou"][0]),
        "calibration_error": round(0.2 * (1 - quality), 6),
    }
    if nuclei:
        scores |= {"bpq_image": quality / 2, "detection_f1_pooled": quality}
    return CellScores(scores, counts)


def scored(cells: list[Cell], seed: int, quality: float, *, nuclei: bool = False) -> dict[Cell, CellScores]:
    """Cells whose quality falls by 3 % a severity, of noise by 6 %."""
    return {
        cell: scored_cell(
            seed, quality - (0.06 if cell.kind == "noise" else 0.03) * cell.severity, nuclei=nuclei
        )
        for cell in cells
    }


def write_robustness(
    run: pathlib.Path,
    folder: pathlib.Path | None = None,
    *,
    seed: int = 0,
    quality: float = 0.8,
    kinds: tuple[str, ...] = KINDS,
    baseline: pathlib.Path | None = None,
    other_data: str = "",
    nuclei: bool = False,
    about: dict | None = None,
) -> pathlib.Path:
    """A finished measurement of a run.

    Args:
      folder: to write; None = inside the run.
      baseline: a run that has .1 less of its nuclei found.
      other_data: name of another data set that was scored too.
      nuclei: with scores of nuclei.
      about: changes of what the measurement tells of itself.
    """
    folder = folder or run / "robustness" / "test-dddddddd-00000000-step50"
    cells = cells_of(kinds)
    record = record_of(run)
    patches = np.stack([np.full(PATCHES, 3), np.arange(PATCHES)], axis=1)
    own = [ScoredSplit("run", "test", patches, scored(cells, seed, quality, nuclei=nuclei))]
    others = [] if baseline is None else [scored(cells, seed + 7, quality - 0.1)]
    shifts = {}
    if other_data:
        shift = ScoredSplit("run", other_data, patches, scored([CLEAN], seed, quality - 0.3))
        own.append(shift)
        facts = {"data_name": "other", "images": PATCHES, "is_seen": False}
        shifts[other_data] = {**facts, **summarise([CLEAN], shift.cells[CLEAN].counts[None])}
    stacked = [np.stack([scores.counts for scores in each.values()]) for each in (own[0].cells, *others)]
    write_cells_and_strips(folder, own, kinds)
    outcome = {
        "about": {
            **{
                "split": "test",
                "images": PATCHES,
                "kinds": list(kinds),
                "is_seen": False,
                "views": 1,
                "eval": {},
            },
            **{"data_name": "PanNuke", "data_digest": record["data_digest"], "patches_digest": "p" * 64},
            **{"checkpoint_step": 50, "nucseg_jax": "0.1.0", "source_digest": "s" * 64, "run": record},
            "baseline": None
            if baseline is None
            else {"path": str(baseline), "run": record_of(baseline), "is_seen": False},
            **(about or {}),
        },
        "cells": cells_as_json(own),
        "means": {"run": mean_scores(own[0].cells)},
        "corruptions": summarise(cells, *stacked),
        "shifts": shifts,
    }
    write_measurement(folder, outcome, [folder / "cells.csv", *(strip_path(folder, kind) for kind in kinds)])
    return folder


def write_cells_and_strips(folder: pathlib.Path, splits: list[ScoredSplit], kinds: tuple[str, ...]) -> None:
    (folder / "strips").mkdir(parents=True)
    (folder / "scores").mkdir()
    write_cells(folder / "cells.csv", splits)
    for kind in kinds:
        Image.fromarray(np.full((20, 1616, 3), 200, np.uint8)).save(strip_path(folder, kind))
