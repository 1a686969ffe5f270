"""Scores by tissue."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure as Chart

from nucseg_jax.data.sources.pannuke.vocabulary import TISSUES
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import class_scores
from nucseg_jax.reporting.page.document import Block, Figure, Gap, Heading, Numbers, Table, Value
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.sections.cells import decimal, listed, mean
from nucseg_jax.reporting.sections.drawing import LOOKS, MOST_LINES, chart, chunks, wrapped
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"


def tissues_blocks(part: Part) -> list[Block]:
    """A table and a chart of the test split."""
    blocks: list[Block] = [Heading("Scores by tissue", 3)]
    shown = [
        configuration
        for configuration in part.cohort.scored
        if any(SPLIT in run.counts for run in configuration.finished)
    ]
    if not shown:
        return [*blocks, Gap(f"No run here has a per_image_{SPLIT}.csv.")]
    numbers: list[tuple[Value, ...]] = []
    values: dict[str, dict[str, list[float | None]]] = {}
    patches: dict[str, int] = {}
    for configuration in shown:
        for run in configuration.finished:
            if SPLIT not in run.counts:
                continue
            for tissue, (number, dice) in tissue_dice(run.counts[SPLIT]).items():
                patches[tissue] = number
                values.setdefault(tissue, {}).setdefault(configuration.name, []).append(dice)
                key = (configuration.name, str(run.path), f"per_image_{SPLIT}.csv", run.seed)
                numbers.append((*key, SPLIT, tissue, number, "image_skip", "dice", dice))
    table = Numbers(
        (
            "configuration",
            "run",
            "file",
            "seed",
            "split",
            "tissue",
            "patches_with_nuclei",
            "convention",
            "metric",
            "value",
        ),
        tuple(numbers),
    )
    tissues = [tissue for tissue in TISSUES if tissue in values]
    for start, some in chunks(shown, MOST_LINES):
        sheet = "" if start == 0 else f"_sheet_{start // MOST_LINES + 1}"
        names = [configuration.name for configuration in some]
        means = {tissue: [mean(values[tissue].get(name, [])) for name in names] for tissue in tissues}
        blocks.append(
            Figure(
                part.file(f"tissues{sheet}"),
                "Mean Dice of the test patches of each tissue that have nuclei (`image_skip`), mean over runs;"
                " behind the name, how many such patches there are. Few patches say little.",
                "Dice by tissue: "
                + "; ".join(
                    f"{_words(tissue)} {listed([decimal(value, 3) for value in means[tissue]])}"
                    for tissue in tissues
                )
                + ".",
                chart(
                    lambda figure, means=means, some=some: _draw(figure, means, patches, some),  # type: ignore[misc]
                    height_in=1.0 + (0.2 + 0.06 * len(some)) * len(tissues) + 0.26 * len(some),
                ),
                table,
            )
        )
    rows = tuple(
        (
            _words(tissue),
            str(patches[tissue]),
            *(decimal(mean(values[tissue].get(configuration.name, []))) for configuration in shown),
        )
        for tissue in tissues
    )
    blocks.append(
        Table(
            part.file("tissues"),
            "The same numbers.",
            ("tissue", "patches", *(configuration.name for configuration in shown)),
            rows,
            table,
        )
    )
    return blocks


def tissue_dice(counts: Counts) -> dict[str, tuple[int, float | None]]:
    """By tissue: patches that have nuclei, and their mean Dice."""
    found = {}
    for number in np.unique(counts.group):
        of_tissue = counts.counts[counts.group == number, 0].astype(np.int64)
        has_truth = of_tissue[:, 0] + of_tissue[:, 2] > 0
        scores = class_scores(of_tissue, np.zeros(len(of_tissue), np.int32))
        found[TISSUES[number]] = (int(has_truth.sum()), scores["image_skip"]["dice"])
    return found


def _words(tissue: str) -> str:
    return {"HeadNeck": "Head and neck"}.get(tissue, tissue.replace("_", " ").replace("-", " ").capitalize())


def _draw(
    figure: Chart,
    means: dict[str, list[float | None]],
    patches: dict[str, int],
    configurations: Sequence[Configuration],
) -> None:
    axes = figure.subplots()
    for number, (configuration, look) in enumerate(zip(configurations, LOOKS, strict=False)):
        points = [
            (of_tissue[number], y)
            for y, of_tissue in enumerate(means.values())
            if of_tissue[number] is not None
        ]
        # Set off a little, so that equal scores do not hide each other.
        offset = min(0.12, 0.6 / len(configurations)) * (number - (len(configurations) - 1) / 2)
        axes.plot(
            [value for value, _ in points],
            [y + offset for _, y in points],
            look.marker,
            color=look.color,
            markeredgecolor="white",
            markeredgewidth=0.6,
            markersize=7,
            label=wrapped(configuration.name, width_in=5.6, size_pt=9),
        )
    axes.set_yticks(range(len(means)), [f"{_words(tissue)} ({patches[tissue]})" for tissue in means])
    axes.set_ylim(len(means) - 0.5, -0.5)
    axes.set_xlabel("mean Dice of patches with nuclei")
    axes.margins(x=0.08)
    figure.legend(loc="outside lower left", ncols=1)
