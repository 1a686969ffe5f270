"""The folder that `robustness` writes: its tables and summary, which are never replaced by ones that tell less."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from nucseg_jax.cli.robustness_targets import Target
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.evaluation.robustness.cell_scores import CellScores
from nucseg_jax.evaluation.robustness.cells import Cell
from nucseg_jax.evaluation.robustness.measurement import (
    SUMMARY,
    read_measurement,
    strip_path,
    write_measurement,
)
from nucseg_jax.evaluation.robustness.summary import mean_scores, summarise
from nucseg_jax.evaluation.robustness.tables import ScoredSplit, cells_as_json, write_cells, write_images
from nucseg_jax.ops.corruptions.kinds import KINDS

RUN, BASELINE = "run", "baseline"


def refuse_to_narrow(out: pathlib.Path, kinds: Sequence[str], targets: Sequence[Target]) -> None:
    """Raises UserError if `out` holds a finished measurement with kinds, data or a baseline that would be left out.

    Args:
      out: of the command.
      kinds: that are measured.
      targets: of run and baseline.
    """
    try:
        before = read_measurement(out)
    except UserError:
        # Nothing that is whole: it is written again.
        return
    lost_kinds = [kind for kind in before.kinds if kind not in kinds]
    lost_data = [data for data in before.shifts if data not in [target.data for target in targets]]
    loses_baseline = before.has_baseline and all(target.role == RUN for target in targets)
    lost = [*lost_kinds, *lost_data, *(["the baseline"] if loses_baseline else [])]
    if not lost:
        return
    all_kinds = [kind for kind in KINDS if kind in (*kinds, *before.kinds)]
    flags = [f"--kinds={','.join(all_kinds)}"] if lost_kinds else []
    flags += [f"--data={data}" for data in lost_data]
    flags += ["--baseline=DIR as before"] if loses_baseline else []
    raise UserError(
        f"{out} holds a measurement with {', '.join(lost)}, which this command would leave out",
        expected="a command that measures all of it, or a new folder",
        advice=f"give {' '.join(flags)}, of which finished cells are kept, or choose another --out",
    )


def read_scored(targets: Sequence[Target], out: pathlib.Path) -> list[ScoredSplit]:
    """Reads the cells of all targets, in their order; all must be finished."""
    return [
        ScoredSplit(target.role, target.data, target.patches, _read_cells(target, out)) for target in targets
    ]


def outcome_of(targets: Sequence[Target], splits: Sequence[ScoredSplit], kinds: Sequence[str]) -> JsonObject:
    """Returns the content of summary.json: the corrupted split first, then each other data set.

    Args:
      targets: of the run, then of the baseline.
      splits: their scores.
      kinds: that were measured.
    """
    by_role = {
        role: [pair for pair in zip(targets, splits, strict=True) if pair[0].role == role]
        for role in (RUN, BASELINE)
    }
    runs, baselines = by_role[RUN], by_role[BASELINE]
    summaries = []
    for place, (_, scored) in enumerate(runs):
        both = [scored, *([baselines[place][1]] if baselines else [])]
        counts = [np.stack([scores.counts for scores in each.cells.values()]) for each in both]
        summaries.append(summarise(list(scored.cells), *counts))
    first = runs[0][0]
    shifts = {
        target.data: {**target.facts(), **summary}
        for (target, _), summary in zip(runs[1:], summaries[1:], strict=True)
    }
    about = {
        **first.about,
        **first.facts(),
        "kinds": list(kinds),
        "run": first.record.as_json(),
        "baseline": _baseline_facts(baselines[0][0]) if baselines else None,
    }
    return {
        "about": about,
        "cells": cells_as_json(splits),
        "means": {role: mean_scores(pairs[0][1].cells) for role, pairs in by_role.items() if pairs},
        "corruptions": summaries[0],
        "shifts": shifts,
    }


def write_outcome(out: pathlib.Path, splits: Sequence[ScoredSplit], outcome: JsonObject) -> None:
    """Writes cells.csv, per_image.csv and summary.json.

    Args:
      out: the folder; holds the pictures of all kinds.
      splits: scores of all targets.
      outcome: see `outcome_of`.
    """
    # An earlier one would be of other tables, if this ended half way.
    (out / SUMMARY).unlink(missing_ok=True)
    tables = [out / "cells.csv", out / "per_image.csv"]
    write_cells(tables[0], splits)
    write_images(tables[1], splits)
    pictures = [strip_path(out, kind) for kind in outcome["about"]["kinds"]]
    write_measurement(out, outcome, [*tables, *pictures])


def _read_cells(target: Target, out: pathlib.Path) -> Mapping[Cell, CellScores]:
    cells = {cell: target.store(out).read(cell) for cell in target.cells}
    found = {cell: scores for cell, scores in cells.items() if scores is not None}
    if len(found) < len(cells):
        raise RuntimeError(f"{counted(len(cells) - len(found), 'cell')} of {out} vanished meanwhile")
    return found


def _baseline_facts(target: Target) -> JsonObject:
    return {"path": str(target.folder.path), "run": target.record.as_json(), "is_seen": target.is_seen}
