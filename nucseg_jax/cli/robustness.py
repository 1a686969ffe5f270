"""`robustness`: a run on corrupted images and on other data sets, beside a baseline; finished cells are kept."""

import pathlib
from collections.abc import Sequence

import jax
from tqdm import tqdm

from nucseg_jax.cli.evaluate import refuse_another_model
from nucseg_jax.cli.robustness_folder import (
    BASELINE,
    RUN,
    outcome_of,
    read_scored,
    refuse_to_narrow,
    write_outcome,
)
from nucseg_jax.cli.robustness_model import OpenedRuns
from nucseg_jax.cli.robustness_table import robustness_tables
from nucseg_jax.cli.robustness_targets import Asked, Target, open_targets
from nucseg_jax.cli.views import views_text
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import full_disk_explained, own_files_explained
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.evaluation.overlays import save_png
from nucseg_jax.evaluation.robustness.cell_scores import CellScores
from nucseg_jax.evaluation.robustness.cells import CLEAN, cells_of
from nucseg_jax.evaluation.robustness.measurement import strip_path
from nucseg_jax.evaluation.robustness.strips import median_image, strip
from nucseg_jax.experiment import read_experiment_file
from nucseg_jax.model_folder.folder import refuse_model_folder
from nucseg_jax.ops.corruptions.kinds import KINDS
from nucseg_jax.run_folder.check import require_config
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.processes import silence_non_primary


def robustness(
    asked: Asked, workdir: pathlib.Path, baseline: pathlib.Path | None, out: pathlib.Path | None
) -> None:
    """Scores all cells that `out` lacks, writes its tables and pictures, and prints them.

    Args:
      asked: split, kinds and other data.
      workdir: the run.
      baseline: another run, or None.
      out: the folder to write; None = one inside the run, see `Target.default_out`.

    Raises:
      UserError: an unknown kind, no such run or data, patches that a run was trained on, or an `out` with cells of
        another run, split, number of views or package, with a measurement that tells more, or that cannot be written.
    """
    for kind in asked.kinds:
        if kind not in KINDS:
            raise UserError(
                f"there is no kind {kind!r}{did_you_mean(kind, KINDS)}",
                expected="some of " + ", ".join(KINDS),
            )
    kinds = [kind for kind in KINDS if kind in asked.kinds or not asked.kinds]
    silence_non_primary()
    for path in filter(None, (workdir, baseline)):
        refuse_model_folder(path)
    folder = RunFolder(workdir)
    require_config(folder)
    trained = read_experiment_file(folder.config)
    if asked.experiment is not None:
        refuse_another_model(trained, asked.experiment, folder)
    models = {RUN: workdir} if baseline is None else {RUN: workdir, BASELINE: baseline}
    targets = [
        target
        for role, path in models.items()
        for target in open_targets(role, path, asked, asked.experiment or trained, cells_of(kinds))
    ]
    out = out or targets[0].default_out()
    for target in targets:
        target.store(out).require_same()
    refuse_to_narrow(out, kinds, targets)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out} cannot be made: {error.strerror}",
            expected="a folder that can be written",
            advice="choose another --out",
        ) from None
    advice = "free some space and rerun the same command to resume"
    with full_disk_explained(out, advice=advice), own_files_explained(out):
        runs = OpenedRuns(asked.views)
        _score_missing(targets, runs, asked.views, out)
        if jax.process_index() == 0:
            splits = read_scored(targets, out)
            outcome = outcome_of(targets, splits, kinds)
            # Before the pictures: this is what the user waits for.
            print(robustness_tables(splits, outcome), flush=True)
        _draw_missing(targets[0], runs, kinds, out)
        if jax.process_index() == 0:
            write_outcome(out, splits, outcome)
            print(f"\nwritten to {out}")


def _score_missing(targets: Sequence[Target], runs: OpenedRuns, views: int, out: pathlib.Path) -> None:
    # Looked up before any is written, so that all processes find the same.
    missing = [
        (target, cell) for target in targets for cell in target.cells if target.store(out).read(cell) is None
    ]
    if not missing:
        return
    total = sum(len(target.cells) for target in targets)
    print(f"{counted(len(missing), 'cell')} of {total:,} to score{views_text(views)}", flush=True)
    with tqdm(missing, unit="cell", dynamic_ncols=True, disable=None) as bar:
        for target, cell in bar:
            bar.set_description(f"{target.role}, {target.data}, {cell.name}")
            scores = CellScores.of(runs.split(target).score(cell))
            if jax.process_index() == 0:
                target.store(out).write(cell, scores)


def _draw_missing(target: Target, runs: OpenedRuns, kinds: Sequence[str], out: pathlib.Path) -> None:
    missing = [kind for kind in kinds if not strip_path(out, kind).exists()]
    if not missing:
        return
    clean = target.store(out).read(CLEAN)
    assert clean is not None
    split = runs.split(target)
    position = median_image(clean.counts)
    for kind in tqdm(missing, "drawing", leave=False, unit="strip", dynamic_ncols=True, disable=None):
        picture = strip(split.evaluator, split.variables, split.data, split.split, position, kind)
        if jax.process_index() == 0:
            save_png(strip_path(out, kind), picture)
