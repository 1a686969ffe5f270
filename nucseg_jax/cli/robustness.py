"""`robustness`: a run on corrupted images and on other data sets, beside a baseline; finished cells are kept."""

import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from tqdm import tqdm

from nucseg_jax.cli.evaluate import refuse_another_model
from nucseg_jax.cli.robustness_model import Asked, OpenedRuns, Target, open_targets
from nucseg_jax.cli.robustness_table import robustness_tables
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import full_disk_explained, own_files_explained, write_json
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.evaluation.overlays import save_png
from nucseg_jax.evaluation.robustness.cell_scores import CellScores
from nucseg_jax.evaluation.robustness.cells import CLEAN, Cell, cells_of
from nucseg_jax.evaluation.robustness.strips import median_image, strip
from nucseg_jax.evaluation.robustness.summary import summarise
from nucseg_jax.evaluation.robustness.tables import ScoredSplit, write_cells, write_images
from nucseg_jax.experiment import read_experiment_file
from nucseg_jax.ops.corruptions.kinds import KINDS
from nucseg_jax.run_folder.check import require_config
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.processes import silence_non_primary

RUN, BASELINE = "run", "baseline"


def robustness(asked: Asked, workdir: pathlib.Path, baseline: pathlib.Path | None, out: pathlib.Path) -> None:
    """Scores all cells that `out` lacks, writes its tables and pictures, and prints them.

    Args:
      asked: split, kinds and other data.
      workdir: the run.
      baseline: another run, or None.
      out: the folder to write.

    Raises:
      UserError: an unknown kind, no such run or data, patches that a run was trained on, or an `out` with cells of
        another run, split or package, or that cannot be written.
    """
    for kind in asked.kinds:
        if kind not in KINDS:
            raise UserError(
                f"there is no kind {kind!r}{did_you_mean(kind, KINDS)}",
                expected="some of " + ", ".join(KINDS),
            )
    kinds = [kind for kind in KINDS if kind in asked.kinds or not asked.kinds]
    silence_non_primary()
    folder = RunFolder(workdir)
    require_config(folder)
    trained = read_experiment_file(folder.config)
    if asked.experiment is not None:
        refuse_another_model(trained, asked.experiment, folder)
    models = {RUN: workdir} if baseline is None else {RUN: workdir, BASELINE: baseline}
    targets = [
        target
        for role, path in models.items()
        for target in open_targets(role, path, asked, asked.experiment or trained, cells_of(kinds), out)
    ]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--out={out} cannot be made: {error.strerror}", expected="a folder that can be written"
        ) from None
    advice = "free some space and rerun the same command to resume"
    with full_disk_explained(out, advice=advice), own_files_explained(out):
        runs = OpenedRuns()
        _score_missing(targets, runs)
        if jax.process_index() == 0:
            _write_tables(targets, asked.split, out)
        _draw_missing(targets[0], runs, kinds, out / "strips")
    if jax.process_index() == 0:
        print(f"\nwritten to {out}")


def _write_tables(targets: Sequence[Target], split: str, out: pathlib.Path) -> None:
    scored = {
        role: [
            ScoredSplit(role, target.data, target.patches, _read_all(target))
            for target in targets
            if target.role == role
        ]
        for role in (RUN, BASELINE)
    }
    splits = [each for of_role in scored.values() for each in of_role]
    write_cells(out / "cells.csv", splits)
    write_images(out / "per_image.csv", splits)
    summary = _summary(scored[RUN], scored[BASELINE], split)
    write_json(out / "summary.json", summary)
    print(robustness_tables(splits, summary), flush=True)


def _score_missing(targets: Sequence[Target], runs: OpenedRuns) -> None:
    # Looked up before any is written, so that all processes find the same.
    missing = [
        (target, cell) for target in targets for cell in target.cells if target.store.read(cell) is None
    ]
    if not missing:
        return
    total = sum(len(target.cells) for target in targets)
    print(f"{counted(len(missing), 'cell')} of {total:,} to score", flush=True)
    with tqdm(missing, unit="cell", dynamic_ncols=True, disable=None) as bar:
        for target, cell in bar:
            bar.set_description(f"{target.role}, {target.data}, {cell.name}")
            scores = CellScores.of(runs.split(target).score(cell))
            if jax.process_index() == 0:
                target.store.write(cell, scores)


def _read_all(target: Target) -> Mapping[Cell, CellScores]:
    cells = {cell: target.store.read(cell) for cell in target.cells}
    return {cell: scores for cell, scores in cells.items() if scores is not None}


def _summary(runs: Sequence[ScoredSplit], baselines: Sequence[ScoredSplit], split: str) -> JsonObject:
    """Returns the content of summary.json: the corrupted split first, and each other data set."""
    pairs = zip(runs, baselines, strict=True) if baselines else ((of_run,) for of_run in runs)
    summaries = [
        summarise(
            list(pair[0].cells),
            *(np.stack([scores.counts for scores in scored.cells.values()]) for scored in pair),
        )
        for pair in pairs
    ]
    return {
        "split": split,
        "images": len(runs[0].patches),
        "corruptions": summaries[0],
        "shifts": dict(zip([of_run.data for of_run in runs[1:]], summaries[1:], strict=True)),
    }


def _draw_missing(target: Target, runs: OpenedRuns, kinds: Sequence[str], folder: pathlib.Path) -> None:
    missing = [kind for kind in kinds if not (folder / f"{kind}.png").exists()]
    if not missing:
        return
    clean = target.store.read(CLEAN)
    assert clean is not None
    split = runs.split(target)
    position = median_image(clean.counts)
    for kind in tqdm(missing, "drawing", leave=False, unit="strip", dynamic_ncols=True, disable=None):
        picture = strip(split.evaluator, split.variables, split.data, split.split, position, kind)
        if jax.process_index() == 0:
            save_png(folder / f"{kind}.png", picture)
