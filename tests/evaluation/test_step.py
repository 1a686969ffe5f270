"""A split's counts do not depend on batch size or number of devices, and are those of each image alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.data.batches import evaluation_batches
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.split_scores import count_batches
from nucseg_jax.evaluation.step import compile_evaluation_of_views, compile_evaluation_step, placed_batches
from nucseg_jax.ops.counts import count_pixels
from nucseg_jax.ops.losses import cross_entropy, soft_dice
from nucseg_jax.ops.objective import Objective, Term
from nucseg_jax.ops.stain_normalization.target import METHODS, pooled_target
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_batch
from tests.toy_model import LogitsModel

OBJECTIVE = Objective({"dice_loss": Term(1.0, soft_dice), "cross_entropy_loss": Term(0.5, cross_entropy)})


class OneConv(LogitsModel):
    """A model that is quick on 256 px: batch norm, then a 1x1 convolution."""

    @nn.compact
    def __call__(self, image, *, train):
        features = nn.BatchNorm(use_running_average=not train)(image.astype(jnp.float32))
        return nn.Dense(1, name="head")(features)


@dataclasses.dataclass(frozen=True)
class Setup:
    patches: Patches
    rows: np.ndarray
    model: OneConv
    variables: dict


@pytest.fixture(scope="module")
def setup() -> Setup:
    P = 11
    rng = np.random.default_rng(0)
    patches = Patches(
        image=rng.integers(0, 256, (P, 256, 256, 3), dtype=np.uint8),
        label=rng.integers(0, 6, (P, 256, 256), dtype=np.uint8),
        group=rng.integers(0, 19, P, dtype=np.int32),
        fold=np.ones(P, np.int32),
        index=np.arange(P, dtype=np.int32),
    )
    model = OneConv()
    variables = model.init(jax.random.key(1), patches.image[:1], train=False)
    return Setup(patches, rng.permutation(P), model, variables)


def seen_in(setup, *, batch_size, devices, compile_step=compile_evaluation_step):
    mesh = make_mesh(devices)
    step = compile_step(setup.model, OBJECTIVE, mesh)
    batches = placed_batches(setup.patches, setup.rows, batch_size=batch_size, mesh=mesh)
    return count_batches(step, setup.variables, batches)


def test_counts_are_those_of_each_image_alone(setup):
    found, *_ = seen_in(setup, batch_size=4, devices=1)
    np.testing.assert_array_equal(found.index, np.arange(11))
    np.testing.assert_array_equal(found.group, setup.patches.group[setup.rows])
    for position, row in enumerate(setup.rows):
        logits = setup.model.apply(setup.variables, setup.patches.image[row : row + 1], train=False)
        alone = count_pixels(logits, setup.patches.label[row : row + 1])
        np.testing.assert_array_equal(found.counts[position], alone[0])


@pytest.mark.parametrize(("batch_size", "devices"), [(1, 1), (11, 1), (16, 8), (6, 2)])
def test_batch_size_and_devices_change_nothing(setup, batch_size, devices):
    expected, expected_levels, _ = seen_in(setup, batch_size=4, devices=4)
    found, levels, _ = seen_in(setup, batch_size=batch_size, devices=devices)
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(levels, expected_levels)
    for name in OBJECTIVE.terms:
        np.testing.assert_allclose(found.losses[name], expected.losses[name], rtol=1e-5)
    assert found.scores(PANNUKE) == expected.scores(PANNUKE)


@pytest.mark.parametrize(("batch_size", "devices"), [(4, 1), (6, 2)])
def test_a_model_of_single_pixels_scores_the_same_in_eight_views(setup, batch_size, devices):
    """On any number of devices; a pixel whose logit is 0 within rounding may fall on either side."""
    expected, expected_levels, _ = seen_in(setup, batch_size=4, devices=4)
    found, levels, _ = seen_in(
        setup, batch_size=batch_size, devices=devices, compile_step=compile_evaluation_of_views
    )
    np.testing.assert_array_equal(found.index, expected.index)
    assert np.abs(found.counts - expected.counts).max() <= 2
    assert np.abs(levels - expected_levels).sum() <= 2e-5 * levels.sum()
    for name in OBJECTIVE.terms:
        np.testing.assert_allclose(found.losses[name], expected.losses[name], rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("compile_step", [compile_evaluation_step, compile_evaluation_of_views])
def test_the_model_sees_each_image_normalised(setup, method, compile_step):
    """By its own statistics, whichever lie beside it, also where the rows of images are split over devices."""
    images = setup.patches.image[:4, :64, :64] // np.array([1, 2, 3, 4], np.uint8)[:, None, None, None]
    patches = dataclasses.replace(
        setup.patches, image=images, label=setup.patches.label[:4, :64, :64], group=np.zeros(4, np.int32),
        fold=np.ones(4, np.int32), index=np.arange(4, dtype=np.int32),
    )  # fmt: skip
    target = pooled_target(method, 255 - images[:1] // 2, 1)
    by_hand = np.stack([target.apply(one, target.statistics_of(one)) for one in images])

    def level(patches, mesh, stain):
        step = compile_step(setup.model, OBJECTIVE, mesh, stain=stain)
        batches = placed_batches(patches, np.arange(4), batch_size=2, mesh=mesh)
        return np.concatenate([jax.device_get(step(setup.variables, batch).level) for batch in batches])

    expected = level(dataclasses.replace(patches, image=by_hand), make_mesh(1), None).astype(int)
    assert np.abs(level(patches, make_mesh(1), None) - expected).mean() > 5
    views_alone = compile_step is compile_evaluation_of_views
    for mesh in (make_mesh(1), make_mesh(2), *([] if views_alone else [make_mesh(2, space=2)])):
        found = level(patches, mesh, target)
        # A grey level is at most a few levels of probability here.
        assert (found != expected).mean() < 0.02
        assert np.abs(found - expected).max() <= 12


def test_batch_statistics_are_those_of_the_batch_at_hand(setup):
    """They depend on the batch's images, and not on the moving statistics."""
    mesh = make_mesh(1)
    step = compile_evaluation_step(setup.model, OBJECTIVE, mesh, batch_statistics=True)
    batch = next(evaluation_batches(setup.patches, setup.rows, batch_size=4))
    moved = jax.tree.map(lambda leaf: leaf + 50.0, setup.variables["batch_stats"])
    of_one = step(setup.variables, put_batch(batch, mesh))
    of_other = step({**setup.variables, "batch_stats": moved}, put_batch(batch, mesh))
    jax.tree.map(np.testing.assert_array_equal, of_one, of_other)


