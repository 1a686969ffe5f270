"""What a sweep file may hold, and that those of the project hold what they promise."""

import copy
import importlib
import pathlib
import re
import shutil

import pytest

from configs import deeplabv3plus_resnet50, paper
from nucseg_jax.config import differences, read_config
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.sweep import prepared_groups, read_sweep, row_experiments, with_overrides

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "configs" / "sweeps"
FILES = sorted(path.name for path in FOLDER.glob("[!_]*.py"))

GROUPS = ["Bile-duct", "patient 7", "Übergang"]


def config(name: str = "base") -> dict:
    return importlib.import_module(f"configs.{name}").get_config().to_dict()


def rows_settings(name: str) -> list:
    """The rows on the config that the sweep's docstring names."""
    (config_name,) = re.findall(r"--config=configs/(\w+)\.py", (FOLDER / name).read_text())
    sweep = read_sweep(FOLDER / name, lambda: GROUPS)
    return [experiment.config for experiment in row_experiments(sweep, config(config_name), {})]


@pytest.fixture
def sweep_of(tmp_path):
    def write(text: str):
        file = tmp_path / "sweep.py"
        file.write_text(text)
        return read_sweep(file)

    return write


@pytest.mark.parametrize("name", FILES)
def test_every_sweep_of_the_project_is_of_experiments_and_tells_its_command(name):
    sweep = read_sweep(FOLDER / name, lambda: GROUPS)
    settings = rows_settings(name)
    assert len(set(map(str, settings))) == len(sweep.rows) > 1
    text = (FOLDER / name).read_text()
    assert sweep.summary.endswith((".", "?"))
    assert f"--sweep=configs/sweeps/{name}" in text
    assert "Cost: " in text
    # No row may fall on a field of the command that the docstring gives.
    for row in sweep.rows:
        assert not any(f"--config.{field}=" in text for field in row.overrides)


def test_the_models_are_those_of_the_papers_configs():
    assert rows_settings("models.py") == [read_config(config(name)) for name in paper.NAMES]


def test_the_papers_experiment_is_its_models_with_its_weights_its_split_and_its_tensorflow():
    for published, model in zip(rows_settings("paper.py"), rows_settings("models.py"), strict=True):
        assert list(differences(model, published).values()) == [
            "split.protocol: 'official' -> 'paper'",
            "split.max_patches: 0 -> 6716",
            "model.batch_norm_unbiased_variance: False -> True",
            f"pretrained.path: '' -> 'weights/{model.model.encoder}'",
        ]


def test_regularization_holds_every_row_of_table_1():
    tried = {(row.model.dropout, row.loss.l2) for row in rows_settings("regularization.py")}
    assert {(row["model"]["dropout"], row["loss"]["l2"]) for row in map(config, paper.NAMES)} <= tried


def test_batch_norm_crosses_its_three_factors():
    tried = {
        (row.model.batch_norm_momentum, row.loss.l2, row.eval.reestimate_batch_norm)
        for row in rows_settings("batch_norm.py")
    }
    assert len(tried) == 8
    failed = config(paper.NAMES[3])
    assert (failed["model"]["batch_norm_momentum"], failed["loss"]["l2"], False) in tried


def test_overrides_change_their_fields_and_no_others():
    before = deeplabv3plus_resnet50.get_config().to_dict()
    kept = copy.deepcopy(before)
    after = with_overrides(before, {"loss.l2": 0.5, "model.encoder_depths": (1, 1, 1)})
    assert before == kept
    assert list(differences(read_config(before), read_config(after)).values()) == [
        "model.encoder_depths: [] -> [1, 1, 1]",
        "loss.l2: 0.02 -> 0.5",
    ]


