"""Tiles, blending and the compiled model together, on models small enough to be run on whole images."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.images.source import RefusedImage, Source, array_source
from nucseg_jax.inference.prediction import predict_job
from nucseg_jax.inference.tiling.bands import bands_of
from nucseg_jax.inference.tiling.job import plan_job, resumed
from nucseg_jax.inference.tiling.predictor import make_predictor
from nucseg_jax.inference.tiling.stream import Begin, End, Failed, RowEnd, Tile, ahead, infer, read_events
from nucseg_jax.inference.tiling.tiles import reflected
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.ops.probability import nucleus_probability, predicted_label
from nucseg_jax.runtime.mesh import make_mesh
from tests.toy_model import LogitsModel

TILE_PX, OVERLAP_PX = 64, 32


class Local(LogitsModel):
    """Looks 7 px far, less than a quarter of the overlap, through a map of stride 2."""

    num_classes: int = 1

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        del train
        features = nn.tanh(nn.Conv(8, (3, 3), strides=2)(image / 64.0 - 2.0))
        features = nn.tanh(nn.Conv(8, (3, 3))(features))
        features = jax.image.resize(features, (*image.shape[:3], 8), "nearest")
        return 4.0 * nn.Conv(self.num_classes, (3, 3))(features)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def variables():
    return {C: Local(C).init(jax.random.key(0), noise(64, 64)[None], train=False) for C in (1, 6)}


def predictor(variables, *, num_classes=1, devices=1, batch_size=3, views=1):
    return make_predictor(
        Local(num_classes),
        variables[num_classes],
        make_mesh(devices),
        num_classes=num_classes,
        tile_px=TILE_PX,
        batch_size=batch_size,
        views=views,
    )


def job(image: np.ndarray, microns: float | None = None, name: str = "an image"):
    return plan_job(
        pathlib.Path(name),
        array_source(image),
        microns_per_px=microns,
        model_microns_per_px=0.25,
        tile_px=TILE_PX,
        overlap_px=OVERLAP_PX,
    )


def predicted_bands(a_job, a_predictor) -> list[np.ndarray]:
    """float32 [h, W, F] each, of the rows that are not done."""
    events = infer(read_events([a_job]), a_predictor)
    return [band for _, band in bands_of(events, a_job, a_predictor.channels)]


def probability(a_job, a_predictor) -> np.ndarray:
    """float32 [H, W, F]."""
    return np.concatenate(predicted_bands(a_job, a_predictor))


@pytest.mark.device
@pytest.mark.parametrize("size", [(150, 203), (64, 64), (20, 90), (1, 1)])
@pytest.mark.parametrize("num_classes", [1, 6])
def test_tiles_give_what_the_whole_image_gives(size, num_classes, variables):
    """Continued by reflection where tiles are, which is how the whole image is given to the model too."""
    image, a_job = noise(*size), job(noise(*size))
    plan = a_job.plan
    rows = reflected(0, plan.rows * plan.stride_px + plan.overlap_px, size[0])
    columns = reflected(0, plan.columns * plan.stride_px + plan.overlap_px, size[1])
    logits = jax.jit(lambda v, x: Local(num_classes).apply(v, x, train=False))(
        variables[num_classes], image[rows][:, columns][None]
    )
    whole = np.asarray(nucleus_probability(logits))[0, : size[0], : size[1]]
    tiled = probability(a_job, predictor(variables, num_classes=num_classes)).sum(axis=-1)
    assert whole.std() > 0.01 or size == (1, 1)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


class Undefined(LogitsModel):
    """Logits that are no number where a pixel is black."""

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        del train
        return np.float32(4.0) * jax.numpy.sqrt(image[..., :1].astype(np.float32) - 1.0)


def test_nothing_depends_on_batches_or_devices(variables):
    a_job = job(noise(150, 203))
    expected = probability(a_job, predictor(variables))
    for devices, batch_size in ((1, 1), (1, 8), (8, 8), (4, 5)):
        one = predictor(variables, devices=devices, batch_size=batch_size)
        np.testing.assert_allclose(probability(a_job, one), expected, atol=2e-6)


def test_the_mean_of_views_is_that_of_predictions_of_turned_images(variables):
    """An image of one tile, turned by hand; on several devices and in batches of any size."""
    image, number = noise(TILE_PX, TILE_PX), 6
    one_view = predictor(variables, num_classes=number)
    expected = np.zeros((TILE_PX, TILE_PX, number - 1))
    for mirror in (np.array, np.fliplr):
        for turns in range(4):
            seen = probability(job(np.ascontiguousarray(np.rot90(mirror(image), turns))), one_view)
            expected += mirror(np.rot90(seen, -turns)) / 8
    assert np.abs(expected - probability(job(image), one_view)).max() > 0.05
    for devices, batch_size in ((1, 3), (4, 5)):
        mean = predictor(variables, num_classes=number, devices=devices, batch_size=batch_size, views=8)
        np.testing.assert_allclose(probability(job(image), mean), expected, atol=2e-6)


def test_another_number_of_views_is_refused(variables):
    with pytest.raises(UserError, match="the number of views is 4"):
        predictor(variables, views=4)


def test_images_share_batches_and_come_out_in_order(variables):
    """Also when one of them breaks in the middle, and when stages run in threads."""

    def broken(top, left, height, width):
        if top > 100:
            raise OSError("the disk is gone")
        return np.zeros((height, width, 3), np.uint8)

    bad = dataclasses.replace(job(noise(300, 100), name="bad"))
    bad = dataclasses.replace(bad, view=dataclasses.replace(bad.view, source=Source(300, 100, None, broken)))
    jobs = [job(noise(70, 70), name="first"), bad, job(noise(150, 90), name="last")]
    one = predictor(variables, batch_size=5)
    alone = {a_job.path.name: probability(a_job, one) for a_job in (jobs[0], jobs[2])}
    events = list(ahead(infer(ahead(read_events(jobs), 4), one), 4))
    begun = [event.job.path.name for event in events if isinstance(event, Begin)]
    assert begun == ["first", "bad", "last"]
    (failure,) = [event for event in events if isinstance(event, Failed)]
    assert "the disk is gone" in str(failure.error)
    assert isinstance(failure.error, RefusedImage)
    assert [event.job.path.name for event in events if isinstance(event, End)] == ["first", "last"]
    for a_job in (jobs[0], jobs[2]):
        its_events = [event for event in events if not isinstance(event, Failed) and event.job is a_job]
        parts = [band for _, band in bands_of(its_events, a_job, 1)]
        np.testing.assert_allclose(np.concatenate(parts), alone[a_job.path.name], atol=2e-6)


@pytest.mark.parametrize(("microns", "views"), [(0.25, 1), (0.4, 1), (0.15, 1), (0.25, 8)])
def test_an_image_that_is_taken_up_again_goes_on_bit_by_bit(microns, views, variables):
    """After any of the bands that were written."""
    a_job, one = job(noise(230, 60), microns), predictor(variables, views=views)
    bands = predicted_bands(a_job, one)
    whole = np.concatenate(bands)
    ends = np.cumsum([len(band) for band in bands])
    assert len(set(ends)) > 2
    for number, rows_done in enumerate(ends, start=1):
        again = resumed(a_job, ends[:number].tolist())
        assert again.first_row > 0 or rows_done < 120
        rest = predicted_bands(again, one)
        np.testing.assert_array_equal(np.concatenate(rest or [whole[:0]]), whole[rows_done:])


def test_errors_and_ends_of_a_thread_come_out_where_its_items_do():
    def three():
        yield from (1, 2)
        raise KeyError("third")

    items = ahead(three(), 1)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(KeyError):
        next(items)
    closed = []

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    items = ahead(endless(), 2)
    assert next(items) == 0
    items.close()
    assert closed == [True]


@pytest.fixture(scope="module")
def narrow():
    """A narrow paper model, which looks at the whole tile through image pooling."""
    model = build_segmenter(
        encoder="resnet50",
        decoder="deeplabv3plus",
        num_classes=1,
        dropout=0.0,
        width=0.125,
        encoder_depths=(1, 1, 1),
    )
    variables = jax.jit(lambda key: model.init(key, np.zeros((1, 64, 64, 3), np.uint8), train=False))(
        jax.random.key(0)
    )
    return make_predictor(model, variables, make_mesh(1), num_classes=1, tile_px=TILE_PX, batch_size=4)


def test_a_paper_model_sees_the_same_in_every_tile_of_a_constant_image(narrow):
    """Padding makes a tile's rim differ from its middle; that every tile says the same is what can be asked."""
    constant = np.full((224, 224, 3), 170, np.uint8)
    result = probability(job(constant), narrow)[..., 0]
    stride = TILE_PX - OVERLAP_PX
    inner = result[stride + OVERLAP_PX : -stride - OVERLAP_PX, stride + OVERLAP_PX : -stride - OVERLAP_PX]
    period = inner[:stride, :stride]
    for top in range(0, len(inner) - stride + 1, stride):
        np.testing.assert_allclose(inner[top : top + stride, :stride], period, atol=1e-6)
    assert np.ptp(inner) < 1e-3