def test_levels_are_probabilities_and_those_above_a_half_are_the_counted_predictions(setup):
    mesh = make_mesh(2)
    batch = next(evaluation_batches(setup.patches, setup.rows, batch_size=4))
    seen = compile_evaluation_step(setup.model, OBJECTIVE, mesh)(setup.variables, put_batch(batch, mesh))
    logits = setup.model.apply(setup.variables, batch.image, train=False)
    np.testing.assert_allclose(seen.level / 255.0, jax.nn.sigmoid(logits[..., 0]), atol=0.5 / 255 + 1e-5)
    np.testing.assert_array_equal(seen.nucleus.sum((1, 2)), seen.counts[:, 0, :2].sum(-1))
    np.testing.assert_array_equal(np.asarray(seen.level)[np.asarray(seen.nucleus)] >= 128, True)


def test_every_pixel_of_a_split_is_in_its_levels_once(setup):
    """Padding is not."""
    counts, levels, _ = seen_in(setup, batch_size=8, devices=1)
    assert levels.sum() == 11 * 256 * 256
    assert levels[:, 1].sum() == counts.counts[:, 0, [0, 2]].sum()
    # Above 128 all is predicted nucleus, below all is not; 128 is a half rounded, on either side.
    predicted = counts.counts[:, 0, :2].sum()
    assert levels[129:].sum() <= predicted <= levels[127:].sum()
