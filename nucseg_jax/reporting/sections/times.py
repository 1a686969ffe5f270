"""Times of training, and of one image."""

from collections.abc import Mapping
from typing import Any

from nucseg_jax.reporting.page.document import Block, Cell, Measured, Table
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.paper import DEVICE
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.cells import gap_of, listed, mean
from nucseg_jax.reporting.sections.paper import OF_THE_PAPER, by_paper, references
from nucseg_jax.reporting.sections.part import Part

BATCH_SIZES = (1, 8)
# Phases of timing.json by what they are counted as; all others are only part of the whole.
_KINDS = {
    "training": ("training", "first_step"),
    "validation": ("validation",),
    "compilation": ("compilation", "program"),
}


def times_blocks(part: Part) -> list[Block]:
    """Returns the table, and the runs that were not timed."""
    rows: list[tuple[Cell, ...]] = []
    for paper, configurations in by_paper(part):
        if paper is not None:
            times = (Measured(paper.training_min), "", "", "", "", f"{paper.inference_s:.2f} s", "")
            rows.append((f"{paper.name}{OF_THE_PAPER}", *times, DEVICE))
        rows += map(_row, configurations)
    source = (
        " The paper's times are those of its text; what its seconds of inference are counted for is not told."
    )
    table = Table(
        part.file("times"),
        f"{'Table 5. ' if part.is_paper else ''}Minutes, summed over a run's starts, mean over runs. `training` holds"
        " the steps and the validation after each epoch, as Keras's time does; `whole run` is everything from the start"
        f" of the process to the last score. Milliseconds are medians after warm-up.{source if part.is_paper else ''}",
        (
            *("configuration", "training", "steps", "validation", "compilation", "whole run"),
            *(f"ms an image, batch {size}" for size in BATCH_SIZES),
            "device",
        ),
        tuple(rows),
        references=references(rows),
    )
    untimed = [run for each in part.configurations for run in each.finished if not inference_ms(run)]
    missing = (
        "No inference times in timing.json of {}: runs of this version measure them at their end, unless"
        " eval.time_inference is off."
    )
    again = "--config.eval.time_inference=True"
    return [table, *gap_of(untimed, missing, lambda run: next_command.train_again(run, again))]


def minutes(run: Run) -> dict[str, float]:
    """Returns the wall time of a run by kind and as a whole, all starts together; empty if it was not written."""
    seconds: dict[str, float] = {}
    for start in run.timing.get("starts", ()):
        for phase, value in start.items():
            if isinstance(value, int | float):
                seconds[phase] = seconds.get(phase, 0.0) + value
    if not seconds:
        return {}
    of_kinds = {kind: sum(seconds.get(phase, 0.0) for phase in phases) for kind, phases in _KINDS.items()}
    return {kind: value / 60.0 for kind, value in {**of_kinds, "whole": sum(seconds.values())}.items()}


def inference_ms(run: Run) -> dict[int, float]:
    """Returns milliseconds an image by batch size; empty if they were not measured."""
    rows: list[Mapping[str, Any]] = run.timing.get("inference") or []
    return {int(row["batch_size"]): float(row["ms_per_image"]) for row in rows}


def _row(configuration: Configuration) -> tuple[Cell, ...]:
    times = [time for time in map(minutes, configuration.finished) if time]
    images = [inference_ms(run) for run in configuration.finished]
    columns = (("training", "validation"), ("training",), ("validation",), ("compilation",), ("whole",))
    return (
        configuration.label,
        *(Measured(mean([sum(time[kind] for kind in kinds) for time in times])) for kinds in columns),
        *(Measured(mean([of_run.get(size) for of_run in images]), 1) for size in BATCH_SIZES),
        listed(sorted({run.device for run in configuration.finished})),
    )