@pytest.mark.parametrize(
    "field", ["dropout", "model", "model.", ".dropout", "model.drop.out", "modell.dropout", ""]
)
def test_an_override_of_no_field_is_refused(field):
    with pytest.raises(UserError, match="there is no field"):
        with_overrides(config(), {field: 0.5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows = []", "has no ROWS"),
        ("ROWS = []", r"ROWS of .* is \[\]"),
        ("ROWS = {'a': 1}", "ROWS of"),
        ("ROWS = [1", "SyntaxError"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("ROWS = [3]", "row 0 is 3"),
        ("ROWS = [{'label': 'a'}]", "row 0 is"),
        ("ROWS = [{'label': 'a', 'overrides': {}, 'seed': 1}]", "row 0 is"),
        ("ROWS = [{'label': 'a', 'overrides': ['train.lr']}]", r"row 0 \(a\): overrides is"),
        ("ROWS = [{'label': 'a', 'overrides': {1: 2}}]", r"row 0 \(a\): overrides is"),
        ("ROWS = [{'label': n, 'overrides': {}} for n in 'abcb']", "row 3: the label 'b' is that of row 1"),
    ],
)
def test_a_file_of_another_form_is_refused(sweep_of, text, message):
    with pytest.raises(UserError, match=message):
        sweep_of(text)


def test_groups_are_rows_in_the_order_of_their_names():
    sweep = read_sweep(FOLDER / "groups.py", lambda: GROUPS)
    assert [row.label for row in sweep.rows] == ["01_Bile_duct", "02_patient_7", "03__bergang"]
    settings = rows_settings("groups.py")
    assert [(row.split.protocol, row.split.folds, row.split.number) for row in settings] == [
        ("k_fold", 0, number) for number in (1, 2, 3)
    ]


def test_rows_that_follow_from_groups_need_a_data_set_that_has_some(sweep_of, painted, tmp_path):
    with pytest.raises(UserError, match="are the groups of a prepared data set"):
        read_sweep(FOLDER / "groups.py")
    for text, message in (("groups[99]", "IndexError"), ("3", "ROWS of .* is 3"), ("[]", r"is \[\]")):
        (tmp_path / "sweep.py").write_text(f"def rows_of(groups):\n    return {text}\n")
        with pytest.raises(UserError, match=message):
            read_sweep(tmp_path / "sweep.py", lambda: GROUPS)
    values = config()
    values["data"]["dir"] = str(painted)
    assert set(prepared_groups(values)) <= set(PANNUKE.groups)
    older = shutil.copytree(painted, tmp_path / "older")
    for name in ("dataset.json", "patches.csv", "checksums.json"):
        (older / "pannuke" / "1.0.0" / name).unlink()
    values["data"]["dir"] = str(older)
    with pytest.raises(UserError, match="tissue of each patch: an earlier version prepared it"):
        prepared_groups(values)
    values["data"]["dir"] = str(tmp_path / "nothing")
    with pytest.raises(UserError):
        prepared_groups(values)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no sweep file"):
        read_sweep(tmp_path / "sweep.py")


@pytest.mark.parametrize(
    "label", ["", "a b", "a/b", "..", ".hidden", "-a", "ä", "a\n", "run.log", "l2:0.1", 3, None]
)
def test_a_label_that_is_no_good_folder_name_is_refused_with_its_row(sweep_of, label):
    rows = [{"label": "l2=1e-4+dropout_0.5", "overrides": {}}, {"label": label, "overrides": {}}]
    with pytest.raises(UserError, match="row 1: the label is"):
        sweep_of(f"ROWS = {rows!r}")


@pytest.mark.parametrize(
    ("overrides", "given", "message"),
    [
        ({"model.drop": 0.5}, {}, "there is no field 'model.drop'"),
        ({"loss.l2": "much"}, {}, "loss.l2 is 'much'\nExpected: a number."),
        ({"loss.l2": -1.0}, {}, "loss.l2 is -1.0"),
        ({"model.encoder": "vgg"}, {}, "model.encoder is 'vgg'"),
        ({"loss.l2": 0.1}, {"train.lr": 1.0, "loss.l2": 0.2}, "sets loss.l2, and so does the command line"),
    ],
)
def test_a_row_that_is_no_experiment_is_refused_by_name(sweep_of, overrides, given, message):
    rows = [{"label": "good", "overrides": {}}, {"label": "bad", "overrides": overrides}]
    sweep = sweep_of(f"ROWS = {rows!r}")
    with pytest.raises(UserError) as caught:
        row_experiments(sweep, config(), given)
    assert message in str(caught.value)
    assert "row 1 (bad)" in str(caught.value)


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_beyond_the_rows_is_refused(sweep_of, index):
    sweep = sweep_of("ROWS = [{'label': n, 'overrides': {}} for n in 'ab']")
    assert sweep.row(1).label == "b"
    with pytest.raises(UserError, match="--index from 0 to 1"):
        sweep.row(index)


def test_a_sweep_of_the_project_is_read_by_its_name():
    by_name, by_path = read_sweep(pathlib.Path("seeds")), read_sweep(FOLDER / "seeds.py")
    assert by_name.rows == by_path.rows
