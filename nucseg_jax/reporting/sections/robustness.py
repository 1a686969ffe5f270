"""Scores on corrupted images and on other data sets, of every run that `robustness` measured."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nucseg_jax.evaluation.instances.instance_metrics import METRICS as NUCLEUS_METRICS
from nucseg_jax.evaluation.robustness.cell_scores import CALIBRATION
from nucseg_jax.evaluation.robustness.summary import CLEAN_ROW, MCE, MEAN_ROW, RETAINED_ROW
from nucseg_jax.ops.corruptions.kinds import KINDS
from nucseg_jax.reporting.page.document import Block, Cell, Difference, Interval, Paragraph, Table, Warn
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.reporting.sections.cells import gap_of, listed
from nucseg_jax.reporting.sections.comparison import LEVEL
from nucseg_jax.reporting.sections.measured_run import MeasuredRun
from nucseg_jax.reporting.sections.part import Part
from nucseg_jax.reporting.sections.robustness_pictures import curves_figures, strips_sections
from nucseg_jax.reporting.sections.robustness_seeds import seeds_table

# Of the means in summary.json, with their titles; those that no run has are left out.
_OTHER_SCORES: Mapping[str, str] = {
    CALIBRATION: "calibration error",
    "bpq_image": f"{NUCLEUS_METRICS['bpq'].title}, mean over patches",
    "mpq_image": f"{NUCLEUS_METRICS['mpq'].title}, mean over patches",
    "detection_f1_pooled": f"{NUCLEUS_METRICS['detection_f1'].title}, pooled",
}
# Of the summary, with their titles.
_ROWS = {CLEAN_ROW: "clean Dice", MEAN_ROW: "mean corrupted", RETAINED_ROW: "retained"}
_READING = (
    "Each run is shown by itself, and seeds together in a table of their own: an interval covers the choice of patches"
    " for one run. `mean corrupted` is the mean over kinds of the mean over five severities; `retained` is its share of"
    " the clean Dice. Compare runs that were measured on the same patches and kinds."
)


def robustness_blocks(part: Part) -> list[Block]:
    """Returns tables, curves and folded pictures of the runs that were measured; without any, how to measure them."""
    runs = [(each, run) for each in part.configurations for run in each.finished]
    rows = [MeasuredRun(each, run, measurement) for each, run in runs for measurement in run.measurements]
    unmeasured = [run for _, run in runs if not run.measurements]
    gaps = gap_of(unmeasured, "Not measured on corrupted images: {}.", next_command.robustness)
    if not rows:
        return gaps
    return [
        *[Warn(text) for text in cautions(rows)],
        Paragraph(_READING),
        _dice_table(part, rows),
        *curves_figures(part, rows),
        *_other_scores_table(part, rows),
        *_baseline_table(part, rows),
        *_shifts_table(part, rows),
        *seeds_table(part, rows),
        *strips_sections(part, rows),
        *gaps,
    ]


def cautions(rows: Sequence[MeasuredRun]) -> list[str]:
    """Returns what a reader must know before comparing measurements."""
    texts = []
    seen = [f"{each.run.path} on {each.patches}" for each in rows if each.measurement.about["is_seen"]]
    seen += [
        f"{each.run.path} on {data}"
        for each in rows
        for data, shift in each.measurement.shifts.items()
        if shift["is_seen"]
    ]
    seen += [
        f"the baseline of {each.run.path}"
        for each in rows
        if at(each.measurement.about, "baseline", "is_seen")
    ]
    if seen:
        texts.append(f"Measured on patches that the model was trained or selected on: {listed(seen)}.")
    if len({each.measurement.kinds for each in rows}) > 1:
        texts.append(
            "The runs were measured on different kinds of corruption: means over kinds, and what follows from them,"
            " are not comparable between them."
        )
    codes = {(each.measurement.about["nucseg_jax"], each.measurement.about["source_digest"]) for each in rows}
    if len(codes) > 1:
        texts.append(
            f"The runs were measured by {len(codes)} versions of the code; CHANGELOG.md lists, under Numbers, what"
            " changed results."
        )
    return texts


def _dice_table(part: Part, rows: Sequence[MeasuredRun]) -> Table:
    kinds = list(dict.fromkeys(kind for each in rows for kind in each.measurement.kinds))
    # Told by the caption where it is the same for all.
    has_kinds = any(list(each.measurement.kinds) != kinds for each in rows)
    cells: list[tuple[Cell, ...]] = []
    for each in rows:
        corruptions = each.measurement.corruptions
        worst = corruptions.get("worst_kind")
        cells.append(
            (
                *each.about,
                *([listed(_titles(each.measurement.kinds))] if has_kinds else []),
                *(cell for row in _ROWS for cell in _estimate(corruptions["run"].get(row))),
                None if worst is None else KINDS[worst].title,
                None if worst is None else corruptions["run"][worst]["estimate"],
            )
        )
    measured = ("configuration", "seed", "measured on", *(["kinds"] if has_kinds else []))
    return Table(
        part.file("robustness"),
        f"Micro Dice on clean and on corrupted images ({', '.join(_titles(kinds))}), with {LEVEL} intervals over"
        " patches; the worst kind is the one with the lowest mean over severities.",
        (*measured, *_with_intervals(_ROWS.values()), "worst kind", "its Dice"),
        tuple(cells),
    )


def _titles(kinds: Sequence[str]) -> list[str]:
    return [KINDS[kind].title for kind in kinds]


def _with_intervals(titles: Iterable[str]) -> list[str]:
    """Returns each title, and that of its interval."""
    return [text for title in titles for text in (title, f"interval, {title}")]


def _other_scores_table(part: Part, rows: Sequence[MeasuredRun]) -> list[Block]:
    known = {
        score: title
        for score, title in _OTHER_SCORES.items()
        if any(at(each.measurement.means, "run", score, CLEAN_ROW) is not None for each in rows)
    }
    if not known:
        return []
    cells = tuple(
        (
            *each.about,
            *(
                at(each.measurement.means, "run", score, row)
                for score in known
                for row in (CLEAN_ROW, MEAN_ROW)
            ),
        )
        for each in rows
    )
    headers = tuple(f"{title}, {state}" for title in known.values() for state in ("clean", "mean corrupted"))
    caption = (
        "Other scores of the same measurements: expected calibration error over all pixels (0 is perfect)"
        f"{', and scores of nuclei' if len(known) > 1 else ''}; their means over kinds and severities."
    )
    name = part.file("robustness_other_scores")
    return [Table(name, caption, ("configuration", "seed", "measured on", *headers), cells)]


def _baseline_table(part: Part, rows: Sequence[MeasuredRun]) -> list[Block]:
    compared = [each for each in rows if each.measurement.has_baseline]
    if not compared:
        return []
    cells: list[tuple[Cell, ...]] = []
    for each in compared:
        found = each.measurement.corruptions
        pairs = [_estimate(found.get(MCE))]
        pairs += [_estimate(found["difference"].get(row), is_difference=True) for row in _ROWS]
        baseline = each.measurement.about["baseline"]["path"]
        cells.append((*each.about, baseline, *(cell for pair in pairs for cell in pair)))
    caption = (
        "Runs that were measured beside a baseline. mCE: mean over kinds of the summed errors 1 - Dice, divided by the"
        " baseline's; below 1 the run is more robust. Differences are run - baseline, paired on the same patches. A"
        f" {LEVEL} interval that includes 1 (of mCE) or 0 (of a difference) leaves the order open."
    )
    titles = ("mCE", *(f"difference, {title}" for title in _ROWS.values()))
    headers = ("configuration", "seed", "measured on", "baseline", *_with_intervals(titles))
    return [Table(part.file("robustness_baseline"), caption, headers, tuple(cells))]


def _shifts_table(part: Part, rows: Sequence[MeasuredRun]) -> list[Block]:
    has_baseline = any("difference" in shift for each in rows for shift in each.measurement.shifts.values())
    cells: list[tuple[Cell, ...]] = []
    for each in rows:
        clean = at(each.measurement.corruptions, "run", CLEAN_ROW, "estimate")
        for data, shift in each.measurement.shifts.items():
            entry = shift["run"][CLEAN_ROW]
            share = None if not clean or entry["estimate"] is None else entry["estimate"] / clean
            difference = _estimate(at(shift, "difference", CLEAN_ROW), is_difference=True)
            about = (each.configuration.label, str(each.run.seed), data, shift["data_name"], shift["images"])
            cells.append((*about, *_estimate(entry), share, *(difference if has_baseline else ())))
    if not cells:
        return []
    caption = (
        f"Other data sets as they are: micro Dice with its {LEVEL} interval over patches, and its share of the clean"
        " Dice on the split that was corrupted."
    )
    measured = ("configuration", "seed", "other data", "data set", "patches")
    differences = _with_intervals(["run - baseline"]) if has_baseline else []
    headers = (*measured, *_with_intervals(["Dice"]), "share of clean", *differences)
    return [Table(part.file("robustness_other_data"), caption, headers, tuple(cells))]


def _estimate(entry: Mapping[str, Any] | None, *, is_difference: bool = False) -> tuple[Cell, Interval]:
    """Returns the cells of an estimate and its interval; nothing where it is undefined."""
    value, low, high = ((entry or {}).get(name) for name in ("estimate", "low", "high"))
    limits = Interval(math.nan if low is None else low, math.nan if high is None else high, is_difference)
    return Difference(value) if is_difference else value, limits
