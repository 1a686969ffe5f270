"""Curves of Dice over the severity of a corruption, and the pictures that `robustness` drew."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from nucseg_jax.core.counted import counted
from nucseg_jax.evaluation.robustness.cells import CLEAN
from nucseg_jax.evaluation.robustness.measurement import Measurement
from nucseg_jax.evaluation.robustness.summary import MEAN_ROW
from nucseg_jax.ops.corruptions.kinds import KINDS, SEVERITIES
from nucseg_jax.reporting.page.chart import MOST_LINES, Chart, Panel, Point, Series
from nucseg_jax.reporting.page.document import Block, Figure, Paragraph, Picture, Section
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.reporting.sections.cells import chunks, listed, mean, short
from nucseg_jax.reporting.sections.measured_run import MeasuredRun
from nucseg_jax.reporting.sections.part import Part

# Pictures are most of the page's bytes.
_MOST_STRIPS, _WIDEST_PX = 2, 1212


def curves_figures(part: Part, rows: Sequence[MeasuredRun]) -> list[Block]:
    """Returns a figure for all runs that were measured on the same patches, with panels for each kind."""
    groups: dict[tuple[str, str], list[MeasuredRun]] = {}
    for each in rows:
        if each.measurement.kinds:
            groups.setdefault(each.key, []).append(each)
    return [
        _figure(part.file(f"robustness_{number}" if len(groups) > 1 else "robustness"), group)
        for number, group in enumerate(groups.values(), 1)
    ]


def _figure(name: str, rows: Sequence[MeasuredRun]) -> Figure:
    configurations = list(dict.fromkeys(each.configuration for each in rows))
    panels = []
    for kind in (kind for kind in KINDS if any(kind in each.measurement.kinds for each in rows)):
        measured = [each for each in rows if kind in each.measurement.kinds]
        title = _kind_title(kind, measured[0].measurement)
        series = [
            _series_of(
                each.label, number % MOST_LINES, [row for row in measured if row.configuration is each], kind
            )
            for number, each in enumerate(configurations)
        ]
        filled = [lines for lines in series if lines]
        panels += [
            Panel(title, tuple(line for lines in some for line in lines))
            for some in chunks(filled, MOST_LINES)
        ]
    said = "; ".join(
        f"{each.configuration.label}, seed {each.run.seed},"
        f" {short(at(each.measurement.corruptions, 'run', MEAN_ROW, 'estimate'))}"
        for each in rows
    )
    several = len(rows) > len(configurations)
    return Figure(
        name,
        f"Micro Dice over the severity of each kind of corruption, measured on {rows[0].patches}; severity 0 is the"
        f" clean image.{' Thin lines are runs, thick ones the mean of a configuration.' if several else ''}",
        f"Dice over severity; mean corrupted: {said}.",
        Chart("severity", "micro Dice", tuple(panels), is_falling=True),
    )


def _series_of(label: str, look: int, rows: Sequence[MeasuredRun], kind: str) -> list[Series]:
    """Returns the mean of a configuration's measurements, and each of several behind it."""
    if not rows:
        return []
    curves = [curve(each.measurement, kind) for each in rows]
    means = tuple((points[0][0], mean([y for _, y in points])) for points in zip(*curves, strict=True))
    singles = [
        Series(f"{label}, {each.run.path.name}", points, look, "thin")
        for each, points in zip(rows, curves, strict=True)
    ]
    return [*(singles if len(rows) > 1 else []), Series(label, means, look, "marked")]


def curve(measurement: Measurement, kind: str) -> tuple[Point, ...]:
    """Returns (severity, micro Dice) at severities 0 to 5, None where it is undefined."""
    dice = {
        (cell["kind"], cell["severity"]): cell["dice_micro"]
        for cell in measurement.cells
        if cell["model"] == "run" and cell["data"] == measurement.about["split"]
    }
    cells = [(CLEAN.kind, CLEAN.severity), *((kind, severity) for severity in SEVERITIES)]
    return tuple((float(severity), dice.get((name, severity))) for name, severity in cells)


def _kind_title(kind: str, measurement: Measurement) -> str:
    cells: list[Mapping[str, Any]] = [cell for cell in measurement.cells if cell["kind"] == kind]
    values = ", ".join(f"{cell['value']:g}" for cell in cells[: len(SEVERITIES)])
    return f"{KINDS[kind].title}: {values} ({cells[0]['unit']})"


def strips_sections(part: Part, rows: Sequence[MeasuredRun]) -> list[Block]:
    """Returns the pictures of the first measurement of the first configurations, folded away."""
    firsts = {each.configuration: each for each in reversed(rows) if each.measurement.kinds}
    ordered = [firsts[each] for each in dict.fromkeys(row.configuration for row in rows) if each in firsts]
    blocks: list[Block] = []
    for number, each in enumerate(ordered[:_MOST_STRIPS], 1):
        title = f"{each.configuration.label}, seed {each.run.seed}, {each.patches}"
        pictures = [
            _picture(part.file(f"robustness_{number}_{kind}"), kind, title, each.measurement)
            for kind in each.measurement.kinds
        ]
        folded = f"Pictures of {title}: {counted(len(pictures), 'kind')} of corruption at severities 0 to 5"
        blocks.append(Section(folded, tuple(pictures), is_folded=True))
    left = [each for each in rows if each not in ordered[:_MOST_STRIPS] and each.measurement.kinds]
    if left:
        folders = listed([f"`{each.measurement.strip(each.measurement.kinds[0]).parent}`" for each in left])
        blocks.append(Paragraph(f"Left out, to keep the page small: the pictures in {folders}."))
    return blocks


def _picture(name: str, kind: str, title: str, measurement: Measurement) -> Picture:
    caption = (
        f"{KINDS[kind].title}: the patch with the median clean Dice at severities 0 to 5, and below it the"
        " outline of the truth and the errors of the prediction."
    )
    return Picture(name, caption, f"{caption} {title}.", _narrowed(measurement.strip(kind).read_bytes()))


def _narrowed(png: bytes) -> bytes:
    """Returns a picture of `_WIDEST_PX` at most, as wide as the page shows."""
    with Image.open(io.BytesIO(png)) as opened:
        if opened.width <= _WIDEST_PX:
            return png
        size = (_WIDEST_PX, round(opened.height * _WIDEST_PX / opened.width))
        buffer = io.BytesIO()
        opened.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(buffer, format="PNG")
    return buffer.getvalue()
