"""The runs that a report is about: folders that match a pattern, and why some of them are left out."""

import glob
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.paths import expand_user
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.reporting.reading.read_run import read_run
from nucseg_jax.reporting.reading.robustness import with_measurements
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.reading.same_data import data_set_keys
from nucseg_jax.run_folder.folder import RunFolder

RESULTS, METRICS = "results.json", "metrics.jsonl"


class Copy(NamedTuple):
    """A copy of a run, the original, which is whole or has the least wrong with it, and what is wrong with the copy."""

    folder: str
    original: str
    damage: tuple[str, ...]


class Found(NamedTuple):
    """Matches of a pattern: runs by path, folders that are no usable run with the reason, and copies of runs."""

    runs: tuple[Run, ...]
    left_out: tuple[tuple[str, str], ...]
    copies: tuple[Copy, ...]


def find_runs(pattern: str, *, not_in: pathlib.Path) -> Found:
    """Reads every folder that a pattern matches.

    Args:
      pattern: of the shell's kind, `**` for any depth; several with commas between them.
      not_in: a folder that is passed over: where the report goes.

    Raises:
      UserError: nothing matches, or nothing of it is a run.
    """
    patterns = [expand_user(part.strip()) for part in pattern.split(",")]
    matches = {pathlib.Path(match) for each in patterns for match in glob.glob(each, recursive=True)}
    folders = sorted(match for match in matches if match.is_dir() and match.resolve() != not_in.resolve())
    # A pattern with ** also matches what lies inside a run, which is no run of its own.
    run_folders = {folder for folder in folders if RunFolder(folder).config.exists()}
    folders = [folder for folder in folders if run_folders.isdisjoint(folder.parents)]
    runs: list[Run] = []
    left_out = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        # Whatever is wrong with one run, the others are reported.
        except Exception as error:
            left_out.append((str(folder), reason_of(error).removeprefix(f"{folder}/")))
    if not runs:
        reasons = "".join(f"\n  {folder}: {reason}" for folder, reason in left_out)
        raise UserError(
            f"--runs={pattern} matches no run" + (":" + reasons if reasons else ""),
            expected="a pattern in quotes that matches folders which train has written",
            advice=f"{PROGRAM} report --runs='runs/*' --out=report",
        )
    originals, copies = _without_copies(runs)
    return Found(originals, tuple(left_out), copies)


def _without_copies(runs: Sequence[Run]) -> tuple[tuple[Run, ...], tuple[Copy, ...]]:
    """Each run once, by path, with the measurements of its copies; twice it would make the spread too small."""
    originals: list[Run] = []
    copies: list[Copy] = []
    # A damaged folder comes after those that it may be a copy of.
    for run in sorted(runs, key=lambda run: (len(run.faults), -len(run.epochs))):
        original = next((other for other in originals if _are_copies(run, other)), None)
        if original is None:
            originals.append(run)
        else:
            copies.append(Copy(str(run.path), str(original.path), _damage(run, original)))
            place = originals.index(original)
            originals[place] = with_measurements(original, run.measurements)
    return tuple(sorted(originals, key=lambda run: run.path)), tuple(sorted(copies))


def _are_copies(run: Run, other: Run) -> bool:
    """True for two folders of one run, judged by their scores, or by their epochs where results.json is damaged."""
    if not _agree(run.config, other.config) or len(set(data_set_keys([run, other]))) > 1:
        return False
    if run.results is not None and other.results is not None:
        # A damaged metrics.jsonl has no epochs, one that was cut off the first of them.
        epochs_agree = all(_agree(one, two) for one, two in zip(run.epochs, other.epochs, strict=False))
        return _agree(run.results, other.results) and epochs_agree
    is_damaged = run.is_damaged(RESULTS) or other.is_damaged(RESULTS)
    return is_damaged and bool(run.epochs) and run.epochs == other.epochs


def _agree(one: Any, other: Any) -> bool:
    """Returns True if two JSON values are equal in all that both hold; later versions write more fields."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_agree(one[name], other[name]) for name in one.keys() & other.keys())
    return bool(one == other)


def _damage(copy: Run, original: Run) -> tuple[str, ...]:
    cut_off = len(copy.epochs) < len(original.epochs) and not copy.is_damaged(METRICS)
    epochs = f"{METRICS}: {len(copy.epochs)} of the original's {counted(len(original.epochs), 'epoch')}"
    return (*copy.faults, *([epochs] if cut_off else []))
