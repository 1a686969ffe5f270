import json
import time

import numpy as np
import pytest

from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.calibration import calibration_path, read_levels
from nucseg_jax.evaluation.examples import examples_path, read_examples
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.ops.counts import count_masks
from nucseg_jax.reporting.reading.read_run import read_run
from nucseg_jax.run_folder.metrics_log import read_metrics

CONVENTIONS = {"micro", "image_zero", "image_skip", "image_one", "batch8", "tissue"}
STEPS_PER_EPOCH = 5 * 64 // 32


def test_a_run_leaves_everything_that_is_promised(finished_run):
    results = json.loads((finished_run / "results.json").read_text())
    assert set(results) == {"train", "validation", "test"}
    for name, result in results.items():
        assert set(result) == CONVENTIONS | {
            *("loss", "dice_loss", "dice_loss_with_nuclei", "l2_penalty", "foreground_rule")
        }
        assert result["loss"] == pytest.approx(result["dice_loss"] + result["l2_penalty"])
        # The table can be computed again from the per-image counts.
        counts, patches = read_per_image(per_image_path(finished_run, name), PANNUKE)
        assert counts.scores(PANNUKE) == {convention: result[convention] for convention in CONVENTIONS}
        # One of the five patches has no nucleus.
        assert result["dice_loss_with_nuclei"] == counts.mean_losses_with_nuclei()["dice_loss"]
        assert result["dice_loss_with_nuclei"] < result["dice_loss"] - 0.05
        assert patches.shape == (5, 2)
        levels = read_levels(calibration_path(finished_run, name))
        nucleus = counts.counts[:, 0]
        assert levels.sum(axis=0).tolist() == [nucleus[:, [1, 3]].sum(), nucleus[:, [0, 2]].sum()]
        examples = read_examples(examples_path(finished_run, name), PANNUKE)
        assert {str(reason) for reason in examples.chosen} == {"spread", "best", "worst"}
        shown = count_masks(examples.prediction, examples.truth)
        np.testing.assert_array_equal(shown, counts.counts[examples.position])
        np.testing.assert_array_equal(np.stack([examples.fold, examples.row], 1), patches[examples.position])
        assert (finished_run / "overlays" / f"{name}.png").stat().st_size > 10_000
    run = read_run(finished_run)
    assert (run.faults, run.is_checked) == ((), True)
    config = json.loads((finished_run / "config.json").read_text())
    assert config["train"]["tile_px"] == 32
    environment = json.loads((finished_run / "environment.json").read_text())
    assert environment
    timing = json.loads((finished_run / "timing.json").read_text())
    assert timing["starts"][0]["training"] > 0
    assert any((finished_run / "tensorboard").iterdir())


def test_metrics_begin_before_the_middle_of_epoch_1_and_tell_each_epoch(finished_run):
    lines = read_metrics(finished_run / "metrics.jsonl")
    assert lines[0]["kind"] == "train"
    assert lines[0]["step"] < STEPS_PER_EPOCH / 2
    # A step belongs to the epoch that it ends, too.
    assert all(line["epoch"] == -(-line["step"] // STEPS_PER_EPOCH) for line in lines)
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["step"] for line in epochs] == [10, 20, 30]
    for line in epochs:
        assert line["validation"].keys() >= CONVENTIONS
        assert 0 <= line["train"]["micro"]["dice"] <= 1
        assert line["learning_rate"] == pytest.approx(1e-3)


def test_a_finished_run_is_shown_and_not_trained_again(command_line, finished_run):
    before = (finished_run / "metrics.jsonl").read_bytes()
    status, out, _ = command_line.train(finished_run)
    assert status == 0
    assert "finished" in out
    assert "micro" in out
    assert (finished_run / "metrics.jsonl").read_bytes() == before


def test_another_config_in_the_same_folder_is_refused_with_the_difference(command_line, finished_run):
    status, _, err = command_line.train(finished_run, "--config.train.lr=0.01")
    assert status == 2
    assert "train.lr: 0.001 -> 0.01" in err


def test_a_non_finite_loss_stops_the_run_with_step_and_term(command_line, tmp_path):
    """A learning rate beyond reason overflows; the checkpoint before it stays."""
    status, _, err = command_line.train(tmp_path / "run", "--config.train.lr=1e30", "--config.train.epochs=1")
    assert status == 2
    assert "at step" in err
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert any(value is None for value in lines[-1].values())
    assert "is nan" in err or "is inf" in err
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.train.tile_px=100", "train.tile_px is 100"),
        ("--config.train.foo=1", "foo"),
        ("--config.data.dir=nowhere", "prepare"),
        ("--config.train.batch_size=100000", "do not fill a batch"),
        ("--config.mesh.data=7", "the mesh is data=7"),
        ("--config.model.decoder=segformer", "model.decoder is 'segformer'"),
        ("--config.pretrained.path=weights", "pretrained.path"),
    ],
)
def test_wrong_configs_fail_in_seconds_and_leave_nothing(command_line, tmp_path, override, message):
    start = time.monotonic()
    status, _, err = command_line.train(tmp_path / "run", override)
    assert status == 2
    assert message in err
    assert "Traceback" not in err
    assert time.monotonic() - start < 60
    assert not (tmp_path / "run").exists()


def test_a_second_process_in_the_same_folder_is_refused(command_line, tmp_path):
    workdir = tmp_path / "run"
    first = command_line.start("train", *command_line.config, f"--workdir={workdir}")
    try:
        deadline = time.monotonic() + 120
        while not (workdir / "environment.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        status, _, err = command_line.train(workdir)
        assert status == 2
        assert "another process is training" in err
    finally:
        first.kill()
        first.communicate()


def test_a_folder_of_something_else_is_left_alone(command_line, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    status, _, err = command_line.train(tmp_path)
    assert status == 2
    assert "is not empty" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
