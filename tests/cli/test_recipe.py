"""A run with every choice that is not the paper's: it resumes to the same bits, and is scored by averaged weights."""

import json
import signal

import jax
import numpy as np
import pytest

from nucseg_jax.core.errors import STATUS_TO_REQUEUE
from nucseg_jax.load import load_run
from nucseg_jax.run_folder.metrics_log import read_metrics
from nucseg_jax.training.checkpoint import abstract_like, restore_checkpoint
from tests.faults.watched import assert_same_end, logged_steps, wait_until

pytestmark = pytest.mark.long
RECIPE = (
    "--config.data.sampling=balanced",
    "--config.train.optimizer=adamw",
    "--config.loss.l2=0",
    "--config.train.weight_decay=0.01",
    "--config.train.schedule=cosine",
    "--config.train.warmup_epochs=0.5",
    "--config.transfer.unfreeze_after_epochs=1",
    "--config.train.ema_decay=0.9",
)


@pytest.fixture(scope="module")
def unbroken(command_line, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("recipe") / "run"
    status, _, err = command_line.as_users_have_it().train(workdir, *RECIPE)
    assert status == 0, err
    return workdir


def test_it_tells_the_learning_rate_of_each_epoch_and_scores_what_it_validated(unbroken):
    epochs = [line for line in read_metrics(unbroken / "metrics.jsonl") if line["kind"] == "epoch"]
    # Steps 10, 20 and 30 of 30, of which 5 warm up.
    expected = [1e-3 * (0.01 + 0.99 * (1 + np.cos(np.pi * share)) / 2) for share in (0.2, 0.6, 1.0)]
    assert [line["learning_rate"] for line in epochs] == pytest.approx(expected, rel=1e-5)
    best = max(epochs, key=lambda line: (line["validation"]["micro"]["dice"], line["step"]))
    results = json.loads((unbroken / "results.json").read_text())
    assert results["validation"]["micro"] == best["validation"]["micro"]
    assert results["validation"]["l2_penalty"] == 0

    run = load_run(unbroken)
    assert run.checkpoint_step == best["step"]
    static = run.experiment.static_arguments(10)
    like = abstract_like(run.experiment.abstract_state(static), run.mesh)
    state, _ = restore_checkpoint(unbroken / "checkpoints" / str(best["step"]), like)
    jax.tree.map(np.testing.assert_array_equal, run.variables["params"], state.ema["params"])
    jax.tree.map(np.testing.assert_array_equal, run.variables["batch_stats"], state.ema["batch_stats"])
    assert not np.array_equal(state.ema["params"]["head"]["kernel"], state.params["head"]["kernel"])


@pytest.mark.parametrize("feed_after", ["device", "host"])
def test_interrupted_in_the_middle_of_an_epoch_it_ends_bit_identical(
    command_line, unbroken, tmp_path, feed_after
):
    """That the feeds' programs round alike holds for optimised ones."""
    command_line = command_line.as_users_have_it()
    workdir = tmp_path / "preempted"
    process = command_line.start("train", *command_line.config, *RECIPE, f"--workdir={workdir}")
    wait_until(process, lambda: logged_steps(workdir) >= 13)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == STATUS_TO_REQUEUE, err
    status, out, err = command_line.train(workdir, *RECIPE, f"--config.train.feed={feed_after}")
    assert status == 0, err
    assert "resuming from the checkpoint of step 1" in out
    assert_same_end(workdir, unbroken)
