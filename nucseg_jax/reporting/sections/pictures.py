"""Figures 11 and 12, errors and contours on the same patches for all models; each model's best and worst patches."""

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation.examples import BEST, SPREAD, WORST, Examples, examples_path, read_examples
from nucseg_jax.reporting.contact_sheet import contact_sheet
from nucseg_jax.reporting.error_windows import (
    LEAST_SHARE,
    MOST_WINDOWS,
    WINDOW_PX,
    boxed,
    worst_windows,
)
from nucseg_jax.reporting.overlays import (
    BOTH_LINES,
    CORRECT,
    EXTRA,
    MISSING,
    PREDICTION_LINE,
    TRUTH_LINE,
    VOID_LEGEND,
    error_overlay,
    outline_overlay,
    prediction_sheet,
    shaded,
)
from nucseg_jax.reporting.page.document import Block, Figure, Gap, Heading, Numbers, Value
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.cells import decimal, listed
from nucseg_jax.reporting.sections.drawing import chunks
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
        return f"{self.configuration.name}{seed}"


def pictures_blocks(part: Part) -> list[Block]:
    """Figures 11 and 12, best and worst patches."""
    blocks: list[Block] = [Heading("Figures 11 and 12: errors and contours", 3)]
    pictured, gaps = _pictured(part)
    blocks += gaps
    if part.not_run:
        names = listed([paper.name for paper in part.not_run])
        blocks.append(Gap(f"Not run, so not drawn: {names}. The commands stand above Table 2.", repeats=True))
    if not pictured:
        return blocks
    if len(pictured) > _MOST_CONFIGURATIONS:
        left = [each.configuration.name for each in pictured[_MOST_CONFIGURATIONS:]]
        blocks.append(
            Gap(
                f"Pictures of the first {_MOST_CONFIGURATIONS} configurations alone; left out, to keep the page small:"
                f" {'; '.join(left)}. A narrower --runs shows them."
            )
        )
        pictured = pictured[:_MOST_CONFIGURATIONS]
    positions = _shared_positions(pictured)
    for number, stem in ((11, "errors"), (12, "contours")):
        for start, some in chunks(pictured, _MODELS_A_SHEET):
            sheet = "" if start == 0 else f"_sheet_{start // _MODELS_A_SHEET + 1}"
            draw = _errors_figure if number == 11 else _contours_figure
            blocks.append(draw(part.file(f"figure_{number}_{stem}{sheet}"), some, positions))
    blocks.append(Heading("Best and worst patches", 3))
    blocks += [
        _best_and_worst(part.file(f"best_and_worst_{number}"), each)
        for number, each in enumerate(pictured, start=1)
        if len(each.examples.of(BEST)) + len(each.examples.of(WORST))
    ]
    return blocks


def _pictured(part: Part) -> tuple[list[Pictured], list[Block]]:
    """The first run of each configuration that kept patches, and what is said of those that did not."""
    pictured: list[Pictured] = []
    gaps: list[Block] = []
    without: list[Run] = []
    for configuration in part.cohort.scored:
        for run in configuration.finished:
            path = examples_path(run.path, SPLIT)
            # A damaged one is named at the head of the page.
            if not path.exists() or run.is_damaged(path.name):
                continue
            try:
                examples = read_examples(path, run.info)
            except UserError as error:
                gaps.append(Gap(str(error)))
                continue
            if len(examples.position):
                pictured.append(Pictured(configuration, run, examples))
                break
        else:
            without.append(configuration.finished[0])
    if without:
        gaps.append(
            Gap(
                f"No examples_{SPLIT}.npz in {listed([str(run.path) for run in without])}: runs of this version write"
                " it at their end.",
                next_command.train_again(without[0]),
            )
        )
    return pictured, gaps


def _shared_positions(pictured: Sequence[Pictured]) -> list[int]:
    """Patches to show: of those spread over the split, preferably such as all runs kept and as have nuclei."""
    first = pictured[0].examples
    candidates = [int(first.position[number]) for number in first.of(SPREAD)] or first.position.tolist()

    def rank(position: int) -> tuple[bool, bool]:
        kept = all(each.examples.at_position(position) is not None for each in pictured)
        return not kept, not first.truth[first.at_position(position)].any()

    distinct = list(dict.fromkeys(candidates))
    best = sorted(distinct, key=rank)[:_PATCHES]
    return [position for position in distinct if position in best]


