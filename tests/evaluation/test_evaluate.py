"""A split's counts do not depend on batch size or number of devices, and are those of each image alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.data.batches import evaluation_batches
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.evaluation.evaluate import compile_count_step, compile_prediction_step, evaluate
from nucseg_jax.ops.counts import count_pixels
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.training.mesh import make_mesh, put_batch


class OneConv(nn.Module):
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
        tissue=rng.integers(0, 19, P, dtype=np.int32),
        fold=np.ones(P, np.int32),
        index=np.arange(P, dtype=np.int32),
    )
    model = OneConv()
    variables = model.init(jax.random.key(1), patches.image[:1], train=False)
    return Setup(patches, rng.permutation(P), model, variables)


def counts_of(setup, *, batch_size, devices):
    mesh = make_mesh(devices)
    step = compile_count_step(setup.model, soft_dice, mesh)
    batches = evaluation_batches(setup.patches, setup.rows, batch_size=batch_size)
    return evaluate(step, setup.variables, batches, mesh)


def test_counts_are_those_of_each_image_alone(setup):
    found = counts_of(setup, batch_size=4, devices=1)
    np.testing.assert_array_equal(found.index, np.arange(11))
    np.testing.assert_array_equal(found.tissue, setup.patches.tissue[setup.rows])
    for position, row in enumerate(setup.rows):
        logits = setup.model.apply(setup.variables, setup.patches.image[row : row + 1], train=False)
        alone = count_pixels(logits, setup.patches.label[row : row + 1])
        np.testing.assert_array_equal(found.counts[position], alone[0])


@pytest.mark.parametrize(("batch_size", "devices"), [(1, 1), (11, 1), (16, 8), (6, 2)])
def test_batch_size_and_devices_change_nothing(setup, batch_size, devices):
    expected = counts_of(setup, batch_size=4, devices=4)
    found = counts_of(setup, batch_size=batch_size, devices=devices)
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
    assert found.compute() == expected.compute()


def test_batch_statistics_are_those_of_the_batch_at_hand(setup):
    """They depend on the batch's images, and not on the moving statistics."""
    mesh = make_mesh(1)
    step = compile_count_step(setup.model, soft_dice, mesh, batch_statistics=True)
    batch = next(evaluation_batches(setup.patches, setup.rows, batch_size=4))
    moved = jax.tree.map(lambda leaf: leaf + 50.0, setup.variables["batch_stats"])
    for of_one, of_other in zip(
        step(setup.variables, put_batch(batch, mesh)),
        step({**setup.variables, "batch_stats": moved}, put_batch(batch, mesh)),
        strict=True,
    ):
        np.testing.assert_array_equal(of_one, of_other)


def test_probabilities_above_a_half_are_the_counted_predictions(setup):
    mesh = make_mesh(2)
    batch = next(evaluation_batches(setup.patches, setup.rows, batch_size=4))
    probability, mask = compile_prediction_step(setup.model, mesh)(setup.variables, put_batch(batch, mesh))
    counts = compile_count_step(setup.model, soft_dice, mesh)(setup.variables, put_batch(batch, mesh))[0]
    np.testing.assert_array_equal(mask.sum((1, 2)), counts[:, 0, :2].sum(-1))
    np.testing.assert_array_equal(probability > 0.5, mask)
