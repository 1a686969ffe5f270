"""Tissue with errors: the same patches for all models, and each model's best and worst patches."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation import overlays
from nucseg_jax.evaluation.contact_sheet import contact_sheet
from nucseg_jax.evaluation.examples import BEST, SPREAD, WORST, Examples, examples_path, read_examples
from nucseg_jax.reporting.page.document import Block, Paragraph, Picture, Warn
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.cells import chunks, listed, short
from nucseg_jax.reporting.sections.comparison import SPLIT
from nucseg_jax.reporting.sections.part import Part

_PATCHES, _BEST_AND_WORST = 4, 2
# Beside the tissue itself; more columns would make patches too small to see a rim one pixel wide.
_MODELS_A_SHEET = 3
# Pictures are most of the page's bytes.
_MOST_CONFIGURATIONS = 9
_COLORS = "Blue: truth and prediction agree on nucleus; red: extra; green: missing."


class Pictured(NamedTuple):
    """A configuration, the run that stands for it, and that run's patches."""

    configuration: Configuration
    run: Run
    examples: Examples

    @property
    def heading(self) -> str:
        """The configuration; with its seed where it has several."""
        seed = f", seed {self.run.seed}" if len(self.configuration.finished) > 1 else ""
        return f"{self.configuration.label}{seed}"


def pictures_blocks(part: Part) -> list[Block]:
    """Returns a sheet of the same patches for all configurations, and one of the best and worst of each."""
    blocks: list[Block] = []
    found = [_pictured(each, blocks) for each in part.configurations]
    without = [each.label for each, kept in zip(part.configurations, found, strict=True) if kept is None]
    if without:
        blocks.append(Paragraph(f"No run kept patches (examples_{SPLIT}.npz) of {listed(without)}."))
    all_pictured = [kept for kept in found if kept is not None]
    pictured, left = all_pictured[:_MOST_CONFIGURATIONS], all_pictured[_MOST_CONFIGURATIONS:]
    if left:
        names = listed([each.configuration.label for each in left])
        blocks.append(Paragraph(f"Left out, to keep the page small: {names}. A narrower --runs shows them."))
    positions = _shared_positions(pictured) if pictured else []
    for number, some in enumerate(chunks(pictured, _MODELS_A_SHEET), 1):
        caption = f"Errors on the same test patches, as in the paper's Figure 11. {_COLORS}"
        blocks.append(_sheet(part.file(f"errors_{number}"), caption, some, positions))
    for number, each in enumerate(pictured, 1):
        chosen = [place for reason in (BEST, WORST) for place in each.examples.of(reason)[:_BEST_AND_WORST]]
        caption = (
            f"{each.heading}: the test patches with the highest, then those with the lowest Dice. {_COLORS}"
        )
        if chosen:
            of_each = [int(each.examples.position[place]) for place in chosen]
            blocks.append(_sheet(part.file(f"best_and_worst_{number}"), caption, [each], of_each))
    return blocks


def _pictured(configuration: Configuration, blocks: list[Block]) -> Pictured | None:
    """Returns the first run of a configuration that kept patches; a file that cannot be read is added to `blocks`."""
    for run in configuration.finished:
        path = examples_path(run.path, SPLIT)
        # A damaged one is named among the warnings.
        if path.exists() and not run.is_damaged(path.name):
            try:
                examples = read_examples(path, run.info)
            except UserError as error:
                blocks.append(Warn(str(error)))
                continue
            if len(examples.position):
                return Pictured(configuration, run, examples)
    return None


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


def _sheet(name: str, caption: str, pictured: Sequence[Pictured], positions: Sequence[int]) -> Picture:
    """Draws patches downwards; the tissue, then each model's overlay to the right."""
    rows, captions, words = [], [], []
    has_void = False
    for position in positions:
        of_runs = [(each, each.examples.at_position(position)) for each in pictured]
        first, number = next((each, number) for each, number in of_runs if number is not None)
        pictures = [first.examples.image[number]]
        texts = [first.examples.name(number, first.run.info)]
        for each, own in of_runs:
            if own is None:
                pictures.append(np.full_like(pictures[0], 235))
                texts.append("not kept by this run")
                continue
            examples = each.examples
            void = examples.void[own]
            drawn = overlays.error_overlay(examples.image[own], examples.truth[own], examples.prediction[own])
            pictures.append(overlays.shaded(drawn, void))
            has_void = has_void or bool(void.any())
            dice = examples.dice(own)
            nothing = "not annotated" if void.all() else "no nucleus, none predicted"
            texts.append(f"Dice {short(dice)}" if dice is not None else nothing)
            words.append(f"{texts[0]}: {each.heading} {texts[-1]}")
        rows.append(pictures)
        captions.append(texts)
    headings = ["tissue", *(each.heading for each in pictured)]
    legend = (*overlays.LEGEND, *overlays.VOID_LEGEND) if has_void else overlays.LEGEND
    buffer = io.BytesIO()
    sheet = contact_sheet(rows, headings=headings, captions=captions, legend=legend)
    Image.fromarray(sheet).save(buffer, format="PNG")
    return Picture(name, caption, f"{caption} {'; '.join(words)}.", buffer.getvalue())
