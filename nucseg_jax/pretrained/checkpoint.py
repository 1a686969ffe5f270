"""The folder that `convert` writes: `encoder/` by Orbax and `report.json`. It appears whole or not at all."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import time
from collections.abc import Iterator, Mapping

import numpy as np
import orbax.checkpoint as ocp

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import is_full_disk, write_json
from nucseg_jax.core.lock import file_lock
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.pretrained.report import REPORT, Report, read_report
from nucseg_jax.pretrained.target import flatten

ENCODER = "encoder"
# Present in every checkpoint, empty where an encoder has none of it.
COLLECTIONS = ("params", "batch_stats", "constants")
_REMOVALS, _SECONDS_BETWEEN_REMOVALS = 20, 0.25


def digest_of(values: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and bytes of arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(values):
        value = np.ascontiguousarray(values[name])
        digest.update(f"{name} {value.shape} {value.dtype.str}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def write_checkpoint(out: pathlib.Path, tree: Variables, report: Report) -> None:
    """Writes the folder under another name beside `out` and renames it.

    What a process that was killed left there is removed first.

    Args:
      out: the folder; must not exist, or be empty.
      tree: variables by collection, layer and leaf.
      report: written last: without it no folder is taken for a checkpoint.

    Raises:
      UserError: the place cannot be written, the disk is full, or another process converts to the same place.
    """
    out = pathlib.Path(os.path.abspath(out))  # '.' has no name.
    tree = {collection: tree.get(collection, {}) for collection in COLLECTIONS}
    part = out.with_name(f".{out.name}.part")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_trouble_is_an_error_of(out))
        out.parent.mkdir(parents=True, exist_ok=True)
        stack.enter_context(
            file_lock(
                out.with_name(f".{out.name}.lock"),
                busy=f"another `convert` is writing {out}",
                advice="wait until it has ended, or choose another --out",
            )
        )
        shutil.rmtree(part, ignore_errors=True)
        stack.callback(_remove_for_good, part)
        part.mkdir()
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(part.absolute() / ENCODER, tree)
        write_json(part / REPORT, report.as_json())
        part.rename(out)


def _remove_for_good(folder: pathlib.Path) -> None:
    """Removes a folder that Orbax's threads may still be writing to: one write failed, others were under way."""
    for _ in range(_REMOVALS):
        if not folder.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_SECONDS_BETWEEN_REMOVALS)


def read_checkpoint(folder: pathlib.Path) -> tuple[Variables, Report]:
    """Reads a folder back and compares its digest.

    Args:
      folder: that `write_checkpoint` wrote.

    Returns:
      Variables by collection, layer and leaf, as NumPy arrays; and the report.

    Raises:
      UserError: it is no such folder, or damaged.
    """
    report = require_checkpoint(folder)
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            tree = checkpointer.restore(folder.absolute() / ENCODER)  # NumPy arrays, as they were saved.
        found = digest_of(flatten(tree))
    # Orbax and TensorStore raise whatever the damaged part leads to.
    except Exception as error:
        raise _damaged(folder, reason_of(error)) from error
    if found != report.digest:
        raise _damaged(folder, f"its values have the SHA-256 {found}, and {REPORT} states {report.digest}")
    return tree, report


def require_checkpoint(folder: pathlib.Path) -> Report:
    """The report of a folder that has to be there.

    Raises:
      UserError: it is not there, or not what `convert` writes.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}.",
            expected=f"the --out of {PROGRAM} convert --encoder=... --source=... --out=DIR",
            advice="run convert, and give its --out as --config.pretrained.path",
        )
    return read_report(folder)


def _damaged(folder: pathlib.Path, reason: str) -> UserError:
    return UserError(
        f"The checkpoint in {folder} is damaged: {reason}.",
        expected="what convert wrote",
        advice=f"remove {folder} and convert again",
    )


@contextlib.contextmanager
def _trouble_is_an_error_of(out: pathlib.Path) -> Iterator[None]:
    """Turns what a full disk and a place that cannot be written lead to into a `UserError`."""
    try:
        yield
    except Exception as error:
        if is_full_disk(error):
            raise UserError(
                f"The disk of {out.parent} became full. What was half done has been removed.",
                expected="room for the checkpoint, about as much as the source takes",
                advice="free some space, or choose another --out, and run the same command again",
            ) from error
        if isinstance(error, OSError):
            raise UserError(
                f"{out} cannot be written: {error.strerror or error}.",
                expected="a folder that you may write to",
                advice="choose another --out",
            ) from error
        raise
