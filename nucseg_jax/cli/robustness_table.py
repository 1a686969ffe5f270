"""The tables that `robustness` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from nucseg_jax.cli.table import UNDEFINED, render
from nucseg_jax.evaluation.robustness.cells import CLEAN
from nucseg_jax.evaluation.robustness.summary import CLEAN_ROW, MCE, MEAN_ROW, RETAINED_ROW, kinds_of
from nucseg_jax.evaluation.robustness.tables import ScoredSplit
from nucseg_jax.ops.corruptions.kinds import SEVERITIES

_TITLES = {CLEAN_ROW: "clean", MEAN_ROW: "mean corrupted", RETAINED_ROW: "retained"}


def robustness_tables(splits: Sequence[ScoredSplit], summary: Mapping[str, Any]) -> str:
    """Returns the micro Dice of each kind and severity, the summary with its intervals, and the other data sets.

    Args:
      splits: the run on the corrupted split first.
      summary: the content of summary.json.
    """
    first, found = splits[0], summary["corruptions"]
    kinds = kinds_of(list(first.cells))
    dice = {(cell.kind, cell.severity): scores.scores["dice_micro"] for cell, scores in first.cells.items()}
    clean = dice[CLEAN.kind, CLEAN.severity]
    rows = [
        (kind, *(_decimal(dice[kind, severity]) for severity in SEVERITIES), _estimate(found["run"][kind]))
        for kind in kinds
    ]
    headers = ("micro Dice", *map(str, SEVERITIES), "mean")
    tables = [
        f"{first.data}: micro Dice {_decimal(clean)} on clean images",
        render(headers, rows),
        _summary_table(found),
        *([f"worst kind: {found['worst_kind']}"] if found.get("worst_kind") else []),
    ]
    if summary["shifts"]:
        tables.append(_shift_table(summary["shifts"], clean))
    return "\n\n".join(tables)


def _summary_table(found: Mapping[str, Any]) -> str:
    blocks = [block for block in ("run", "baseline", "difference") if block in found]
    rows = [
        (title, *(_interval(found[block].get(row)) for block in blocks))
        for row, title in _TITLES.items()
        if row in found["run"]
    ]
    if MCE in found:
        rows.append(("mCE", _interval(found[MCE]), *[UNDEFINED] * (len(blocks) - 1)))
    return render(("micro Dice, 95 % interval", *blocks), rows)


def _shift_table(shifts: Mapping[str, Any], clean: float | None) -> str:
    rows = []
    for data, found in shifts.items():
        entry = found["run"][CLEAN_ROW]
        share = None if not clean or entry["estimate"] is None else entry["estimate"] / clean
        rows.append(
            (data, _interval(entry), _decimal(share), _interval(found.get("difference", {}).get(CLEAN_ROW)))
        )
    return render(("other data", "micro Dice", "of clean", "run - baseline"), rows)


def _estimate(entry: Mapping[str, Any]) -> str:
    return _decimal(entry["estimate"])


def _interval(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["estimate"] is None:
        return UNDEFINED
    if entry["low"] is None:
        return _decimal(entry["estimate"])
    return f"{entry['estimate']:.4f} [{entry['low']:.4f}, {entry['high']:.4f}]"


def _decimal(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.4f}"
