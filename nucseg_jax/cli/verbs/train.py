"""The verb `train`: its flags and its help."""

import dataclasses
import pathlib
import sys

import click

from nucseg_jax.cli.first_line import print_first_line
from nucseg_jax.cli.given_config import sweep_file
from nucseg_jax.cli.start import (
    Start,
    config_option,
    pass_start,
    process_options,
    start_jax,
    sweep_option,
    verb,
    workdir_option,
)
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import restart_words
from nucseg_jax.runtime.exit_when_preempted import leave_when_told


@dataclasses.dataclass(frozen=True)
class SweepFlags:
    """The flags of `train --sweep`; None = not given."""

    sweep: str | None = None
    list_rows: bool = False
    index: int | None = None
    executor: str | None = None
    jobs: int | None = None
    slurm: str | None = None


@verb(
    "train --config=quickstart --workdir=runs/quickstart\n"
    "train --config=quickstart --config.train.lr=3e-4 --workdir=runs/other\n"
    "train --config=quickstart --sweep=seeds --executor=local --workdir=runs/seeds"
)
@config_option
@workdir_option("The run folder; with --sweep the folder of its run folders.")
@click.option(
    "--verbose", is_flag=True, help="Print the scores of all splits in every convention at the end."
)
@sweep_option
@click.option("--list", "list_rows", is_flag=True, help="With --sweep: show the rows.")
@click.option("--index", type=int, help="With --sweep: train this row, in WORKDIR/LABEL.")
@click.option(
    "--executor",
    type=click.Choice(["local", "slurm"]),
    help="With --sweep: train all rows that are not finished.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="With --executor=local: rows that run together.  [default: 1]"
)
@click.option(
    "--slurm", metavar="NAME=VALUE,...", help="With --executor=slurm: partition=gpu,gres=gpu:1,time=MINUTES."
)
@process_options
@pass_start
def command(
    start: Start,
    config: str | None,
    workdir: str | None,
    verbose: bool,
    sweep: str | None,
    list_rows: bool,
    index: int | None,
    executor: str | None,
    jobs: int | None,
    slurm: str | None,
    distributed: bool,
    coordinator: str | None,
    processes: int | None,
    process_index: int | None,
) -> None:
    """Train, validate and test a model; the same command again resumes it.

    The run folder holds the config, metrics, checkpoints and results.json. With --sweep many models are trained.
    """
    flags = SweepFlags(sweep, list_rows, index, executor, jobs, slurm)
    check_sweep_flags(flags)
    is_alone = not (distributed or coordinator or processes or process_index is not None)
    # JAX notifies several processes itself; --executor ends its jobs itself.
    if executor is None and is_alone:
        leave_when_told()
    if sweep is not None:
        if config is not None:
            start.config(config).checked()
        file = sweep_file(sweep)
        if is_alone and config is not None and workdir and not list_rows:
            print_first_line(config, user_path(workdir), sweep=sweep, index=index)
        start_jax()
        start.join(distributed, coordinator, processes, process_index)
        train_sweep(start, config, workdir, file, flags)
        return
    given = start.config(config)
    given.checked()
    if not workdir:
        raise UserError("--workdir is missing", advice="add --workdir=runs/NAME")
    # Of several processes nobody knows yet which is the first.
    if is_alone:
        print_first_line(given.name, user_path(workdir))
    start_jax()
    start.join(distributed, coordinator, processes, process_index)
    experiment = given.experiment()

    from nucseg_jax.cli.train import train

    train(experiment, user_path(workdir), given.started_from(), verbose=verbose)


def check_sweep_flags(flags: SweepFlags) -> None:
    """Raises UserError for flags of a sweep that do not go together."""
    actions = {"--list": flags.list_rows or None, "--index": flags.index, "--executor": flags.executor}
    modes = [name for name, value in actions.items() if value is not None]
    for name, value, owner in (("--jobs", flags.jobs, "local"), ("--slurm", flags.slurm, "slurm")):
        if value is not None and flags.executor != owner:
            raise UserError(f"{name} goes with --executor={owner}", advice=f"add that, or leave out {name}")
    if flags.sweep is None and modes:
        raise UserError(
            f"{modes[0]} goes with --sweep", advice="add --sweep=FILE, such as configs/sweeps/seeds.py"
        )
    if flags.sweep is not None and len(modes) != 1:
        raise UserError(
            f"--sweep comes with {' and '.join(modes) or 'no flag that selects an action'}",
            expected="one of --list (shows the rows), --index=NUMBER (trains one row), --executor=local or"
            " --executor=slurm (trains all rows that are not finished)",
        )


def train_sweep(
    start: Start, config: str | None, workdir: str | None, file: pathlib.Path, flags: SweepFlags
) -> None:
    """Lists the rows of a sweep, trains one, or has all trained; exit status 1 if some failed."""
    from nucseg_jax.cli import sweep as sweeps
    from nucseg_jax.sweep import prepared_groups, read_sweep, row_experiments

    given = start.config(config) if config is not None or not flags.list_rows else None
    values = None if given is None else given.values.to_dict()
    sweep = read_sweep(file, None if values is None else lambda: prepared_groups(values))
    experiments = () if given is None or values is None else row_experiments(sweep, values, given.overrides)
    if flags.list_rows or given is None:
        sweeps.list_rows(sweep, user_path(workdir) if workdir else None)
        return
    if not workdir:
        raise UserError(
            "--workdir is missing", advice="add --workdir=runs/SWEEP, the folder of its run folders"
        )
    run = sweeps.SweepRun(sweep, experiments, user_path(workdir), given.started_from(), restart_words())
    if flags.index is not None:
        run.train_row(flags.index)
    elif flags.executor == "slurm":
        from nucseg_jax.cli.sweep_slurm import submit_to_slurm

        submit_to_slurm(run, flags.slurm or "")
    else:
        from nucseg_jax.cli.sweep_local import run_locally

        if not run_locally(run, jobs=flags.jobs or 1):
            sys.exit(1)
