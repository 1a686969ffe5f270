"""Table 5: how long training took, and one image."""

from collections.abc import Mapping
from typing import Any

from nucseg_jax.reporting.page.document import (
    NOT_MEASURED,
    NOT_RUN,
    UNDEFINED,
    Block,
    Gap,
    Heading,
    Numbers,
    Table,
    Value,
)
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.paper import CITATION, DEVICE
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.cells import listed, mean
from nucseg_jax.reporting.sections.part import Part
from nucseg_jax.reporting.sections.scores import OF_THE_PAPER, references

BATCH_SIZES = (1, 8)
# Phases of timing.json by what they are counted as; all others are only part of the whole.
_KINDS = {
    "training": ("training", "first_step"),
    "validation": ("validation",),
    "compilation": ("compilation", "program"),
}


def times_blocks(part: Part) -> list[Block]:
    """The table, and the runs that were not timed."""
    shown: list[tuple[str, ...]] = []
    numbers: list[tuple[Value, ...]] = []
    source = f"{CITATION}, text"
    for paper in (*part.papers, None):
        if paper is not None:
            shown.append(
                (
                    f"{paper.name}{OF_THE_PAPER}",
                    f"{paper.training_min:.2f}",
                    *("" for _ in range(4)),
                    f"{paper.inference_s:.2f} s",
                    DEVICE,
                )
            )
            numbers += [
                (paper.name, "", source, "training_min", paper.training_min),
                (paper.name, "", source, "inference_s", paper.inference_s),
            ]
            if paper in part.not_run:
                shown.append((f"{paper.name}: ours", *(NOT_RUN for _ in range(6)), UNDEFINED))
        for configuration in part.cohort.scored:
            if configuration.paper is paper:
                shown.append(_row(configuration))
                numbers += _numbers(configuration)
    blocks: list[Block] = [
        Heading("Table 5: times", 3),
        Table(
            part.file("table_5"),
            "Training time in minutes, summed over a run's starts, mean over runs. `training` holds the steps and"
            " the validation after each epoch, as Keras's time does; steps, validation and compilation stand"
            " beside it; `whole run` is everything from the start of the process to the last score. Milliseconds an"
            " image are medians after warm-up. What the paper's seconds of inference are counted for is not said,"
            " and its Table 5 repeats Table 4: its times are those of its text.",
            (
                "model",
                "training, min",
                "steps",
                "validation",
                "compilation",
                "whole run",
                "ms an image, batch 1 / 8",
                "device",
            ),
            tuple(shown),
            Numbers(("configuration", "run", "file", "quantity", "value"), tuple(numbers)),
            references=references(shown),
        ),
    ]
    untimed = [
        run for configuration in part.cohort.scored for run in configuration.finished if not inference_ms(run)
    ]
    if untimed:
        blocks.append(
            Gap(
                f"No inference times in timing.json of {listed([str(run.path) for run in untimed])}: runs of this"
                " version measure them at their end, unless eval.time_inference is off.",
                next_command.train_again(untimed[0], "--config.eval.time_inference=True"),
            )
        )
    return blocks


def minutes(run: Run) -> dict[str, float]:
    """Wall time of a run by kind and as a whole, all starts together; empty if it was not written."""
    seconds: dict[str, float] = {}
    for start in run.timing.get("starts", ()):
        for phase, value in start.items():
            if isinstance(value, int | float):
                seconds[phase] = seconds.get(phase, 0.0) + value
    if not seconds:
        return {}
    of_kinds = {
        kind: sum(seconds.get(phase, 0.0) for phase in phases) / 60.0 for kind, phases in _KINDS.items()
    }
    return {**of_kinds, "whole": sum(seconds.values()) / 60.0}


def inference_ms(run: Run) -> dict[int, float]:
    """Milliseconds an image by batch size; empty if they were not measured."""
    rows: list[Mapping[str, Any]] = run.timing.get("inference") or []
    return {int(row["batch_size"]): float(row["ms_per_image"]) for row in rows}


def _row(configuration: Configuration) -> tuple[str, ...]:
    times = [time for time in map(minutes, configuration.finished) if time]
    images = [inference_ms(run) for run in configuration.finished]

    def shown(*kinds: str) -> str:
        if not times:
            return NOT_MEASURED
        return f"{mean([sum(time[kind] for kind in kinds) for time in times]):.2f}"

    milliseconds = [mean([of_run.get(size) for of_run in images]) for size in BATCH_SIZES]
    return (
        configuration.name,
        shown("training", "validation"),
        shown("training"),
        shown("validation"),
        shown("compilation"),
        shown("whole"),
        NOT_MEASURED
        if all(value is None for value in milliseconds)
        else " / ".join(UNDEFINED if value is None else f"{value:.1f}" for value in milliseconds),
        listed(sorted({run.device for run in configuration.finished})),
    )


def _numbers(configuration: Configuration) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    for run in configuration.finished:
        key = (configuration.name, str(run.path), "timing.json")
        rows += [(*key, f"{kind}_min", value) for kind, value in minutes(run).items()]
        rows += [(*key, f"inference_ms_batch_{size}", value) for size, value in inference_ms(run).items()]
    return rows
