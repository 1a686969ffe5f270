"""`train` from converted weights: real processes, a narrow encoder in Keras's names."""

import json
import pathlib
import re
import shutil
import zlib

import numpy as np
import pytest

from nucseg_jax.best_model import best_variables
from nucseg_jax.cli.first_weights import first_weights
from nucseg_jax.experiment import read_experiment_file
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.target import flatten, target_of
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.mesh import make_mesh

KERAS_LEAVES = {"scale": "gamma", "mean": "moving_mean", "var": "moving_variance"}


def keras_name(name: str) -> str:
    layer, leaf = name.split("/")
    if leaf == "bias" and layer.endswith("_bn"):
        return f"{layer}/beta"
    return f"{layer}/{KERAS_LEAVES.get(leaf, leaf)}"


def random_weights(target, extent="cut"):
    """Values of a narrow encoder by Keras's names."""
    values = {}
    for name, shape in target.shapes[extent].items():
        rng = np.random.RandomState(zlib.crc32(name.encode()))
        value = rng.normal(scale=0.1, size=shape)
        if name.split("/")[1] in ("scale", "var"):
            value = 0.5 + np.abs(value)
        values[keras_name(name)] = value.astype(np.float32)
    return values


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> tuple[pathlib.Path, dict[str, np.ndarray]]:
    """A converted checkpoint of the encoder that `command_line`'s config builds, and its values."""
    folder = tmp_path_factory.mktemp("weights")
    target = target_of("resnet50", width=0.125, encoder_depths=(1, 1, 1, 1))
    values = random_weights(target)
    np.savez(folder / "keras.npz", **values)
    convert(target, folder / "keras.npz", folder / "converted")
    return folder / "converted", values


def test_training_starts_from_the_converted_encoder(command_line, weights, tmp_path):
    """With everything frozen the best checkpoint still holds the file's values bit for bit."""
    path, values = weights
    workdir = tmp_path / "run"
    status, out, err = command_line.train(
        workdir,
        "--config.train.epochs=1",
        f"--config.pretrained.path={path}",
        "--config.transfer.freeze_through=all",
    )
    assert status == 0, err
    # Lines are wrapped at 80 columns, with the rest below the first words.
    (line,) = re.findall(r"^weights .*(?:\n  .*)*", out, re.MULTILINE)
    line = " ".join(line.split())
    assert "resnet50" in line
    assert f"{sum(value.size for value in values.values()):,} values" in line
    assert "decoder and head" in line
    assert "frozen    encoder conv1, conv2, conv3, conv4, with their batch-norm statistics" in out

    report = json.loads((workdir / "pretrained.json").read_text())
    assert report == json.loads((path / "report.json").read_text())
    folder = RunFolder(workdir)
    _, variables = best_variables(read_experiment_file(folder.config), folder, make_mesh(1))
    trained = flatten({name: tree["encoder"] for name, tree in variables.items() if "encoder" in tree})
    assert {keras_name(name) for name in trained} == values.keys()
    for name, value in trained.items():
        np.testing.assert_array_equal(value, values[keras_name(name)], err_msg=name)

    # A run that was killed while it saved for the first time has no checkpoint, and starts from the weights again.
    experiment = read_experiment_file(folder.config)
    killed = RunFolder(tmp_path / "killed")
    (killed.checkpoints / "5.orbax-checkpoint-tmp").mkdir(parents=True)
    assert first_weights(experiment, killed, experiment.plan()) is not None
    shutil.copytree(folder.checkpoints, killed.checkpoints, dirs_exist_ok=True)
    assert first_weights(experiment, killed, experiment.plan()) is None


@pytest.mark.long
def test_unfrozen_weights_are_trained_and_a_finished_run_needs_them_no_more(command_line, weights, tmp_path):
    path, values = weights
    moved = tmp_path / "moved"
    moved.symlink_to(path)
    workdir = tmp_path / "run"
    command = ("--config.train.epochs=1", f"--config.pretrained.path={moved}")
    status, _, err = command_line.train(workdir, *command)
    assert status == 0, err
    folder = RunFolder(workdir)
    _, variables = best_variables(read_experiment_file(folder.config), folder, make_mesh(1))
    kernel = variables["params"]["encoder"]["conv1_conv"]["kernel"]
    assert not np.array_equal(kernel, values["conv1_conv/kernel"])
    # Ten steps of Adam at 1e-3 move a value by hundredths: it is the file's still.
    np.testing.assert_allclose(kernel, values["conv1_conv/kernel"], atol=0.02)

    moved.unlink()
    status, out, err = command_line.train(workdir, *command)
    assert status == 0, err
    assert "is finished" in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--config.pretrained.path=nowhere", "nowhere"),
        ("--config.model.encoder=resnet50_v1_5", "resnet50_v1_5"),
        ("--config.model.width=0.25", "other sizes"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_is_written(
    command_line, weights, tmp_path, change, message
):
    workdir = tmp_path / "run"
    status, _, err = command_line.train(workdir, f"--config.pretrained.path={weights[0]}", change)
    assert status == 2
    assert message in err
    assert "Traceback" not in err
    assert not workdir.exists()


def test_from_scratch_the_convert_command_is_named(finished_run):
    said = finished_run.with_suffix(".txt").read_text()
    words = " ".join(said.replace("\\\n", " ").split())
    assert "launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50" in words
