"""The command that would fill a gap, with the flags that make its outcome comparable to what is there."""

import json
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from nucseg_jax.config import config_fields
from nucseg_jax.core.program import PROGRAM, PROGRAM_WORDS
from nucseg_jax.reporting.reading.paper import PaperModel
from nucseg_jax.reporting.reading.run import Run, at

_CONFIG = "--config="
_WORKDIR = "--workdir="
_OVERRIDE = "--config."


def train_missing(
    paper: PaperModel, like: Sequence[Run], paper_config: Mapping[str, Mapping[str, Any]] | None
) -> tuple[str, ...]:
    """Returns the commands that train a model of the paper as the first of the runs at hand was trained.

    `paper_config` is what the model's config file holds; None if unknown: then nothing is changed in it.
    """
    name = pathlib.PurePath(paper.config).stem
    weights = f"weights/{paper.encoder}"
    changes = {
        f"{section}.{field}": value
        for section, fields in (like[0].config.items() if like and paper_config else ())
        for field, value in fields.items()
        if not _is_of_the_model(f"{section}.{field}")
        if json.dumps(value) != json.dumps(at(paper_config, section, field))
    }
    command = [
        *(*PROGRAM_WORDS, "train", f"{_CONFIG}{paper.config}"),
        *_flags(changes),
        f"{_OVERRIDE}pretrained.path={weights}",
        f"{_WORKDIR}runs/{name}",
    ]
    return (
        f"{PROGRAM} convert --encoder={paper.encoder} --source=download --out={weights}",
        shlex.join(command),
    )


def _is_of_the_model(name: str) -> bool:
    """Returns whether a model of the paper does not share this field with another model, or with another seed."""
    declared = config_fields().get(name)
    return declared is not None and (
        declared.is_per_model or declared.affects in ("model", "start", "chance")
    )


def resume(run: Run) -> tuple[str, ...]:
    """Returns the command that resumes an unfinished run; none if it is unknown."""
    return (run.command,) if run.command else ()


def train_again(run: Run, *more: str) -> tuple[str, ...]:
    """Returns the command that repeats a run in another folder: a finished one is not trained again in its own."""
    config = config_flags(run)
    words = [*PROGRAM_WORDS, "train", *config, *more, f"{_WORKDIR}{run.path}_again"]
    return (shlex.join(words),) if config else ()


def evaluate(run: Run, *more: str) -> tuple[str, ...]:
    """Returns the command that scores a run's best checkpoint again on its own patches."""
    # Overrides need the config that they change, and that has to be the run's.
    needs_config = any(flag.startswith(_OVERRIDE) for flag in more)
    config = config_flags(run) if needs_config else ()
    if needs_config and not config:
        return ()
    return (shlex.join([*PROGRAM_WORDS, "evaluate", f"{_WORKDIR}{run.path}", *config, *more]),)


def robustness(run: Run) -> tuple[str, ...]:
    """Returns the command that measures a run on corrupted images, where the report finds it."""
    return (shlex.join([*PROGRAM_WORDS, "robustness", f"{_WORKDIR}{run.path}"]),)


def config_flags(run: Run) -> tuple[str, ...]:
    """Returns --config and all its overrides, from the record of the run or else from its command; () if unknown."""
    started_from = at(run.environment, "started_from")
    config, changes = at(started_from, "config"), at(started_from, "overrides")
    if isinstance(config, str) and isinstance(changes, Mapping):
        return (f"{_CONFIG}{config}", *_flags(changes))
    words = [word for word in shlex.split(run.command) if word.startswith((_CONFIG, _OVERRIDE))]
    return tuple(words) if words and words[0].startswith(_CONFIG) else ()


def _flags(changes: Mapping[str, Any]) -> list[str]:
    return [
        f"{_OVERRIDE}{name}={tuple(value) if isinstance(value, list | tuple) else value}"
        for name, value in changes.items()
    ]
