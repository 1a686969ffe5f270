"""Flags of a sweep, and which of them go together; quick to import, since every start checks them."""

import dataclasses
from collections.abc import Sequence

from nucseg_jax.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class SweepFlags:
    """The flags of `train --sweep`, None where they are not given.

    Attributes:
      sweep: the file of the rows.
      list_rows: whether to show them.
      index: of the one row to train.
      executor: 'local' or 'slurm', that trains all rows.
      jobs: rows at once; of 'local'.
      slurm: options as in `sweep_slurm.slurm_parameters`; of 'slurm'.
    """

    sweep: str | None = None
    list_rows: bool = False
    index: int | None = None
    executor: str | None = None
    jobs: int | None = None
    slurm: Sequence[str] | None = None


def check_sweep_flags(flags: SweepFlags) -> None:
    """Raises UserError for flags of a sweep that do not go together."""
    modes = [
        name
        for name, is_given in (
            ("--list", flags.list_rows),
            ("--index", flags.index is not None),
            ("--executor", flags.executor is not None),
        )
        if is_given
    ]
    for name, value, executor in (("--jobs", flags.jobs, "local"), ("--slurm", flags.slurm, "slurm")):
        if value is not None and flags.executor != executor:
            raise UserError(
                f"{name} goes with --executor={executor}", advice=f"add that, or leave out {name}"
            )
    if flags.sweep is None and modes:
        raise UserError(
            f"{modes[0]} goes with --sweep", advice="add --sweep=FILE, such as configs/sweeps/seeds.py"
        )
    if flags.sweep is not None and len(modes) != 1:
        raise UserError(
            f"--sweep comes with {' and '.join(modes) or 'nothing that says what to do'}",
            expected="one of --list (shows the rows), --index=NUMBER (trains one row), --executor=local or"
            " --executor=slurm (trains all rows that are not finished)",
        )
