"""Which flags of a sweep go together, and the command of a row, from plain values."""

import itertools
import pathlib
import sys

from absl import flags
from ml_collections import config_flags

from nucseg_jax.commands.sweep_flags import SweepFlags, check_sweep_flags
from nucseg_jax.commands.train_sweep import row_command
from nucseg_jax.core.errors import UserError
from nucseg_jax.training.environment import StartedFrom

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def is_taken(given: SweepFlags, command: str) -> bool:
    try:
        check_sweep_flags(given, command)
    except UserError:
        return False
    return True


def test_of_all_combinations_only_these_are_taken():
    flag_values = {
        "sweep": {"": None, "--sweep": "rows.py"},
        "list_rows": {"": False, "--list": True},
        "index": {"": None, "--index": 0},
        "executor": {"": None, "--executor=local": "local", "--executor=slurm": "slurm"},
        "jobs": {"": None, "--jobs": 1},
        "slurm": {"": None, "--slurm": ["time=1"]},
    }
    taken = set()
    for command, *words in itertools.product(("train", "evaluate"), *flag_values.values()):
        given = {name: values[word] for (name, values), word in zip(flag_values.items(), words, strict=True)}
        if is_taken(SweepFlags(**given), command):
            taken.add(" ".join([command, *filter(None, words)]))
    assert taken == {
        "train",
        "evaluate",
        "train --sweep --list",
        "train --sweep --index",
        "train --sweep --executor=local",
        "train --sweep --executor=local --jobs",
        "train --sweep --executor=slurm",
        "train --sweep --executor=slurm --slurm",
    }


def test_a_row_and_options_that_are_zero_or_empty_are_given_too():
    assert is_taken(SweepFlags(sweep="rows.py", index=0), "train")
    assert not is_taken(SweepFlags(sweep="rows.py", executor="local", slurm=[]), "train")


def test_a_rows_command_says_again_what_the_command_line_said(monkeypatch):
    """As absl reads it."""
    given = {"train.lr": 3e-4, "model.encoder_depths": (1, 2, 1), "pretrained.path": "my weights/a,b"}
    config = str(ROOT / "configs" / "quickstart.py")
    program = ("python", "launch.py")
    command = row_command(program, StartedFrom(config, given), pathlib.Path("r.py"), pathlib.Path("runs/a"))
    assert command[:3] == (*program, "train")
    # Where config_flags looks for overrides.
    monkeypatch.setattr(sys, "argv", list(command[1:]))
    read = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=read)
    for name in ("sweep", "workdir"):
        flags.DEFINE_string(name, None, "", flag_values=read)
    assert read(sys.argv) == ["launch.py", "train"]
    assert config_flags.get_config_filename(read["config"]) == config
    assert config_flags.get_override_values(read["config"]) == given
    assert (read.sweep, read.workdir) == ("r.py", "runs/a")
