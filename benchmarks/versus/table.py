"""From what was measured to a ratio, and to tables in Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.versus.case import OURS

COLUMNS = ("model", "mode", "batch", "dtype")


def ratio(contenders: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The package's rate over that of the better PyTorch mode, round by round.

    Args:
      contenders: by name, each with `images_per_second`, one number a round, or `failed`.

    Returns:
      `median`, `low`, `high` over rounds and `against`, the mode with the higher median; None if either side is
      without a measurement.
    """
    rates = {name: row["images_per_second"] for name, row in contenders.items() if not row.get("failed")}
    ours = rates.pop(OURS, None)
    if not ours or not rates:
        return None
    against = max(rates, key=lambda name: statistics.median(rates[name]))
    ratios = [mine / theirs for mine, theirs in zip(ours, rates[against], strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios), "against": against}


def header(names: Sequence[str]) -> str:
    """The first two lines of the table."""
    cells = (
        *COLUMNS,
        *(f"{name}, images/s" for name in names),
        "ratio (range over rounds)",
        "peak memory, MiB",
        "compile, s",
    )
    return f"| {' | '.join(cells)} |\n{'|---' * len(cells)}|"


def row(case: Mapping[str, Any], names: Sequence[str]) -> str:
    """A line of the table; memory and compilation in the order of `names`."""
    contenders = case["contenders"]
    cells = [str(case[key]) for key in ("model", "mode", "batch_size", "dtype")]
    cells += [rate_cell(contenders[name]) for name in names]
    compared = case["ratio"]
    if compared is None:
        cells.append("-")
    else:
        cells.append(
            f"**{compared['median']:.2f}** ({compared['low']:.2f} to {compared['high']:.2f}) of {compared['against']}"
        )
    for key in ("peak_mib", "compile_s"):
        values = (contenders[name].get(key) for name in names)
        cells.append(" / ".join("-" if value is None else f"{value:,.0f}" for value in values))
    return f"| {' | '.join(cells)} |"


def rate_cell(contender: Mapping[str, Any]) -> str:
    """The median rate to three digits, or why there is none."""
    if contender.get("failed"):
        return f"failed: {contender['failed'][:80].replace('|', '/')}"
    median = statistics.median(contender["images_per_second"])
    return f"{median:.{3 if median < 1 else 2 if median < 10 else 1 if median < 100 else 0}f}"
