"""Batch-norm statistics of the images that are scored: no affine change of a colour channel changes a score."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.data.batches import shuffled_batches
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.splits import Splits
from nucseg_jax.evaluation.batch_norm import compile_statistics_step
from nucseg_jax.evaluation.evaluator import Evaluator, Reestimation
from nucseg_jax.evaluation.robustness.cells import CLEAN, Cell
from nucseg_jax.evaluation.robustness.corrupted_split import CorruptedSplit
from nucseg_jax.evaluation.step import compile_evaluation_step
from nucseg_jax.ops.corruptions.kinds import corrupted
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.ops.objective import Objective, Term
from nucseg_jax.runtime.mesh import make_mesh, replicated
from nucseg_jax.runtime.placement import put
from tests.toy_model import LogitsModel

OBJECTIVE = Objective({"dice_loss": Term(1.0, soft_dice)})
MOMENTUM = 0.9


class Normalised(LogitsModel):
    """Batch norm of the colours, then a fixed mixture of them: dark is nucleus."""

    @nn.compact
    def __call__(self, image, *, train):
        norm = nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, epsilon=1e-9)
        return -2.0 * norm(image.astype(jnp.float32)).sum(axis=-1, keepdims=True) - 0.3


def patches_of(image: np.ndarray, label: np.ndarray) -> Patches:
    count = np.arange(len(image), dtype=np.int32)
    return Patches(image=image, label=label, group=count * 0, fold=count * 0 + 1, index=count)


@pytest.fixture(scope="module")
def patches() -> Patches:
    rng = np.random.default_rng(0)
    image = rng.integers(40, 120, (7, 64, 64, 3), np.uint8)
    label = (image.astype(int).sum(axis=-1) < 210).astype(np.uint8)
    return patches_of(image, label)


def data_of(patches: Patches) -> PreparedData:
    places = np.stack([patches.fold, patches.index], axis=1)
    none = places[:0]
    info = dataclasses.replace(PANNUKE, patch_px=64)
    return PreparedData(patches, Splits(none, none, places), types.SimpleNamespace(info=info))


def split_of(patches, *, on="scored", devices=1, batch_size=7):
    mesh, model = make_mesh(devices), Normalised()
    variables = put(model.init(jax.random.key(0), patches.image[:1], train=False), replicated(mesh))
    step = compile_evaluation_step(model, OBJECTIVE, mesh)
    statistics = compile_statistics_step(model, mesh, momentum=MOMENTUM)
    how = Reestimation(statistics, unbiased_variance=False, on=on, tile_px=64, batch_size=batch_size, seed=0)
    evaluator = Evaluator(
        step, step, OBJECTIVE, lambda params: 0.0, batch_size, mesh, how, reestimates=True, compares="never"
    )
    return CorruptedSplit(evaluator, {"params": {}, **variables}, data_of(patches), "test")


def test_no_affine_change_of_a_channel_changes_a_score(patches):
    expected = split_of(patches).score(CLEAN)
    assert expected.result["micro"]["dice"] > 0.5
    brighter = (patches.image * np.array([2, 1, 2]) + np.array([3, 100, 7])).astype(np.uint8)
    found = split_of(dataclasses.replace(patches, image=brighter)).score(CLEAN)
    np.testing.assert_array_equal(found.counts.counts, expected.counts.counts)


def test_statistics_of_a_cell_are_those_of_its_corrupted_images(patches):
    cell = Cell("noise", 5)
    images = np.concatenate(
        [
            corrupted(one[None], cell.kind, cell.severity, microns_per_px=PANNUKE.microns_per_px)
            for one in patches.image
        ]
    )
    slow = split_of(dataclasses.replace(patches, image=images)).score(CLEAN)
    for devices, batch_size in ((1, 7), (7, 7)):
        found = split_of(patches, devices=devices, batch_size=batch_size).score(cell)
        np.testing.assert_array_equal(found.counts.counts, slow.counts.counts)


@pytest.mark.parametrize(("batch_size", "batches"), [(3, 2), (7, 1), (10, 1)])
def test_batches_are_full_and_have_every_patch_once_or_as_often_as_fills_one(patches, batch_size, batches):
    rows = np.array([6, 1, 4, 0, 5, 2, 3])
    seen = list(shuffled_batches(patches, rows, batch_size=batch_size, seed=0))
    assert [len(batch.index) for batch in seen] == [batch_size] * batches
    positions = np.concatenate([batch.index for batch in seen])
    times = np.bincount(positions, minlength=7)
    assert times.max() - times.min() <= 1
    for batch in seen:
        assert batch.valid.all()
        np.testing.assert_array_equal(batch.image, patches.image[rows[batch.index]])
    again = list(shuffled_batches(patches, rows, batch_size=batch_size, seed=0))
    np.testing.assert_array_equal(positions, np.concatenate([batch.index for batch in again]))
