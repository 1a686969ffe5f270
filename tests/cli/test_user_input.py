"""What a user types: `~` in every path, names that are misspelt, files that are not there."""

import dataclasses
import json
import pathlib
import re
import shutil
import sys

import pytest

from configs import quickstart
from nucseg_jax.cli.given_config import load_config
from nucseg_jax.cli.main import run
from nucseg_jax.config import default_config, read_config
from nucseg_jax.core.errors import UserError
from nucseg_jax.experiment import read_experiment

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Flags with a path, and the function that gets it.
COMMANDS = {
    "train": (["--config=~/c.py", "--workdir=~/run"], "nucseg_jax.cli.train.train"),
    "train --sweep": (
        ["--config", "~/c.py", "--sweep=~/rows.py", "--index=0", "--workdir=~/runs"],
        "nucseg_jax.cli.sweep.train",
    ),
    "train --list": (
        ["--sweep=~/rows.py", "--list", "--workdir=~/runs"],
        "nucseg_jax.cli.sweep.list_rows",
    ),
    "evaluate": (["--workdir=~/run"], "nucseg_jax.cli.evaluate.evaluate"),
    "predict": (
        ["--workdir=~/run", "--inputs=a.png", "--out=~/nuclei"],
        "nucseg_jax.cli.predict.predict",
    ),
    "export": (["--workdir=~/run", "--out=~/model"], "nucseg_jax.cli.export.export"),
    "convert": (
        ["--encoder=resnet50", "--source=~/a.h5", "--out=~/weights"],
        "nucseg_jax.cli.convert.convert",
    ),
    "profile": (["--config=~/c.py", "--trace=~/trace"], "nucseg_jax.cli.profile.profile"),
    "report": (["--runs=runs/*", "--out=~/report"], "nucseg_jax.cli.report.report"),
}


@pytest.fixture
def home(tmp_path, monkeypatch) -> pathlib.Path:
    """A home folder with a config and a sweep; the current folder is another."""
    (tmp_path / "home").mkdir()
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(ROOT / "configs" / "quickstart.py", tmp_path / "home" / "c.py")
    (tmp_path / "home" / "rows.py").write_text('ROWS = [{"label": "a", "overrides": {}}]')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "home"


@pytest.fixture
def refused(capsys):
    """A function that runs a command line which is refused, and gives the message."""

    def refused(*arguments: str) -> str:
        assert run(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert "Traceback" not in error
        return error

    return refused


@pytest.mark.parametrize("command", COMMANDS)
def test_a_tilde_in_a_flag_is_the_home_folder(home, monkeypatch, command):
    arguments, function = COMMANDS[command]
    got = []

    def note(*values, **named):
        got.extend([*values, *named.values()])

    monkeypatch.setattr(function, note)
    verb = command.split()[0]
    # It would end this process.
    monkeypatch.setattr("nucseg_jax.cli.verbs.train.leave_when_told", lambda: None)
    if verb == "evaluate":
        (home / "run").mkdir()
    assert run([verb, *arguments]) == 0
    paths = [str(value) for value in got if isinstance(value, str | pathlib.Path)]
    asked = sum(
        "~" in argument and "c.py" not in argument and "rows" not in argument for argument in arguments
    )
    assert len([path for path in paths if path.startswith(f"{home}/")]) >= asked
    assert not any("~" in path for path in paths)


def test_a_tilde_in_a_config_field_an_input_or_a_pattern_is_the_home_folder(home, monkeypatch):
    from nucseg_jax.cli.predict_inputs import find_inputs
    from nucseg_jax.load import load_run
    from nucseg_jax.reporting.reading import find

    config = quickstart.get_config()
    config.data.dir, config.data.release_dir, config.pretrained.path = "~/data", "~/release", "~/weights"
    experiment = read_experiment(config)
    assert experiment.data.prepared_folder == home / "data"
    assert experiment.data.release_folder == home / "release"
    with pytest.raises(UserError, match=f"{home}/weights"):
        experiment.pretrained_encoder()
    with pytest.raises(UserError, match=f"{home}/run/config.json"):
        load_run("~/run")
    (home / "a.png").touch()
    assert find_inputs(["~/*.png"], pathlib.Path("out")) == [home / "a.png"]
    asked = []
    monkeypatch.setattr(find.glob, "glob", lambda pattern, **_: asked.append(pattern) or [])
    with pytest.raises(UserError, match="matches no run"):
        find.find_runs("~/a*, ~/b", not_in=pathlib.Path("out"))
    assert sorted(asked) == [f"{home}/a*", f"{home}/b"]


def test_paths_are_expanded_in_one_place():
    """A second way would forget what the first refuses."""
    files = [ROOT / "launch.py", *(ROOT / "nucseg_jax").rglob("*.py")]
    found = [path.name for path in files if "expanduser" in path.read_text(encoding="utf-8")]
    assert sorted(found) == ["paths.py"]
    for path in (ROOT / "nucseg_jax" / "cli" / "verbs").glob("*.py"):
        assert "pathlib.Path(" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--config=c.py"], "there is no config file c.py in {here}$"),
        (["train", "--config=c.py", "--config.train.lr=1"], "there is no config file c.py in {here}$"),
        (["train", "--config=~/x/c.py"], "there is no config file {home}/x/c.py in {home}/x$"),
        (["train", "--config=~/cc.py"], r"in {home}; did you mean {home}/c.py\?$"),
        # From another folder than the project's.
        (
            ["train", "--config=configs/quickstart.py"],
            r"in {here}/configs; did you mean {root}/configs/quick",
        ),
        (
            ["train", "--config=quikstart"],
            r"no config 'quikstart' in {root}/configs; did you mean quickstart\?$",
        ),
        (
            ["train", "--sweep=seed", "--list"],
            r"no sweep 'seed' in {root}/configs/sweeps; did you mean seeds\?$",
        ),
        (["train", "--config=~"], r"--config={home} is a folder; did you mean {home}/c.py or"),
        (["train", "--config"], "Option '--config' requires an argument"),
        (["train", "--config="], "--config is followed by nothing"),
        (["train", "--config", "--workdir=x"], "--config is followed by --workdir=x"),
        (["train", "--config.train.lr=1"], "--config=NAME with --config.train.lr"),
        (["--config=quickstart", "train"], "--config precedes the verb"),
        (["describe", "--config=base", "--config.=1"], "configs have no field"),
        (
            ["describe", "--config=base", "--config.augment.flips=maybe"],
            "augment.flips=maybe cannot be parsed: Non-boolean argument to boolean flag$",
        ),
        (["describe", "--config=base", "--", "--config.model.width=2"], "unexpected extra argument"),
        (["predic"], r"no verb 'predic'; did you mean predict\?"),
        (["train", "--runs=x"], "--runs goes with report; the verb is train"),
        (["evaluate", "--split=tst"], "'tst' is not one of 'train', 'validation', 'test'"),
        (["train", "--config=quickstart", "--config.train.epochs=many"], "cannot be parsed"),
        (["train", "--config=quickstart", "--config.train.epochs=0", "--workdir=x"], "train.epochs is 0"),
        (["train", "--config=quickstart"], "--workdir is missing"),
        (["config", "loss.l3"], r"no field loss.l3; did you mean loss.l2"),
        (
            ["train", "--config=~/c.py", "--config.train.lrr=1"],
            r"no field train.lrr; did you mean train.lr\?",
        ),
        (["train", "--config=~/c.py", "--config.train.l2=1"], r"no field train.l2; did you mean loss.l2\?"),
        (["train", "--config=~/c.py", "--config.trian.lr=1"], r"no field trian.lr; did you mean train.lr\?"),
        (["train", "--wrkdir=x"], r"there is no flag --wrkdir; did you mean --workdir\?"),
    ],
)
def test_what_is_not_there_is_named_with_what_is_nearest(home, refused, arguments, message):
    words = {"home": home, "here": pathlib.Path.cwd(), "root": ROOT}
    assert re.search(message.format(**words), refused(*arguments), re.MULTILINE)


