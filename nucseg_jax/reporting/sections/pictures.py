"""Tissue: errors and contours on the same patches for all models; each model's best and worst patches."""

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation.examples import BEST, SPREAD, WORST, Examples, examples_path, read_examples
from nucseg_jax.reporting.contact_sheet import contact_sheet
from nucseg_jax.reporting.error_windows import LEAST_SHARE, MOST_WINDOWS, WINDOW_PX, boxed, worst_windows
from nucseg_jax.reporting.overlays import (
    BOTH_LINES,
    LEGEND,
    PREDICTION_LINE,
    TRUTH_LINE,
    VOID_LEGEND,
    Color,
    error_overlay,
    outline_overlay,
    prediction_sheet,
    shaded,
)
from nucseg_jax.reporting.page.document import Block, Csv, Paragraph, Picture, Value, Warn
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.cells import chunks, listed, short
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
_PATCHES = 4
# Beside the tissue itself; more columns would make patches too small to see a rim one pixel wide.
_MODELS_A_SHEET = 3
_BEST_AND_WORST = 2
# Pictures are most of the page's bytes.
_MOST_CONFIGURATIONS = 9

Overlay = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Pictured(NamedTuple):
    """A configuration, the run that stands for it, and that run's patches."""

    configuration: Configuration
    run: Run
    examples: Examples

    def name(self, number: int) -> str:
        """Names one of its patches."""
        return self.examples.name(number, self.run.info)

    @property
    def heading(self) -> str:
        """The configuration; with its seed where it has several."""
        seed = f", seed {self.run.seed}" if len(self.configuration.finished) > 1 else ""
        return f"{self.configuration.label}{seed}"


def pictures_blocks(part: Part) -> list[Block]:
    """Returns sheets of errors and of contours, and the best and worst patches."""
    pictured, blocks = _pictured(part)
    left = [each.configuration.label for each in pictured[_MOST_CONFIGURATIONS:]]
    if left:
        blocks.append(
            Paragraph(
                f"Pictures of the first {_MOST_CONFIGURATIONS} configurations alone, to keep the page small; left out:"
                f" {'; '.join(left)}. A narrower --runs shows them."
            )
        )
    pictured = pictured[:_MOST_CONFIGURATIONS]
    if not pictured:
        return blocks
    positions = _shared_positions(pictured)
    for stem, draw in (("errors", _errors), ("contours", _contours)):
        for number, some in enumerate(chunks(pictured, _MODELS_A_SHEET), 1):
            blocks.append(draw(part.file(f"{stem}_{number}"), some, positions))
    blocks += [
        _best_and_worst(part.file(f"best_and_worst_{number}"), each)
        for number, each in enumerate(pictured, 1)
        if len(each.examples.of(BEST)) + len(each.examples.of(WORST))
    ]
    return blocks


def _pictured(part: Part) -> tuple[list[Pictured], list[Block]]:
    """Returns the first run of each configuration that kept patches, and what is told of those that did not."""
    pictured: list[Pictured] = []
    blocks: list[Block] = []
    without: list[str] = []
    for configuration in part.configurations:
        for run in configuration.finished:
            path = examples_path(run.path, SPLIT)
            # A damaged one is named among the warnings.
            if not path.exists() or run.is_damaged(path.name):
                continue
            try:
                examples = read_examples(path, run.info)
            except UserError as error:
                blocks.append(Warn(str(error)))
                continue
            if len(examples.position):
                pictured.append(Pictured(configuration, run, examples))
                break
        else:
            without.append(configuration.label)
    if without:
        blocks.append(Paragraph(f"No run kept patches (examples_{SPLIT}.npz) of {listed(without)}."))
    return pictured, blocks


def _shared_positions(pictured: Sequence[Pictured]) -> list[int]:
    """Returns patches to show: of those spread over the split, preferably such as all runs kept and as have nuclei."""
    first = pictured[0].examples
    candidates = [int(first.position[number]) for number in first.of(SPREAD)] or first.position.tolist()

    def rank(position: int) -> tuple[bool, bool]:
        kept = all(each.examples.at_position(position) is not None for each in pictured)
        return not kept, not first.truth[first.at_position(position)].any()

    distinct = list(dict.fromkeys(candidates))
    best = sorted(distinct, key=rank)[:_PATCHES]
    return [position for position in distinct if position in best]


