"""Which flags of a sweep go together, and the command of a row, from plain values."""

import itertools
import pathlib

from nucseg_jax.cli.given_config import load_config, split_overrides
from nucseg_jax.cli.sweep import SweepRun
from nucseg_jax.cli.verbs.train import SweepFlags, check_sweep_flags
from nucseg_jax.core.errors import UserError
from nucseg_jax.run_folder.environment import StartedFrom
from nucseg_jax.sweep import Row, Sweep

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def is_taken(**given) -> bool:
    try:
        check_sweep_flags(SweepFlags(**given))
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
        "slurm": {"": None, "--slurm": "time=1"},
    }
    taken = set()
    for words in itertools.product(*flag_values.values()):
        given = {name: values[word] for (name, values), word in zip(flag_values.items(), words, strict=True)}
        if is_taken(**given):
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


def test_a_row_and_options_that_are_zero_or_empty_are_given_too():
    assert is_taken(sweep="rows.py", index=0)
    assert not is_taken(sweep="rows.py", executor="local", slurm="")


def test_a_rows_command_says_again_what_the_command_line_said():
    given = {"train.lr": 3e-4, "model.encoder_depths": (1, 2, 1), "pretrained.path": "my weights/a,b"}
    config = str(ROOT / "configs" / "quickstart.py")
    program = ("python", "launch.py")
    sweep = Sweep(pathlib.Path("r.py"), "", (Row("a", {}),))
    run = SweepRun(sweep, (), pathlib.Path("runs/a"), StartedFrom(config, given), program)
    command = run.job(0).command
    assert command[:3] == (*program, "train")
    overrides, others = split_overrides(command[2:])
    assert load_config(config, overrides).overrides == given
    assert others == ["train", f"--config={config}", "--sweep=r.py", "--workdir=runs/a", "--index=0"]
