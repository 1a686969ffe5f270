"""The whole page: the answer, what each run was, then a part of sections for each comparison."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.reporting.page.document import Block, Document, Gap, Section
from nucseg_jax.reporting.reading.configuration import Cohort, Configuration
from nucseg_jax.reporting.reading.find import Found
from nucseg_jax.reporting.sections.answer import answer_blocks
from nucseg_jax.reporting.sections.batch_norm import batch_norm_blocks
from nucseg_jax.reporting.sections.breakdown import classes_blocks, density_blocks, groups_blocks
from nucseg_jax.reporting.sections.calibration import calibration_blocks
from nucseg_jax.reporting.sections.cells import mean
from nucseg_jax.reporting.sections.comparison import SPLIT, compare
from nucseg_jax.reporting.sections.curves import curves_blocks
from nucseg_jax.reporting.sections.nuclei import nuclei_blocks
from nucseg_jax.reporting.sections.nuclei_intervals import compare_nuclei
from nucseg_jax.reporting.sections.paper import paper_blocks, table_1
from nucseg_jax.reporting.sections.part import Part
from nucseg_jax.reporting.sections.pictures import pictures_blocks
from nucseg_jax.reporting.sections.robustness import robustness_blocks
from nucseg_jax.reporting.sections.runs import runs_section
from nucseg_jax.reporting.sections.scores import scores_blocks, scores_csv
from nucseg_jax.reporting.sections.times import times_blocks

# In the order of the page; a section without a block is left out.
SECTIONS: Mapping[str, Callable[[Part], list[Block]]] = {
    "Scores by convention": scores_blocks,
    "Nuclei": nuclei_blocks,
    "Scores by class": classes_blocks,
    "Scores by group": groups_blocks,
    "Score against nucleus density": density_blocks,
    "Calibration": calibration_blocks,
    "Robustness": robustness_blocks,
    "Batch-norm statistics": batch_norm_blocks,
    "Times": times_blocks,
}


@dataclasses.dataclass(frozen=True)
class Wishes:
    """Requests of the reader.

    Attributes:
      sort: 'sweep' (the order of its rows) or 'score' (best first).
      baseline: label of the configuration that the others are compared with; '' = the best.
      is_paper: whether the paper's tables and all gaps are told, whatever was run.
      has_pictures: whether tissue is drawn.
    """

    sort: str = "sweep"
    baseline: str = ""
    is_paper: bool = False
    has_pictures: bool = False


def make_parts(
    cohorts: Sequence[Cohort], wishes: Wishes, paper_configs: Mapping[str, Mapping[str, Any]]
) -> list[Part]:
    """Compares the configurations of each cohort; UserError if none has the baseline that the reader asks for."""
    labels = {each.label for cohort in cohorts for each in cohort.configurations if each.finished}
    if wishes.baseline and wishes.baseline not in labels:
        raise UserError(
            f"no configuration with a finished run has the label {wishes.baseline!r}"
            + did_you_mean(wishes.baseline, labels),
            expected=f"one of {', '.join(sorted(labels))}" if labels else "a finished run",
        )
    parts = []
    for number, cohort in enumerate(cohorts, 1):
        rows = cohort.configurations
        if wishes.sort == "score":
            rows = tuple(sorted(rows, key=_dice, reverse=True))
        finished = [each for each in rows if each.finished]
        compared = compare(finished, wishes.baseline)
        nuclei = compare_nuclei(finished, wishes.baseline)
        prefix = f"comparison_{number}_" if len(cohorts) > 1 else ""
        is_paper = wishes.is_paper or is_of_the_paper(cohort)
        parts.append(Part(cohort, rows, compared, nuclei, prefix, is_paper, paper_configs))
    return parts


def is_of_the_paper(cohort: Cohort) -> bool:
    """Returns True if a run is one of the paper's models on the paper's data."""
    return any(each.paper is not None for each in cohort.configurations)


def compose(
    found: Found,
    parts: Sequence[Part],
    wishes: Wishes,
    models: Sequence[Mapping[str, Any]] = (),
    gaps_of_models: Sequence[Gap] = (),
) -> Document:
    """Returns the page of what was found; `models` are rows of Table 1, `gaps_of_models` those that have none."""
    cohorts = [part.cohort for part in parts]
    names = [f"Comparison {number}" for number in range(1, len(parts) + 1)]
    several = len(parts) > 1
    answer: list[Block] = []
    body: list[Block] = [runs_section(found, cohorts)]
    if models:
        body.append(Section("The paper's models", (table_1(models), *gaps_of_models)))
    for part, name in zip(parts, names, strict=True):
        blocks = answer_blocks(part)
        answer += [Section(name, tuple(blocks))] if several else blocks
        sections = _sections(part, wishes)
        body += [Section(name, tuple(sections))] if several else sections
    if not any(part.is_paper for part in parts):
        body = _without_gaps(body)
    finished = sum(run.results is not None for run in found.runs)
    title = f"Report of {counted(len(found.runs), 'run')}, {finished} finished"
    return Document(title, tuple(answer), tuple(body), scores_csv(cohorts))


def _sections(part: Part, wishes: Wishes) -> list[Block]:
    chosen: dict[str, Callable[[Part], list[Block]]] = {}
    if part.configurations:
        chosen |= SECTIONS
        if part.is_paper:
            chosen = {"Tables 2 to 4 of the paper": paper_blocks, **chosen}
        if wishes.has_pictures:
            chosen["Pictures"] = pictures_blocks
    chosen["Curves"] = curves_blocks
    sections = [Section(title, tuple(blocks_of(part))) for title, blocks_of in chosen.items()]
    told: list[Block] = [section for section in sections if section.blocks]
    return told if part.is_paper else _without_gaps(told)


def _without_gaps(blocks: Sequence[Block]) -> list[Block]:
    """Leaves out gaps, and sections that held nothing else."""
    kept = [
        dataclasses.replace(block, blocks=tuple(_without_gaps(block.blocks)))
        if isinstance(block, Section)
        else block
        for block in blocks
        if not isinstance(block, Gap)
    ]
    return [block for block in kept if not isinstance(block, Section) or block.blocks]


def _dice(configuration: Configuration) -> float:
    value = mean([run.score(SPLIT, "micro", "dice") for run in configuration.finished])
    return -1.0 if value is None else value
