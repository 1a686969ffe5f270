"""`train --sweep`: the rows of a sweep, the state of each, and the command that trains one."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Sequence

from nucseg_jax.cli.table import render
from nucseg_jax.cli.train import changes_since_start, train
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.experiment import Experiment
from nucseg_jax.run_folder.check import read_results
from nucseg_jax.run_folder.environment import StartedFrom
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.command_job import CommandJob
from nucseg_jax.sweep import Row, Sweep

FINISHED, BEGUN, ABSENT = "finished", "begun", "-"


@dataclasses.dataclass(frozen=True)
class SweepRun:
    """A sweep whose runs lie in ROOT/LABEL, with the output of each in ROOT/LABEL.log.

    Attributes:
      sweep: the rows.
      experiments: one a row.
      root: the folder of the run folders.
      started_from: config and command line, before any row.
      program: the words that start this program in another process.
    """

    sweep: Sweep
    experiments: tuple[Experiment, ...]
    root: pathlib.Path
    started_from: StartedFrom
    program: Sequence[str]

    def folder(self, index: int) -> RunFolder:
        """Returns the run folder of one row."""
        return RunFolder(self.root / self.sweep.row(index).label)

    def job(self, index: int) -> CommandJob:
        """Returns the job that trains one row in a separate process."""
        fields = (f"--config.{field}={value}" for field, value in self.started_from.overrides.items())
        flags = (f"--sweep={self.sweep.file}", f"--workdir={self.root}", f"--index={index}")
        command = (*self.program, "train", f"--config={self.started_from.config}", *fields, *flags)
        return CommandJob(command, (self.root / f"{self.sweep.row(index).label}.log").absolute())

    def train_row(self, index: int) -> None:
        """Trains one row in this process."""
        row = self.sweep.row(index)
        overrides = {**self.started_from.overrides, **row.overrides}
        sweep: dict[str, str | int] = {"file": str(self.sweep.file), "label": row.label, "index": index}
        started_from = dataclasses.replace(self.started_from, overrides=overrides, sweep=sweep)
        train(self.experiments[index], self.folder(index).path, started_from)

    def claim(self) -> list[int]:
        """Makes the folder, and checks that what it holds are runs of these rows.

        Returns:
          The indices of rows without results; how many there are is printed.

        Raises:
          UserError: it cannot be written, is a run folder itself, or a row was begun with another config.
        """
        if RunFolder(self.root).config.exists():
            raise UserError(
                f"{self.root} is the folder of one run", expected="a folder that holds one for each row"
            )
        for index, experiment in enumerate(self.experiments):
            changes = changes_since_start(experiment, self.folder(index))
            if changes:
                raise UserError(
                    f"{self.folder(index).path} was started with another config: " + "; ".join(changes),
                    advice="choose another --workdir, or keep the old values",
                )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.root).close()
        except OSError as error:
            raise UserError(
                f"{self.root} cannot be written: {error.strerror}", advice="choose another --workdir"
            ) from None
        rows = self.sweep.rows
        missing = [index for index, row in enumerate(rows) if row_state(self.root, row) != FINISHED]
        print(
            f"sweep     {self.sweep.file}: {counted(len(rows), 'row')}, {len(rows) - len(missing)} finished"
        )
        return missing


def row_state(root: pathlib.Path, row: Row) -> str:
    """Returns 'finished', 'begun' or '-', by the files of its folder."""
    folder = RunFolder(root / row.label)
    if folder.results.exists():
        return FINISHED
    return BEGUN if folder.config.exists() else ABSENT


def shown_test_dice(folder: RunFolder) -> str:
    """Returns a finished run's test Dice, four decimals; '-' if there is none, 'damaged' if it was altered."""
    if not folder.results.exists():
        return ABSENT
    try:
        dice = read_results(folder)["test"]["micro"]["dice"]
        return ABSENT if dice is None else f"{dice:.4f}"
    except (UserError, KeyError, TypeError, ValueError):
        return "damaged"


def list_rows(sweep: Sweep, root: pathlib.Path | None) -> None:
    """Prints index, label and overrides of each row, and its state in `root` if there is one.

    An override that all rows have in common is printed above the table.
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
