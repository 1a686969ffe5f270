"""The model card beside an exported file: data, split, scores with intervals, licence, scale, and known failures."""

import functools
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.evaluation.bootstrap import MEASURES, bootstrap_intervals, mean_scores
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.evaluation.robustness.measurement import Measurement, read_measurement
from nucseg_jax.model_folder.card import (
    LIMITS,
    SCORE_DIGITS,
    cell,
    fact_rows,
    facts_table,
    score_rows,
)
from nucseg_jax.model_folder.facts import ModelFacts, first_line
from nucseg_jax.model_folder.folder import is_model_folder, read_model_folder
from nucseg_jax.run import Run
from nucseg_jax.run_folder.folder import RunFolder

_CONVENTIONS = {
    "micro": "pixels of all images pooled",
    "image_skip": "mean over images, those without a nucleus left out",
}


class ProgramFacts(NamedTuple):
    """Facts about an exported file.

    Attributes:
      name: of the file.
      format: in words.
      rows: what it takes and gives, by title.
      load_with: Python that loads it.
      sha256: 64 hexadecimal digits.
      compared: how it was compared with the model, and the difference.
    """

    name: str
    format: str
    rows: Mapping[str, str]
    load_with: str
    sha256: str
    compared: str


def program_card(run: Run, facts: ModelFacts, program: ProgramFacts) -> str:
    """Returns the card, Markdown.

    Args:
      run: that was exported.
      facts: about its model.
      program: about the file.

    Raises:
      UserError: a file of the run that the card is made of is damaged.
    """
    rows = {
        "file": f"`{program.name}`, {program.format}",
        "SHA-256": f"`{program.sha256}`",
        **program.rows,
        **fact_rows(facts),
        "licence of the data": first_line(facts.info.licence),
        "compared": program.compared,
    }
    is_folder = is_model_folder(run.path)
    parts = [
        f"# {program.name}",
        "A nucleus segmentation model for H&E images, written by `nucseg export`. `image` below is uint8 RGB"
        f" [N, H, W, 3] at {facts.info.microns_per_px:g} microns per pixel; resample images of another scale first."
        " A pixel is nucleus where the sum over the channels of `probability` exceeds the threshold of"
        f" {run.rule.threshold:g}{'; its class is the largest channel' if run.info.classes else ''}.",
        f"```python\n{program.load_with}\n```",
        facts_table(rows),
        "## Data and split\n\n" + ("See the card of the model below." if is_folder else _split(run)),
        "## Validation on the test split\n\n" + _scores(run, facts, is_folder=is_folder),
        "## Known failures\n\n" + ("See the card of the model below." if is_folder else _failures(run)),
        f"## Limits\n\n{LIMITS}",
    ]
    if facts.notes:
        parts.append(f"## Notes\n\n{facts.notes}")
    if facts.info.citation:
        parts.append(f"## Data to cite\n\n```\n{facts.info.citation}\n```")
    if is_folder:
        own = read_model_folder(run.path).read_card()
        parts.append(f"## The card of the model\n\n{demoted(own)}")
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def demoted(text: str) -> str:
    """Returns Markdown with its headings two levels lower; comments in blocks of code are no headings.

    >>> demoted("# a")
    '### a'
    """
    lines, is_code = [], False
    for line in text.splitlines():
        is_code ^= line.startswith("```")
        lines.append(f"##{line}" if line.startswith("#") and not is_code else line)
    return "\n".join(lines)


def _split(run: Run) -> str:
    splits, _ = RunFolder(run.path).read_splits()
    sizes = ", ".join(
        f"{title} {counted(len(getattr(splits, name)), 'patch')}"
        for name, title in (("train", "training"), ("validation", "validation"), ("test", "test"))
    )
    split = run.experiment.config.split
    return (
        f"{run.info.name}: {sizes} of {run.info.patch_px} px, by the protocol `{split.protocol}`, number"
        f" {split.number}; SHA-256 of the split {splits.digest[:12]}. The validation split chose the epoch."
    )


def _scores(run: Run, facts: ModelFacts, *, is_folder: bool) -> str:
    if not facts.scores:
        return "The run has no test scores of these weights."
    pooled = score_rows(facts.scores)
    if is_folder:
        return f"Of the run, before any rounding of the weights.\n\n{facts_table(pooled)}"
    counts, _ = read_per_image(per_image_path(run.path, "test"), run.info)
    nucleus = counts.counts[:, 0]
    found = bootstrap_intervals(functools.partial(mean_scores, nucleus[None]), len(nucleus))
    lines = ["| score | convention | value | 95 % interval |", "|---|---|---|---|"]
    for (convention, metric), *values in zip(MEASURES, found.estimate, found.low, found.high, strict=True):
        estimate, low, high = map(_decimal, values)
        interval = "undefined" if "-" in (low, high) else f"{low} to {high}"
        lines.append(f"| {metric} | `{convention}`: {_CONVENTIONS[convention]} | {estimate} | {interval} |")
    of_nuclei = {title: value for title, value in pooled.items() if "nuclei" in title}
    lines += [f"| {title} | | {value} | |" for title, value in of_nuclei.items()]
    return (
        f"Nucleus against background on {counted(len(nucleus), 'image')}; intervals by the bootstrap over images, which"
        " covers neither other slides nor other seeds.\n\n" + "\n".join(lines)
    )


def _failures(run: Run) -> str:
    """Tables of the run's measurements of robustness, of which damaged ones and ones of other weights are named."""
    root = RunFolder(run.path).robustness
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    parts = [_of_measurement(folder, run) for folder in folders if not folder.name.startswith(".")]
    if not parts:
        return (
            "Not measured. `nucseg robustness --workdir=RUN` measures them; export again to have them here."
        )
    return "\n\n".join(parts)


def _of_measurement(folder: pathlib.Path, run: Run) -> str:
    try:
        measurement = read_measurement(folder)
    except UserError as error:
        return f"A measurement, `{folder.name}`, cannot be used: {reason_of(error)}."
    step = measurement.about["checkpoint_step"]
    if step != run.checkpoint_step:
        return f"A measurement, `{folder.name}`, is of step {step}, not of these weights."
    return _tables(measurement)


def _tables(measurement: Measurement) -> str:
    found, about = measurement.corruptions["run"], measurement.about
    rows = {"clean": "none", **dict.fromkeys(measurement.kinds, "mean of its severities")}
    lines = ["| corruption | severity | Dice (micro), 95 % interval |", "|---|---|---|"]
    lines += [f"| {kind} | {severity} | {_interval(found[kind])} |" for kind, severity in rows.items()]
    if "mean_corrupted" in found:
        lines.append(f"| all kinds | mean | {_interval(found['mean_corrupted'])} |")
    worst = measurement.corruptions.get("worst_kind")
    words = f" The worst kind is {worst}." if worst else ""
    parts = [
        f"Corrupted images of the {about['split']} split of {about['data_name']}"
        f" ({counted(about['images'], 'image')}).{words}",
        "\n".join(lines),
    ]
    if measurement.shifts:
        lines = ["| other data | images | Dice (micro), 95 % interval |", "|---|---|---|"]
        lines += [
            f"| {cell(shift['data_name'])} | {shift['images']:,} | {_interval(shift['run']['clean'])} |"
            for shift in measurement.shifts.values()
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _interval(entry: Mapping[str, Any]) -> str:
    estimate, low, high = (_decimal(entry[name]) for name in ("estimate", "low", "high"))
    return f"{estimate} ({low} to {high})"


def _decimal(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.{SCORE_DIGITS}f}"
