"""Statistics of the images that are predicted: those of a pass in training mode, and the same on disk as in memory."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import tifffile
from PIL import Image

from nucseg_jax.adaptation import MOST_TILES, thinned, tiles_an_image
from nucseg_jax.cli.predict import PredictSettings, predict
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.load import load_run

TILE_PX = 64


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Painted tissue of another stain, uint8 [64, 64, 3]."""
    return paint_patch(0, 1, 3).image[:TILE_PX, :TILE_PX, ::-1] // 2


@pytest.fixture(scope="module")
def run(finished_run):
    return load_run(finished_run)


@pytest.fixture(scope="module")
def adapted(run, image):
    return run.adapted([image], tile_px=TILE_PX)


def test_of_one_tile_they_are_its_batch_statistics(run, adapted, image):
    model, config = run.experiment.model.without_dropout(), run.experiment.config.model
    assert not config.batch_norm_unbiased_variance
    batch = np.stack([image] * 8)

    @jax.jit
    def updated(variables):
        return model.apply(variables, batch, train=True, mutable=["batch_stats"])[1]["batch_stats"]

    momentum = config.batch_norm_momentum
    expected = jax.tree.map(
        lambda new, old: (new - momentum * old) / (1 - momentum),
        updated(run.variables),
        run.variables["batch_stats"],
    )
    jax.tree.map(
        lambda found, wanted: np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=2e-4),
        adapted.variables["batch_stats"],
        expected,
    )
    jax.tree.map(np.testing.assert_array_equal, adapted.variables["params"], run.variables["params"])
    assert adapted.digest() != run.digest()


def test_files_are_predicted_with_the_statistics_of_all_of_them(run, adapted, image, finished_run, tmp_path):
    tifffile.imwrite(tmp_path / "field.tif", image, photometric="rgb")
    settings = PredictSettings(microns_per_px=None, tile_px=TILE_PX, overlap_px=32, rule=None, adapts=True)
    out = tmp_path / "out"
    assert predict(finished_run, [str(tmp_path / "field.tif")], out, settings, batch_size=2) == 0
    expected = adapted.predict(image, tile_px=TILE_PX)
    with Image.open(out / "field.mask.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask) == 255, expected.mask)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["batch_norm_statistics"] == "of these images"
    assert summary["model_digest"] == adapted.digest()
    assert np.abs(expected.probability - run.predict(image, tile_px=TILE_PX).probability).max() > 0.01


def test_large_images_are_looked_at_in_tiles_that_are_spread_over_them(run, image):
    job = run.jobs_of([np.tile(image, (20, 20, 1))], tile_px=TILE_PX)[0]
    few = thinned(job, 40)
    assert few.is_computed.sum() == 40
    rows, columns = np.nonzero(few.is_computed)
    # Of 39 rows and columns each, those that 40 draws meet.
    assert len(set(rows)) > 20
    assert len(set(columns)) > 20
    np.testing.assert_array_equal(thinned(few, 40).is_computed, few.is_computed)
    np.testing.assert_array_equal(thinned(job, 40).is_computed, few.is_computed)
    assert tiles_an_image(MOST_TILES * 3) == 1


def test_there_is_nothing_to_adapt_without_a_tile_or_a_batch_norm(run):
    with pytest.raises(UserError, match="no image could be read"):
        run.adapted([])
    without = dataclasses.replace(run, variables={"params": run.variables["params"]})
    with pytest.raises(UserError, match="no batch norm"):
        without.adapted([np.zeros((TILE_PX, TILE_PX, 3), np.uint8)])
