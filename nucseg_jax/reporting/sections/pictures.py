"""Tissue: for each configuration some patches spread over the test split, the same for all, and its best and worst."""

import io

import numpy as np
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation.examples import BEST, SPREAD, WORST, examples_path, read_examples
from nucseg_jax.evaluation.nuclei_overlays import nuclei_sheet
from nucseg_jax.evaluation.overlays import prediction_sheet
from nucseg_jax.reporting.page.document import Block, Paragraph, Picture, Warn
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.cells import listed, short
from nucseg_jax.reporting.sections.comparison import SPLIT
from nucseg_jax.reporting.sections.part import Part

_PATCHES = {SPREAD: 4, BEST: 2, WORST: 2}
_NUCLEI = (
    "nuclei of the same patches, outlined by class. Errors: found (IoU above 1/2), extra and merged are outlines of"
    " predicted nuclei, missed and split of annotated ones. Merged: more than half of each of two or more annotated"
    " nuclei lies in it; split: it has more than half of each of two or more predicted ones."
)
# Pictures are most of the page's bytes.
_MOST_CONFIGURATIONS = 9


def pictures_blocks(part: Part) -> list[Block]:
    """Returns a sheet for each configuration, of its first run that kept patches."""
    blocks: list[Block] = []
    without = []
    for number, configuration in enumerate(part.configurations[:_MOST_CONFIGURATIONS], 1):
        for run in configuration.finished:
            path = examples_path(run.path, SPLIT)
            # A damaged one is named among the warnings.
            if path.exists() and not run.is_damaged(path.name):
                blocks += _sheets(part, number, f"{configuration.label}, seed {run.seed}", run)
                break
        else:
            without.append(configuration.label)
    if without:
        blocks.append(Paragraph(f"No run kept patches (examples_{SPLIT}.npz) of {listed(without)}."))
    left = [configuration.label for configuration in part.configurations[_MOST_CONFIGURATIONS:]]
    if left:
        blocks.append(
            Paragraph(f"Left out, to keep the page small: {listed(left)}. A narrower --runs shows them.")
        )
    return blocks


def _sheets(part: Part, number: int, title: str, run: Run) -> list[Block]:
    """Returns the sheet of masks, and that of nuclei where the run kept them."""
    try:
        examples = read_examples(examples_path(run.path, SPLIT), run.info)
    except UserError as error:
        return [Warn(str(error))]
    chosen = [
        (f"{reason}: {examples.name(place, run.info)}", int(place))
        for reason, most in _PATCHES.items()
        for place in examples.of(reason)[:most]
    ]
    if not chosen:
        return [Paragraph(f"{title}: no patch was kept.")]
    captions = [words for words, _ in chosen]
    shown = examples.take(np.array([place for _, place in chosen]))
    caption = (
        f"{title}: test patches spread over the split, the same for all runs, then those with the highest and the"
        " lowest Dice. Blue: truth and prediction agree on nucleus; red: extra; green: missing."
    )
    said = "; ".join(f"{words}, Dice {short(shown.dice(place))}" for place, words in enumerate(captions))
    masks = prediction_sheet(
        *(shown.image, shown.truth, shown.probability / 255.0, shown.prediction, captions), void=shown.void
    )
    blocks: list[Block] = [
        Picture(part.file(f"patches_{number}"), caption, f"{caption} {said}.", _png(masks))
    ]
    if shown.nuclei is not None:
        sheet = nuclei_sheet(shown, run.info, captions)
        name = part.file(f"nuclei_{number}")
        blocks.append(Picture(name, f"{title}: {_NUCLEI}", f"{title}: {_NUCLEI}", _png(sheet)))
    return blocks


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()
