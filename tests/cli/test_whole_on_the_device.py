"""A run on the device at hand, stopped and resumed, ends as one that was not; what it predicts is in its files."""

import signal

import numpy as np
import pytest
import tifffile
from PIL import Image

from nucseg_jax.core.errors import STATUS_TO_REQUEUE
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from tests.faults.watched import assert_same_end, logged_steps, wait_until

DETERMINISTIC = "--config.train.deterministic=True"


@pytest.mark.device
@pytest.mark.long
def test_deterministic_runs_end_bit_identical_though_one_is_stopped_and_predict_as_one(
    command_line, tmp_path
):
    """Two trainings that repeat to the last bit, one of them told to leave on its way and resumed."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    status, _, err = command_line.train(whole, DETERMINISTIC)
    assert status == 0, err
    process = command_line.start("train", *command_line.config, DETERMINISTIC, f"--workdir={stopped}")
    wait_until(process, lambda: logged_steps(stopped) >= 7)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == STATUS_TO_REQUEUE
    status, out, err = command_line.train(stopped, DETERMINISTIC)
    assert status == 0, err
    assert "resuming from the checkpoint of step" in out
    assert_same_end(stopped, whole)

    tifffile.imwrite(
        tmp_path / "image.tif", paint_patch(seed=0, fold=3, index=20).image, resolution=(40_000, 40_000)
    )
    masks = []
    for run in (whole, stopped):
        out_folder = tmp_path / f"predicted_{run.name}"
        arguments = (f"--workdir={run}", f"--inputs={tmp_path / 'image.tif'}", f"--out={out_folder}")
        status, _, err = command_line.run("predict", *arguments, "--mpp=0.25")
        assert status == 0, err
        with Image.open(out_folder / "image.mask.png") as mask:
            masks.append(np.asarray(mask))
    assert masks[0].shape == (256, 256)
    assert masks[0].any()
    np.testing.assert_array_equal(*masks)
