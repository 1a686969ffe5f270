"""The command that would fill a gap, with the flags that make its outcome comparable to what is there."""

import pathlib
import shlex
from collections.abc import Mapping, Sequence

from nucseg_jax.reporting.reading.paper import PaperModel
from nucseg_jax.reporting.reading.run import Run, at

_CONFIG = "--config="
_WORKDIR = "--workdir="
_OVERRIDE = "--config."
# What a run of another model or another seed does not share.
_OF_THE_RUN = ("model.", "loss.", "pretrained.", "train.seed")


def train_missing(paper: PaperModel, like: Sequence[Run]) -> tuple[str, ...]:
    """Commands that train a model of the paper as the runs at hand were trained."""
    shared = [
        f"{_OVERRIDE}{name}={shlex.quote(value)}"
        for name, value in (overrides(like[0]) if like else {}).items()
        if not name.startswith(_OF_THE_RUN)
    ]
    name = pathlib.PurePath(paper.config).stem
    weights = f"weights/{paper.encoder}"
    command = [
        "python launch.py train",
        f"{_CONFIG}{paper.config}",
        *shared,
        f"{_OVERRIDE}pretrained.path={weights}",
        f"{_WORKDIR}runs/{name}",
    ]
    return (
        f"python launch.py convert --encoder={paper.encoder} --source=download --out={weights}",
        " ".join(command),
    )


def resume(run: Run) -> tuple[str, ...]:
    """The command that goes on with an unfinished run."""
    return (run.command,) if run.command else ()


def train_again(run: Run, *more: str) -> tuple[str, ...]:
    """The command that repeats a run in another folder: a finished one is not trained again in its own."""
    if not run.command:
        return ()
    words = [word for word in shlex.split(run.command) if not word.startswith(_WORKDIR)]
    # --config comes before its overrides, so these go to the end.
    return (shlex.join([*words, *more, f"{_WORKDIR}{run.path}_again"]),)


def evaluate(run: Run, *more: str) -> tuple[str, ...]:
    """The command that scores a run's best checkpoint again on its own patches."""
    flags = list(more)
    if any(flag.startswith(_OVERRIDE) for flag in flags):
        words = shlex.split(run.command)
        # The fields of `eval` are looked at in a config, and the data have to be found.
        config = [
            word for word in words if word.startswith((_CONFIG, f"{_OVERRIDE}data.", f"{_OVERRIDE}split."))
        ]
        flags = [*(config or [f"{_CONFIG}CONFIG"]), *flags]
    return (shlex.join(["python", "launch.py", "evaluate", f"{_WORKDIR}{run.path}", *flags]),)


def overrides(run: Run) -> Mapping[str, str]:
    """What the command line or the sweep changed in the config, by field."""
    found = {}
    recorded = at(run.environment, "started_from", "overrides")
    if isinstance(recorded, Mapping):
        found = {str(name): _flag_value(value) for name, value in recorded.items()}
    for word in shlex.split(run.command):
        if word.startswith(_OVERRIDE) and "=" in word:
            name, value = word.removeprefix(_OVERRIDE).split("=", 1)
            found[name] = value
    return found


def _flag_value(value: object) -> str:
    return str(tuple(value)) if isinstance(value, list) else str(value)