def test_a_sweep_that_is_misspelt_is_named_with_what_is_nearest(home, refused):
    message = refused("train", "--sweep=~/row.py", "--list")
    assert re.search(rf"there is no sweep file {home}/row.py in {home}; did you mean .*rows", message)


def test_the_config_of_a_run_is_a_config(home, refused, capsys):
    """Its own fields, with what the command line changes; its faults are told as those of others are."""
    stored = read_config({**default_config(), "train": {**default_config()["train"], "epochs": 7}})
    (home / "run").mkdir()
    file = home / "run" / "config.json"
    file.write_text(json.dumps(stored.as_json()))
    given = load_config(str(file), ["--config.train.lr=0.5"])
    assert given.checked() == dataclasses.replace(stored, train=dataclasses.replace(stored.train, lr=0.5))
    assert (given.name, given.overrides) == (str(file), {"train.lr": 0.5})
    for arguments, message in (
        (["--config=~/run"], rf"{home}/run is a folder; did you mean {file}\?$"),
        ([f"--config={file}", "--config.train.lrr=1"], r"no field train.lrr; did you mean train.lr\?"),
        ([f"--config={file}", "--config.train.epochs=many"], "train.epochs=many cannot be parsed"),
        ([f"--config={file}:text"], "a text for a Python file alone"),
        (["--config=~/run/confg.json"], f"{home}/run/confg.json cannot be read: No such file"),
    ):
        assert re.search(message, refused("config", *arguments), re.MULTILINE)
    for other in ({"test": {}, "train": {}}, [1], "text"):
        file.write_text(json.dumps(other))
        assert f"{file} is no config: most of" in refused("config", f"--config={file}")
    file.write_text("{")
    assert f"{file} is not JSON" in refused("config", f"--config={file}")


@pytest.mark.parametrize(
    "content", ["ROWS = []", "", "def get_config():\n    return 3", "def get_config(x):\n    return x"]
)
def test_a_file_that_makes_no_config_is_one_error(home, refused, monkeypatch, content):
    """A sweep file, for one, or configs/paper.py."""
    # ml_collections loads the next config into the module of the last one.
    monkeypatch.delitem(sys.modules, "config_config", raising=False)
    (home / "c.py").write_text(content)
    assert "get_config" in refused("describe", "--config=~/c.py")


def test_a_config_file_that_is_not_python_is_one_error(home, refused):
    (home / "c.py").write_text("# A page\n\nnot Python: it's text\n")
    assert re.search(r"c\.py, line 3, is not Python", refused("train", "--config=~/c.py"))
