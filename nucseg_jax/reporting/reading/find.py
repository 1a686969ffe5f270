"""The runs that a report is about: folders that match a pattern, and why some of them are left out."""

import glob
import pathlib
from typing import NamedTuple

from nucseg_jax.core.errors import UserError
from nucseg_jax.reporting.reading.run import Run, read_run
from nucseg_jax.training.run_folder import RunFolder


class Found(NamedTuple):
    """What a pattern matched.

    Attributes:
      runs: in the order of their paths.
      left_out: (folder, reason) of folders that are no run, or whose config or split is damaged.
      copies: (folder, folder) of runs that are equal to an earlier one, which are left out too.
    """

    runs: tuple[Run, ...]
    left_out: tuple[tuple[str, str], ...]
    copies: tuple[tuple[str, str], ...]


def find_runs(pattern: str, *, not_in: pathlib.Path) -> Found:
    """Reads every folder that a pattern matches.

    Args:
      pattern: of the shell's kind, `**` for any depth; several with commas between them.
      not_in: a folder that is passed over in silence: where the report goes.

    Raises:
      UserError: nothing matches, or nothing of it is a run.
    """
    matches = {match for part in pattern.split(",") for match in glob.glob(part.strip(), recursive=True)}
    folders = sorted(
        pathlib.Path(match)
        for match in matches
        if pathlib.Path(match).is_dir() and pathlib.Path(match).resolve() != not_in.resolve()
    )
    # A pattern with ** also matches what lies inside a run, which is no run of its own.
    run_folders = {folder for folder in folders if RunFolder(folder).config.exists()}
    folders = [folder for folder in folders if run_folders.isdisjoint(folder.parents)]
    runs: list[Run] = []
    left_out, copies = [], []
    for folder in folders:
        try:
            run = read_run(folder)
        except UserError as error:
            left_out.append((str(folder), str(error).splitlines()[0].removeprefix(f"{folder}/")))
            continue
        original = next((other for other in runs if _are_copies(run, other)), None)
        if original is None:
            runs.append(run)
        else:
            copies.append((str(folder), str(original.path)))
    if not runs:
        reasons = "".join(f"\n  {folder}: {reason}" for folder, reason in left_out)
        raise UserError(
            f"--runs={pattern} matches no run" + (":" + reasons if reasons else ""),
            expected="a pattern in quotes that matches folders which train has written",
            advice="python launch.py report --runs='runs/*' --out=report",
        )
    return Found(tuple(runs), tuple(left_out), tuple(copies))


def _are_copies(run: Run, other: Run) -> bool:
    """Whether two folders tell of one run: counted twice it would make the spread over runs too small."""
    return (
        run.results is not None
        and run.config == other.config
        and run.results == other.results
        and run.epochs == other.epochs
        and run.split_digest == other.split_digest
    )
