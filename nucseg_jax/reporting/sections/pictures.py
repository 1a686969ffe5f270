"""Tissue: for each configuration some patches spread over the test split, the same for all, and its best and worst."""

import io

from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation.examples import BEST, SPREAD, WORST, examples_path, read_examples
from nucseg_jax.evaluation.overlays import prediction_sheet
from nucseg_jax.reporting.page.document import Block, Paragraph, Picture, Warn
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.cells import listed, short
from nucseg_jax.reporting.sections.comparison import SPLIT
from nucseg_jax.reporting.sections.part import Part

_PATCHES = {SPREAD: 4, BEST: 2, WORST: 2}
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
                name = part.file(f"patches_{number}")
                blocks.append(_sheet(name, f"{configuration.label}, seed {run.seed}", run))
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


def _sheet(name: str, title: str, run: Run) -> Block:
    try:
        examples = read_examples(examples_path(run.path, SPLIT), run.info)
    except UserError as error:
        return Warn(str(error))
    chosen = [
        (f"{reason}: {examples.name(number, run.info)}", int(number))
        for reason, most in _PATCHES.items()
        for number in examples.of(reason)[:most]
    ]
    if not chosen:
        return Paragraph(f"{title}: no patch was kept.")
    numbers = [number for _, number in chosen]
    sheet = prediction_sheet(
        *(examples.image[numbers], examples.truth[numbers], examples.probability[numbers] / 255.0),
        examples.prediction[numbers],
        [words for words, _ in chosen],
        void=examples.void[numbers],
    )
    caption = (
        f"{title}: test patches spread over the split, the same for all runs, then those with the highest and the"
        " lowest Dice. Blue: truth and prediction agree on nucleus; red: extra; green: missing."
    )
    said = "; ".join(f"{words}, Dice {short(examples.dice(number))}" for words, number in chosen)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG")
    return Picture(name, caption, f"{caption} {said}.", buffer.getvalue())
