"""The batch-norm gap of each run: what training sees, and what the statistics kept for evaluation make of it."""

from collections.abc import Mapping
from typing import Any

from nucseg_jax.evaluation.scores import OTHER_STATISTICS
from nucseg_jax.reporting.page.document import Block, Cell, Table
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import SPLIT_WORDS, gap_of
from nucseg_jax.reporting.sections.curves import curve
from nucseg_jax.reporting.sections.part import Part

MOVING, REESTIMATED, BATCH = OTHER_STATISTICS
_SPLITS = ("validation", "test")
_READING = (
    "Micro Dice of each run by the batch-norm statistics that were used: moving ones remember weights of many steps"
    " ago, re-estimated ones come from one pass over training tiles with the final weights, batch statistics are those"
    " of the evaluation batches (a diagnosis, no score). Where weights still change fast (strong L2, few steps, "
    "momentum .99), training looks fine and moving statistics fail. Training mode: the epoch's tiles with batch"
    " statistics, dropout and augmentation."
)
_READING_OF_THE_PAPER = (
    " The paper's DeepLabV3+ EfficientNet-B4 has a Dice of .87 in training and .6419 in test: a gap of this kind might"
    " explain it, and nothing in the paper shows that it does."
)


def measured(run: Run, split: str, metric: str) -> dict[str, float | None]:
    """Returns a run's micro score by the statistics that were used; what was not measured is missing."""
    sources = [(at(run.results, split), run.config)]
    sources += [
        (each.entry, each.about)
        for each in run.evaluations
        if each.split == split and _differs_in_statistics_alone(each.about, run)
    ]
    found: dict[str, float | None] = {}
    for entry, about in sources:
        if entry is not None:
            chosen = REESTIMATED if at(about, "eval", "reestimate_batch_norm") else MOVING
            found.setdefault(chosen, at(entry, "micro", metric))
            for key in OTHER_STATISTICS:
                if key in entry:
                    found.setdefault(key, at(entry, key, "micro", metric))
    return found


def _differs_in_statistics_alone(about: Mapping[str, Any], run: Run) -> bool:
    """Returns False of the mean of several views and of another stain normalisation than in results.json."""
    method = at(about, "eval", "stain_normalization") or "none"
    own = at(run.config, "eval", "stain_normalization") or "none"
    return about.get("views", 1) == 1 and bool(method == own)


def batch_norm_blocks(part: Part) -> list[Block]:
    """Returns a table of all finished runs; nothing where each has one score alone, unless the paper is asked for."""
    runs = [(each, run) for each in part.configurations for run in each.finished]
    scores = [{split: measured(run, split, "dice") for split in _SPLITS} for _, run in runs]
    if not part.is_paper and all(len(found) < 2 for of_run in scores for found in of_run.values()):
        return []
    rows: list[tuple[Cell, ...]] = []
    for (configuration, run), found in zip(runs, scores, strict=True):
        training = dict(curve(run, "train", "dice"))
        last = run.epochs[-1]["epoch"] if run.epochs else 0
        cells: list[Cell] = [training.get(run.chosen_epoch() or 0), training.get(last)]
        for of_split in found.values():
            cells += [of_split.get(each, "not measured") for each in OTHER_STATISTICS]
        rows.append((configuration.label, str(run.seed), *cells))
    headers = (
        *("configuration", "seed", "training mode, chosen epoch", "last epoch"),
        *(f"{SPLIT_WORDS[split]}, {title}" for split in _SPLITS for title in OTHER_STATISTICS.values()),
    )
    caption = _READING + (_READING_OF_THE_PAPER if part.is_paper else "")
    incomplete = [
        run
        for (_, run), found in zip(runs, scores, strict=True)
        if {BATCH, REESTIMATED} - found["test"].keys()
    ]
    missing = (
        "Without scores by batch statistics or by re-estimated ones: {}. This command measures them in test."
    )
    gaps = gap_of(
        incomplete, missing, lambda run: next_command.evaluate(run, "--config.eval.compare_statistics=end")
    )
    return [Table(part.file("batch_norm"), caption, headers, tuple(rows)), *gaps]