def _errors(name: str, pictured: Sequence[Pictured], positions: Sequence[int]) -> Picture:
    def overlay(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        return boxed(error_overlay(image, truth, prediction), worst_windows(truth != prediction))

    caption = (
        "Errors on test patches, as in the paper's Figure 11: blue where truth and prediction agree on nucleus, red"
        f" what is extra, green what is missing. White boxes: the window of {WINDOW_PX} px with most wrong pixels, then"
        f" the worst that does not overlap it, at most {MOST_WINDOWS} a patch, each with at least {100 * LEAST_SHARE:g} % "
        "of its pixels wrong."
    )
    return _sheet(name, caption, pictured, positions, overlay, LEGEND)


def _contours(name: str, pictured: Sequence[Pictured], positions: Sequence[int]) -> Picture:
    legend = (("truth", TRUTH_LINE), ("prediction", PREDICTION_LINE), ("both", BOTH_LINES))
    caption = (
        "Outlines on the same patches, as in the paper's Figure 12: green truth, yellow prediction, white where they"
        " coincide."
    )
    return _sheet(name, caption, pictured, positions, outline_overlay, legend)


def _sheet(
    name: str,
    caption: str,
    pictured: Sequence[Pictured],
    positions: Sequence[int],
    overlay: Overlay,
    legend: Sequence[tuple[str, Color]],
) -> Picture:
    """Draws patches downwards; the tissue, then each model's overlay to the right."""
    rows, captions, words, exact = [], [], [], []
    has_void = False
    for position in positions:
        of_runs = [(each, each.examples.at_position(position)) for each in pictured]
        first, number = next((each, number) for each, number in of_runs if number is not None)
        pictures, texts = [first.examples.image[number]], [first.name(number)]
        for each, own in of_runs:
            if own is None:
                pictures.append(np.full_like(pictures[0], 235))
                texts.append("not kept by this run")
                continue
            examples = each.examples
            drawn = overlay(examples.image[own], examples.truth[own], examples.prediction[own])
            pictures.append(shaded(drawn, examples.void[own]))
            has_void = has_void or bool(examples.void[own].any())
            dice = examples.dice(own)
            nothing = "not annotated" if examples.void[own].all() else "no nucleus, none predicted"
            texts.append(f"Dice {short(dice)}" if dice is not None else nothing)
            exact.append(_row(each, own))
            words.append(f"{each.name(own)}: {each.heading} {texts[-1]}")
        rows.append(pictures)
        captions.append(texts)
    headings = ["tissue", *(each.heading for each in pictured)]
    legend = (*legend, *VOID_LEGEND) if has_void else legend
    sheet = contact_sheet(rows, headings=headings, captions=captions, legend=legend)
    return Picture(name, caption, f"{caption} {'; '.join(words)}.", _png(sheet), _csv(exact))


def _best_and_worst(name: str, each: Pictured) -> Picture:
    examples = each.examples
    chosen = [
        (reason, int(number)) for reason in (BEST, WORST) for number in examples.of(reason)[:_BEST_AND_WORST]
    ]
    numbers = [number for _, number in chosen]
    sheet = prediction_sheet(
        examples.image[numbers],
        examples.truth[numbers],
        examples.probability[numbers] / 255.0,
        examples.prediction[numbers],
        [f"{reason}: {each.name(number)}" for reason, number in chosen],
        void=examples.void[numbers],
    )
    caption = (
        f"{each.heading}: the test patches with the highest and the lowest Dice among those that have nuclei."
    )
    words = "; ".join(
        f"{reason}, {each.name(number)}, Dice {short(examples.dice(number))}" for reason, number in chosen
    )
    return Picture(
        name, caption, f"{caption} {words}.", _png(sheet), _csv([_row(each, number) for number in numbers])
    )


_PLACES = ("image", "top", "left")


def _row(each: Pictured, number: int) -> dict[str, Value]:
    examples = each.examples
    truth, prediction = examples.truth[number], examples.prediction[number]
    windows = worst_windows(truth != prediction)
    return {
        "configuration": each.configuration.name,
        "run": str(each.run.path),
        "file": f"examples_{SPLIT}.npz",
        "seed": each.run.seed,
        **{name: int(getattr(examples, name)[number]) for name in ("fold", "row", "position")},
        "chosen": str(examples.chosen[number]),
        "dice": examples.dice(number),
        "correct_pixels": int((truth & prediction).sum()),
        "extra_pixels": int((prediction & ~truth).sum()),
        "missing_pixels": int((truth & ~prediction).sum()),
        "boxes_top_left_side_wrong": "; ".join(" ".join(map(str, window)) for window in windows),
        "image": str(examples.source[number]),
        **{name: int(getattr(examples, name)[number]) for name in ("top", "left")},
    }


def _csv(rows: Sequence[dict[str, Value]]) -> Csv:
    """Returns the numbers of patches; without the columns of places where no patch has one."""
    has_places = any(row["image"] for row in rows)
    columns = tuple(name for name in rows[0] if has_places or name not in _PLACES) if rows else ()
    return Csv(columns, tuple(tuple(row[name] for name in columns) for row in rows))


def _png(sheet: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG")
    return buffer.getvalue()
