"""`train --sweep`: trains one row of a sweep, or has all of them trained."""

import dataclasses
import pathlib
from collections.abc import Sequence

from nucseg_jax.cli.sweep import SweepRun
from nucseg_jax.cli.sweep_flags import SweepFlags
from nucseg_jax.cli.sweep_local import run_locally
from nucseg_jax.cli.sweep_slurm import submit_to_slurm
from nucseg_jax.cli.train import train
from nucseg_jax.experiment import Experiment
from nucseg_jax.run_folder.environment import StartedFrom
from nucseg_jax.sweep import Sweep


def train_sweep(
    sweep: Sweep,
    experiments: tuple[Experiment, ...],
    root: pathlib.Path,
    started_from: StartedFrom,
    flags: SweepFlags,
    *,
    program: Sequence[str],
) -> bool:
    """Trains one row, or starts or submits all that are not finished.

    Args:
      sweep: the rows.
      experiments: one a row.
      root: the folder of the run folders.
      started_from: config and command line, before any row.
      flags: with index or executor.
      program: the words that start this program, before the command.

    Returns:
      False if rows failed.

    Raises:
      UserError: there is no such row, or it or the executor cannot start.
    """
    if flags.index is not None:
        row = sweep.row(flags.index)
        of_row = dataclasses.replace(
            started_from,
            overrides={**started_from.overrides, **row.overrides},
            sweep={"file": str(sweep.file), "label": row.label, "index": flags.index},
        )
        train(experiments[flags.index], root / row.label, of_row)
        return True
    run = SweepRun(sweep, experiments, root, row_command(program, started_from, sweep.file, root))
    if flags.executor == "slurm":
        submit_to_slurm(run, flags.slurm or [])
        return True
    return run_locally(run, jobs=flags.jobs or 1)


def row_command(
    program: Sequence[str], started_from: StartedFrom, sweep: pathlib.Path, root: pathlib.Path
) -> tuple[str, ...]:
    """Returns the command that trains a row of a sweep once --index is added.

    >>> given = StartedFrom("configs/base.py", {"train.lr": 0.01})
    >>> " ".join(row_command(["launch.py"], given, pathlib.Path("rows.py"), pathlib.Path("runs")))
    'launch.py train --config=configs/base.py --config.train.lr=0.01 --sweep=rows.py --workdir=runs'
    """
    return (
        *(*program, "train"),
        f"--config={started_from.config}",
        *(f"--config.{field}={value}" for field, value in started_from.overrides.items()),
        f"--sweep={sweep}",
        f"--workdir={root}",
    )
