"""The command line as a whole: help, names of configs, completion, and what comes before JAX."""

import os
import pathlib
import re
import subprocess
import sys

import click
import pytest

from nucseg_jax.cli.given_config import load_config, split_overrides
from nucseg_jax.cli.main import VERBS, nucseg, run
from nucseg_jax.config import config_fields, read_config
from nucseg_jax.core.nearest import names_in
from nucseg_jax.core.paths import configs_folder

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HEAVY = ("jax", "flax", "numpy", "tensorflow_datasets")


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs code that sees the arguments of a command line."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", VERBS)
def test_help_shows_every_flag_of_a_verb_and_an_example(name, capsys):
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.partition("Example:")[0].splitlines())) <= 80
    options = [parameter for parameter in VERBS[name].params if isinstance(parameter, click.Option)]
    for option in options:
        assert option.help, option
        assert re.search(rf"{option.opts[0]}\b", out), option
    assert "Example:" in out
    shown = set(re.findall(r"^  (--[a-z_]+)", out, re.MULTILINE))
    assert shown == {option.opts[0] for option in options}


@pytest.mark.parametrize("name", VERBS)
def test_the_flags_of_an_example_exist(name, capsys):
    run([name, "--help"])
    flags = {flag for parameter in VERBS[name].params for flag in parameter.opts}
    example = capsys.readouterr().out.partition("Example:")[2]
    overrides, others = split_overrides(example.split())
    used = {word.partition("=")[0] for word in others if word.startswith("--")}
    assert used <= flags
    fields = {override.removeprefix("--config.").partition("=")[0] for override in overrides}
    assert fields <= config_fields().keys()


def test_help_names_every_verb_in_whole_sentences(capsys):
    assert run([]) == 2
    bare = capsys.readouterr().out
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == bare
    assert re.findall(r"^  ([a-z]+)  ", bare, re.MULTILINE)[: len(VERBS)] == list(VERBS)
    assert "..." not in bare


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["train", "--help"], 0),
        (["predict", "--workdir=x"], 2),
        (["train", "--wrkdir=x"], 2),
        (["train", "--config=quikstart"], 2),
        (["train", "--config=quickstart"], 2),
        (["train", "--config=quickstart", "--config.train.lrr=1", "--workdir=x"], 2),
        (["train", "--config=quickstart", "--config.train.epochs=0", "--workdir=x"], 2),
        (["describe", "--config=quickstart", "--config.loss.l2=-1"], 2),
        (["train", "--sweep=seed", "--list"], 2),
        (["evaluate", "--workdir=runs/none"], 2),
        (["config", "loss"], 0),
    ],
)
def test_help_and_faults_of_flags_come_without_jax(arguments, status):
    """JAX takes seconds to import."""
    code = (
        "import sys; from nucseg_jax.cli.main import run; status = run(sys.argv[1:]);"
        f" loaded = sorted(set({HEAVY!r}) & set(sys.modules)); assert not loaded, loaded; sys.exit(status)"
    )
    done = python(code, *arguments)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", [["launch.py"], ["-m", "nucseg_jax"]])
def test_both_ways_to_start_are_the_same(program):
    done = subprocess.run(
        [sys.executable, *program, "config", "loss.l2"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.startswith("loss.l2 = 0.02\n")
    refused = subprocess.run(
        [sys.executable, *program, "predict"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert refused.returncode == 2
    assert f"python {' '.join(program)} predict --workdir=" in refused.stderr


@pytest.mark.parametrize("name", names_in(configs_folder()))
def test_a_config_is_found_by_name_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = load_config(name, ["--config.train.seed=3"])
    by_path = load_config(str(ROOT / "configs" / f"{name}.py"), ["--config.train.seed=3"])
    assert read_config(named.values) == read_config(by_path.values)
    assert named.overrides == {"train.seed": 3}
    assert named.name == name


def test_a_file_of_the_current_folder_is_a_config_only_as_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "configs" / "quickstart.py").read_text()
    pathlib.Path("quickstart.py").write_text(text.replace("epochs = 12", "epochs = 7"))
    assert load_config("quickstart", ()).values.train.epochs == 12
    assert load_config("quickstart.py", ()).values.train.epochs == 7
    assert load_config("./quickstart.py", ()).values.train.epochs == 7


def test_every_field_can_be_overridden_with_its_own_value():
    """As ml_collections reads texts."""
    for name, declared in config_fields().items():
        given = load_config("base", [f"--config.{name}={declared.default}"])
        section, _, key = name.partition(".")
        assert given.values[section][key] == declared.default, name
        assert given.overrides.keys() == {name}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("nucseg pre", {"prepare", "predict"}),
        ("nucseg evaluate --split=", {"train", "validation", "test"}),
        ("nucseg train --config unet_res", {"unet_resnet50"}),
        ("nucseg train --sweep see", {"seeds"}),
        ("nucseg report --ru", {"--runs"}),
    ],
)
def test_a_shell_completes_verbs_flags_and_names(words, expected):
    line = words.split(" ")
    done = python(
        "from nucseg_jax.cli.main import run; import sys; sys.exit(run(sys.argv[1:]))",
        _NUCSEG_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(line) - 1),
    )
    assert {entry.partition(",")[2] for entry in done.stdout.split()} == expected, done.stderr


def test_the_shell_gets_its_script():
    done = python(
        "from nucseg_jax.cli.main import run; import sys; sys.exit(run(sys.argv[1:]))",
        _NUCSEG_COMPLETE="zsh_source",
    )
    assert "_NUCSEG_COMPLETE=zsh_complete nucseg" in done.stdout, done.stderr


def test_the_command_holds_the_verbs_and_its_version(capsys):
    assert nucseg.list_commands(click.Context(nucseg)) == list(VERBS)
    assert run(["--version"]) == 0
    assert "nucseg_jax, version" in capsys.readouterr().out


def test_a_boolean_field_takes_no_word_behind_it():
    words = [
        "--config.augment.flips",
        "config",
        "--noconfig.eval.time_inference",
        "x",
        "--config.train.lr",
        "2",
    ]
    overrides, others = split_overrides(words)
    assert overrides == ["--config.augment.flips", "--noconfig.eval.time_inference", "--config.train.lr=2"]
    assert others == ["config", "x"]
    given = load_config("quickstart", overrides).overrides
    assert given == {"augment.flips": True, "eval.time_inference": False, "train.lr": 2.0}
