"""Which flags of a sweep go together, and the command of a row, from plain values."""

import itertools
import pathlib
import re
import sys

from absl import flags
from ml_collections import config_flags

from nucseg_jax.cli.command_flags import FLAGS_OF
from nucseg_jax.cli.sweep_flags import SweepFlags, check_sweep_flags
from nucseg_jax.cli.train_sweep import row_command
from nucseg_jax.core.errors import UserError
from nucseg_jax.training.environment import StartedFrom

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def is_taken(given: SweepFlags) -> bool:
    try:
        check_sweep_flags(given)
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
    for words in itertools.product(*flag_values.values()):
        given = {name: values[word] for (name, values), word in zip(flag_values.items(), words, strict=True)}
        if is_taken(SweepFlags(**given)):
            taken.add(" ".join(filter(None, words)))
    assert taken == {
        "",
        "--sweep --list",
        "--sweep --index",
        "--sweep --executor=local",
        "--sweep --executor=local --jobs",
        "--sweep --executor=slurm",
        "--sweep --executor=slurm --slurm",
    }


def test_every_flag_of_the_command_line_belongs_to_commands():
    text = (ROOT / "launch.py").read_text()
    defined = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', text))
    assert defined == FLAGS_OF.keys()
    assert {command for commands in FLAGS_OF.values() for command in commands} == set(
        re.findall(r'^    "(\w+)": \1,$', text, re.MULTILINE)
    )


def test_the_help_of_a_flag_names_its_commands():
    text = (ROOT / "launch.py").read_text()
    for name, rest in re.findall(r'DEFINE_\w+\(\s*"(\w+)",(.*?)\n?\)\n', text, re.DOTALL):
        told = re.findall(r'(?:"|; )([a-z]+(?:, [a-z]+)*)(?: --\S+)?: ', rest)
        named = {word for words in told for word in words.split(", ")} - {"with"}  # "with --coordinator: ..."
        assert named in (set(), set(FLAGS_OF[name])), name


def test_a_row_and_options_that_are_zero_or_empty_are_given_too():
    assert is_taken(SweepFlags(sweep="rows.py", index=0))
    assert not is_taken(SweepFlags(sweep="rows.py", executor="local", slurm=[]))


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
