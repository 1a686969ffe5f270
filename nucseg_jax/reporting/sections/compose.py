"""The whole page: the paper's tables and figures in its order, then what the paper lacks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nucseg_jax.core.counted import counted
from nucseg_jax.reporting.page.document import (
    Block,
    Bullets,
    Document,
    Gap,
    Heading,
    Paragraph,
)
from nucseg_jax.reporting.reading.configuration import Cohort
from nucseg_jax.reporting.reading.find import Found
from nucseg_jax.reporting.sections.bars import bars_blocks
from nucseg_jax.reporting.sections.batch_norm import batch_norm_blocks
from nucseg_jax.reporting.sections.calibration import calibration_blocks
from nucseg_jax.reporting.sections.classes import classes_blocks
from nucseg_jax.reporting.sections.curves import curves_blocks
from nucseg_jax.reporting.sections.density import density_blocks
from nucseg_jax.reporting.sections.groups import groups_blocks
from nucseg_jax.reporting.sections.head import describe_cohort, head_blocks
from nucseg_jax.reporting.sections.intervals import intervals_blocks
from nucseg_jax.reporting.sections.part import Part
from nucseg_jax.reporting.sections.pictures import pictures_blocks
from nucseg_jax.reporting.sections.scores import scores_blocks
from nucseg_jax.reporting.sections.table_1 import table_1_blocks
from nucseg_jax.reporting.sections.times import times_blocks

TITLE = "Nuclei segmentation with U-Net and DeepLabV3+: report"
_OF_THE_PAPER = (scores_blocks, times_blocks, curves_blocks, pictures_blocks, bars_blocks)
_BEYOND = (
    intervals_blocks,
    classes_blocks,
    groups_blocks,
    density_blocks,
    calibration_blocks,
    batch_norm_blocks,
)


def compose(
    found: Found,
    cohorts: Sequence[Cohort],
    models: Sequence[Mapping[str, Any]],
    gaps_of_models: Iterable[Gap] = (),
) -> Document:
    """The page.

    Args:
      found: what was read.
      cohorts: its runs, sorted.
      models: rows of Table 1; see `table_1_blocks`.
      gaps_of_models: rows of Table 1 that could not be computed.
    """
    blocks: list[Block] = head_blocks(found, cohorts)
    paper_configs = {row["name"]: row["config"] for row in models if row["is_paper"]}
    body: list[Block] = [*table_1_blocks(models), *gaps_of_models]
    for number, cohort in enumerate(cohorts, start=1):
        several = len(cohorts) > 1
        part = Part(cohort, f"comparison_{number}_" if several else "", paper_configs)
        body += [
            Heading(f"Comparison {number}" if several else "The comparison"),
            Paragraph(describe_cohort(cohort)),
        ]
        if not cohort.scored:
            body.append(Gap("No run of this comparison is finished: there are curves, and no scores."))
            body += curves_blocks(part)
            continue
        for section in (*_OF_THE_PAPER, *_BEYOND):
            body += section(part)
    blocks += [*_missing([*blocks, *body]), *body]
    return Document(TITLE, tuple(blocks))


def _missing(blocks: Sequence[Block]) -> list[Block]:
    """A list of all gaps of the page, so that nobody has to look for them."""
    items = []
    place = ""
    for block in blocks:
        if isinstance(block, Heading):
            place = block.text
        elif isinstance(block, Gap) and not block.repeats:
            items.append(f"{place}: {block.missing}")
    if not items:
        return []
    return [
        Heading("What is missing", 3),
        Paragraph(
            f"{counted(len(items), 'gap')}; each stands in its place below, with the command that fills it."
        ),
        Bullets(tuple(items)),
    ]
