"""`train --sweep`: the rows of a sweep, the state of each, and the command that runs one."""

import dataclasses
import os
import pathlib

from nucseg_jax.cli.table import render
from nucseg_jax.cli.train import changes_since_start
from nucseg_jax.core.errors import UserError
from nucseg_jax.experiment import Experiment
from nucseg_jax.run_folder.check import read_results
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.command_job import CommandJob
from nucseg_jax.sweep import Row, Sweep

FINISHED, BEGUN, ABSENT = "finished", "begun", "-"


@dataclasses.dataclass(frozen=True)
class SweepRun:
    """A sweep and where its runs lie: ROOT/LABEL, with the output of each in ROOT/LABEL.log.

    Attributes:
      sweep: the rows.
      experiments: one a row.
      root: the folder of the run folders.
      command: trains a row, once --index is added.
    """

    sweep: Sweep
    experiments: tuple[Experiment, ...]
    root: pathlib.Path
    command: tuple[str, ...]

    def folder(self, index: int) -> RunFolder:
        """Returns the run folder of one row."""
        return RunFolder(self.root / self.sweep.rows[index].label)

    def log(self, index: int) -> pathlib.Path:
        """Returns the file of what one row prints, start after start."""
        return self.root / f"{self.sweep.rows[index].label}.log"

    def job(self, index: int, environment: dict[str, str | None] | None = None) -> CommandJob:
        """Returns the job that trains one row in a separate process."""
        command = (*self.command, f"--index={index}")
        return CommandJob(command, self.log(index).absolute(), environment or {})

    def missing(self) -> list[int]:
        """Returns the indices of rows without results."""
        return [index for index, row in enumerate(self.sweep.rows) if row_state(self.root, row) != FINISHED]

    def claim(self) -> None:
        """Makes the folder, and checks that what it holds are runs of these rows.

        Raises:
          UserError: it cannot be written, is a run folder itself, or a row was begun with another config.
        """
        if RunFolder(self.root).config.exists():
            raise UserError(
                f"{self.root} is the folder of one run", expected="a folder that holds one for each row"
            )
        for index, experiment in enumerate(self.experiments):
            folder = self.folder(index)
            changes = changes_since_start(experiment, folder)
            if changes:
                raise UserError(
                    f"{folder.path} was started with another config: " + "; ".join(changes),
                    advice="choose another --workdir, or keep the old values",
                )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.root} cannot be written: {error.strerror}", advice="choose another --workdir"
            ) from None
        if not os.access(self.root, os.W_OK):
            raise UserError(f"{self.root} cannot be written", advice="choose another --workdir")


def row_state(root: pathlib.Path, row: Row) -> str:
    """Returns 'finished', 'begun' or '-', by the files of its folder."""
    folder = RunFolder(root / row.label)
    if folder.results.exists():
        return FINISHED
    return BEGUN if folder.config.exists() else ABSENT


def shown_test_dice(folder: RunFolder) -> str:
    """Returns a finished run's test Dice, four decimals; '-' if there is none, a word if it was altered."""
    if not folder.results.exists():
        return ABSENT
    try:
        dice = read_results(folder)["test"]["micro"]["dice"]
        return ABSENT if dice is None else f"{dice:.4f}"
    except (UserError, KeyError, TypeError, ValueError):
        return "damaged"


def list_rows(sweep: Sweep, root: pathlib.Path | None) -> None:
    """Prints index, label and overrides of each row, and its state in `root` if there is one.

    An override that all rows have in common stands above the table.
    """
    print(f"{sweep.file}: {sweep.summary}" if sweep.summary else f"{sweep.file}")
    fields = list(dict.fromkeys(field for row in sweep.rows for field in row.overrides))
    shown = {field: [_shown(row, field) for row in sweep.rows] for field in fields}
    common = [field for field in fields if len(sweep.rows) > 1 and len(set(shown[field])) == 1]
    if common:
        print("all rows: " + "  ".join(f"{field}={shown[field][0]}" for field in common))
    columns = {
        "index": list(range(len(sweep.rows))),
        "label": [row.label for row in sweep.rows],
        **({"state": [row_state(root, row) for row in sweep.rows]} if root else {}),
        **{field: values for field, values in shown.items() if field not in common},
    }
    print("\n" + render(list(columns), list(zip(*columns.values(), strict=True))))


def _shown(row: Row, field: str) -> str | None:
    # None = the row leaves the field alone; the empty string must not look like that.
    return (str(row.overrides[field]) or "''") if field in row.overrides else None