@pytest.mark.parametrize("num_classes", [1, 6])
def test_what_is_predicted_is_what_is_scored(num_classes, variables):
    """One tile, so that nothing is blended: the mask and its classes, which the largest logit would not give."""
    image = noise(TILE_PX, TILE_PX)
    found = predict_job(
        job(image), predictor(variables, num_classes=num_classes), NucleusRule(smallest_um2=0.0), PANNUKE
    )
    logits = jax.jit(lambda v, x: Local(num_classes).apply(v, x, train=False))(
        variables[num_classes], image[None]
    )
    scored = np.asarray(predicted_label(logits))[0]
    assert 0.05 < (scored > 0).mean() < 0.95
    np.testing.assert_array_equal(found.mask, scored > 0)
    if num_classes > 1:
        np.testing.assert_array_equal(found.classes[found.mask], scored[scored > 0])
        assert np.any(found.mask != (np.argmax(logits[0], axis=-1) > 0))


def test_a_prediction_is_all_of_one_piece(variables):
    image = noise(90, 140)
    image[20:60, 20:70] = 0
    found = predict_job(
        job(image, microns=0.5), predictor(variables, num_classes=6), NucleusRule(threshold=0.8), PANNUKE
    )
    assert found.probability.shape == found.nuclei.shape == found.classes.shape == (90, 140)
    assert found.nuclei.max() == len(found.table["nucleus"]) == len(found.polygons)
    areas = np.bincount(found.nuclei.ravel(), minlength=len(found.polygons) + 1)[1:]
    np.testing.assert_allclose([polygon.area for polygon in found.polygons], areas)
    np.testing.assert_allclose(found.table["area_um2"], areas * 0.25)
    assert found.overlay().shape == image.shape
    # Nothing was made foreground that the model does not say is.
    assert found.probability[found.mask].min() > np.float32(0.8)


def test_a_model_whose_output_is_not_a_number_is_refused(variables):
    """As background it would be an image without nuclei."""
    broken = jax.tree.map(lambda leaf: leaf * np.nan, variables)
    with pytest.raises(RefusedImage, match="an image: the model's outputs are not numbers"):
        predict_job(job(noise(40, 40)), predictor(broken), NucleusRule(), PANNUKE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_a_number_is_enough(value):
    of_image = job(noise(64, 64), microns=0.25)
    values = np.zeros((TILE_PX, TILE_PX, 1), np.float32)
    row = [Tile(of_image, 0, values), RowEnd(of_image, 0)]
    assert len(list(bands_of(row, of_image, 1))) == 1
    values[3, 5] = value
    with pytest.raises(RefusedImage, match="not numbers"):
        list(bands_of(row, of_image, 1))
