"""The record of a measurement: one JSON file, whose folder holds at most 8 MB."""

import datetime as dt
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from benchmarks.accelerator.settings import Settings
from nucseg_jax.core.errors import UserError

NAME, PAGE = "accelerator.json", "accelerator.md"
MOST_BYTES = 8_000_000
# Room for the record and its page, which are written after the others were fitted.
RESERVED_BYTES = 2_000_000
MOST_LOG_BYTES = 200_000

Record = dict[str, Any]


def read_record(out: pathlib.Path, settings: Settings, names: Sequence[str]) -> Record:
    """Returns the record in a folder, or a new one; every step has an entry with `outcome` and `failed`.

    Args:
      out: the folder.
      settings: of this call.
      names: of the steps, in order.

    Raises:
      UserError: it is of another device or size, or no record.
    """
    options = {"device": settings.device, "small": settings.small}
    path = out / NAME
    record: Record = {"date": dt.date.today().isoformat(), "options": options, "steps": {}}
    if path.exists():
        advice = "choose another folder by --out"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            given, entries = found["options"], dict(found["steps"])
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path} is no record of this command", advice=advice) from None
        if given != options:
            raise UserError(f"{path} was measured with {given}", expected=str(options), advice=advice)
        record = {**found, "steps": entries}
    new = {"outcome": "not started", "failed": None}
    record["steps"] = {name: {**new, **record["steps"].get(name, {})} for name in names}
    for entry in record["steps"].values():
        if entry["outcome"] == "running":
            # Of a call that was ended, together with its step.
            entry["outcome"] = "interrupted"
    return record


def fit_into(out: pathlib.Path) -> list[str]:
    """Cuts logs to their ends, then removes the largest files until the folder has room for record and page.

    Args:
      out: the folder; the record, its page and the steps' rows stay.

    Returns:
      Names of the files that were removed, below the folder.
    """
    for log in (out / "logs").glob("*.txt"):
        if log.stat().st_size > MOST_LOG_BYTES:
            log.write_bytes(log.read_bytes()[-MOST_LOG_BYTES:])
    kept = {out / NAME, out / PAGE, *(out / "steps").glob("*.json")}
    files = sorted(
        (path for path in out.rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
        reverse=True,
    )
    total = sum(path.stat().st_size for path in files if path not in (out / NAME, out / PAGE))
    removed = []
    for path in files:
        if total <= MOST_BYTES - RESERVED_BYTES:
            break
        if path not in kept:
            total -= path.stat().st_size
            path.unlink()
            removed.append(path.relative_to(out).as_posix())
    return removed