def _errors_figure(name: str, pictured: Sequence[Pictured], positions: Sequence[int]) -> Figure:
    def overlay(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        return boxed(error_overlay(image, truth, prediction), worst_windows(truth != prediction))

    legend = (("correct", CORRECT), ("extra", EXTRA), ("missing", MISSING))
    caption = (
        "Figure 11, errors on test patches: blue where truth and prediction agree on nucleus, red what is extra, green"
        f" what is missing. White boxes: the window of {WINDOW_PX} px with most wrong pixels, then the worst that does"
        f" not overlap it, at most {MOST_WINDOWS} a patch, each with at least {100 * LEAST_SHARE:g} % of its pixels"
        " wrong. The paper does not say how it chose its boxes."
    )
    return _sheet(name, caption, pictured, positions, overlay, legend)


def _contours_figure(name: str, pictured: Sequence[Pictured], positions: Sequence[int]) -> Figure:
    legend = (("truth", TRUTH_LINE), ("prediction", PREDICTION_LINE), ("both", BOTH_LINES))
    caption = (
        "Figure 12, outlines on the same patches: green truth, yellow prediction, white where they coincide."
    )
    return _sheet(name, caption, pictured, positions, outline_overlay, legend)


def _sheet(
    name: str,
    caption: str,
    pictured: Sequence[Pictured],
    positions: Sequence[int],
    overlay: Overlay,
    legend: Sequence[tuple[str, tuple[int, int, int]]],
) -> Figure:
    """Patches downwards; the tissue, then each model's overlay to the right."""
    rows, captions, words, has_void = [], [], [], False
    numbers: list[tuple[Value, ...]] = []
    for position in positions:
        of_runs = [(each, each.examples.at_position(position)) for each in pictured]
        first, number = next((each, number) for each, number in of_runs if number is not None)
        pictures, texts = [first.examples.image[number]], [first.name(number)]
        for each in pictured:
            own = each.examples.at_position(position)
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
            texts.append(f"Dice {decimal(dice, 3)}" if dice is not None else nothing)
            numbers.append(_example_row(each, own))
            words.append(f"{each.name(own)}: {each.heading} {texts[-1]}")
        rows.append(pictures)
        captions.append(texts)
    headings = ["tissue", *(each.heading for each in pictured)]
    legend = (*legend, *VOID_LEGEND) if has_void else legend
    sheet = contact_sheet(rows, headings=headings, captions=captions, legend=legend)
    return Figure(
        name,
        caption,
        f"{caption} {'; '.join(words)}.",
        _png(sheet),
        _numbers(numbers),
        is_photograph=True,
    )


def _best_and_worst(name: str, each: Pictured) -> Figure:
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
        f"{reason}, {each.name(number)}, Dice {decimal(examples.dice(number), 3)}"
        for reason, number in chosen
    )
    return Figure(
        name,
        caption,
        f"{caption} {words}.",
        _png(sheet),
        _numbers([_example_row(each, number) for number in numbers]),
        is_photograph=True,
    )


_COLUMNS = (
    "configuration",
    "run",
    "file",
    "seed",
    "fold",
    "row",
    "position",
    "chosen",
    "dice",
    "correct_pixels",
    "extra_pixels",
    "missing_pixels",
    "boxes_top_left_side_wrong",
    "image",
    "top",
    "left",
)
_PLACES = 3


def _example_row(each: Pictured, number: int) -> tuple[Value, ...]:
    examples = each.examples
    truth, prediction = examples.truth[number], examples.prediction[number]
    windows = worst_windows(truth != prediction)
    return (
        each.configuration.name,
        str(each.run.path),
        f"examples_{SPLIT}.npz",
        each.run.seed,
        int(examples.fold[number]),
        int(examples.row[number]),
        int(examples.position[number]),
        str(examples.chosen[number]),
        examples.dice(number),
        int((truth & prediction).sum()),
        int((prediction & ~truth).sum()),
        int((truth & ~prediction).sum()),
        "; ".join(" ".join(map(str, window)) for window in windows),
        str(examples.source[number]),
        int(examples.top[number]),
        int(examples.left[number]),
    )


def _numbers(rows: Sequence[tuple[Value, ...]]) -> Numbers:
    """The numbers of patches; without the columns of places where no patch has one."""
    if any(row[-_PLACES] for row in rows):
        return Numbers(_COLUMNS, tuple(rows))
    return Numbers(_COLUMNS[:-_PLACES], tuple(row[:-_PLACES] for row in rows))


def _png(sheet: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG")
    return buffer.getvalue()
