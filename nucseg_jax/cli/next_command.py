"""The command that follows `prepare`: the same config, trained."""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from nucseg_jax.core.program import PROGRAM, PROGRAM_WORDS
from nucseg_jax.data.dataset_info import DatasetInfo

_NUM_CLASSES = "config.model.num_classes"
_FOLDS = "config.split.folds"
_WORKDIR = "--workdir=runs/first"


class Invocation(NamedTuple):
    """A command line of `prepare`.

    Attributes:
      flags: as they were given, without program and verb.
      num_classes: `model.num_classes` of its config.
      folds: `split.folds` of its config where whole groups are dealt into folds; else 0.
    """

    flags: Sequence[str]
    num_classes: int
    folds: int = 0


def train_command(invocation: Invocation | None, info: DatasetInfo) -> str:
    """Returns the shell command that trains on the data set that was prepared.

    Args:
      invocation: of `prepare`; None where it was called from Python.
      info: the data set. Where a model with the config's classes cannot be trained on it, the command sets the number
        that can; where it has fewer groups than folds, each group becomes one.

    >>> command = train_command(Invocation(["--config=my.py"], 6), DatasetInfo("ovary"))
    >>> command.removeprefix(PROGRAM)
    ' train --config=my.py --config.model.num_classes=1 --workdir=runs/first'
    """
    if invocation is None:
        return f"{PROGRAM} train --config=... {_WORKDIR}"
    flags = list(invocation.flags)
    fitting = len(info.classes) + 1 if invocation.num_classes > 1 and info.classes else 1
    if fitting != invocation.num_classes:
        flags = [*_without(flags, _NUM_CLASSES), f"--{_NUM_CLASSES}={fitting}"]
    if 1 < len(info.groups) < invocation.folds:
        flags = [*_without(flags, _FOLDS), f"--{_FOLDS}=0"]
    return shlex.join([*PROGRAM_WORDS, "train", *flags, _WORKDIR])


def _without(flags: Sequence[str], name: str) -> list[str]:
    """Leaves out a flag, be its value after a '=' or the next argument."""
    kept, is_value = [], False
    for flag in flags:
        given, equals, _ = flag.lstrip("-").partition("=")
        is_flag = flag.startswith("-") and given == name
        if not is_value and not is_flag:
            kept.append(flag)
        is_value = is_flag and not equals
    return kept
