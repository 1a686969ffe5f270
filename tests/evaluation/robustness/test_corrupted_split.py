"""Scores of cells depend on no batch size and no device count, and the clean ones are the evaluator's."""

import dataclasses
import types

import numpy as np
import pytest

from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.evaluation.evaluator import Evaluator
from nucseg_jax.evaluation.robustness.cell_scores import COLUMNS, CellScores
from nucseg_jax.evaluation.robustness.cells import CLEAN, Cell, cells_of
from nucseg_jax.evaluation.robustness.corrupted_split import CorruptedSplit
from nucseg_jax.evaluation.robustness.strips import draw_strip, median_image, strip
from nucseg_jax.evaluation.step import compile_evaluation_of_views, compile_evaluation_step
from nucseg_jax.ops.corruptions.kinds import corrupted
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.ops.objective import Objective, Term
from nucseg_jax.ops.stain_normalization.target import pooled_target
from nucseg_jax.runtime.mesh import make_mesh
from tests.toy_model import LogitsModel

OBJECTIVE = Objective({"dice_loss": Term(1.0, soft_dice)})


class Darkness(LogitsModel):
    """Takes what is dark in red for a nucleus; without a parameter."""

    def __call__(self, image, *, train):
        return 0.05 * (140.0 - image[..., :1].astype(np.float32))


class Data(types.SimpleNamespace):
    """As much of `PreparedData` as is asked for."""

    def rows(self, split):
        return self.order

    def _replace(self, **changed):
        return Data(**{**vars(self), **changed})


@pytest.fixture(scope="module")
def data():
    painted = [paint_patch(0, 1, index) for index in range(5)]
    corner = (slice(64, 128), slice(64, 128))
    numbers = np.arange(5, dtype=np.int32)
    label = np.stack([each.masks[corner][..., :5].any(axis=-1).astype(np.uint8) for each in painted])
    patches = Patches(
        np.stack([each.image[corner] for each in painted]), label, numbers, numbers * 0 + 1, numbers
    )
    return Data(patches=patches, info=dataclasses.replace(PANNUKE, patch_px=64), order=numbers[::-1])


def corrupted_split(data, *, batch_size=4, devices=1, compile_step=compile_evaluation_step, stain=None):
    mesh = make_mesh(devices)
    step = compile_step(Darkness(), OBJECTIVE, mesh, stain=stain)
    evaluator = Evaluator(
        step, step, OBJECTIVE, lambda params: 0.0, batch_size, mesh, None, reestimates=False, compares="never"
    )
    return CorruptedSplit(evaluator, {"params": {}}, data, "test")


def test_the_clean_cell_is_what_the_evaluator_scores(data):
    split = corrupted_split(data)
    _, scored = split.evaluator.score(split.variables, data, data.order, ["test"])["test"]
    found = split.score(CLEAN)
    assert found.result == scored.result
    kept = CellScores.of(found)
    assert kept.scores["dice_micro"] == found.result["micro"]["dice"] > 0.3
    assert kept.scores["iou_image"] == found.result["image_skip"]["iou"]
    assert kept.scores["bpq_image"] is None
    assert CellScores.from_json(kept.as_json(CLEAN), CLEAN).scores == {
        name: kept.scores[name] for name in COLUMNS
    }


@pytest.mark.parametrize("cell", [Cell("noise", 4), Cell("jpeg", 5), Cell("stain", 5)])
def test_a_cell_is_the_split_of_corrupted_images(cell, data):
    """Each image by itself, in any batch, on any number of devices."""
    images = np.concatenate(
        [
            corrupted(one[None], cell.kind, cell.severity, microns_per_px=data.info.microns_per_px)
            for one in data.patches.image
        ]
    )
    changed = data._replace(patches=dataclasses.replace(data.patches, image=images))
    slow = corrupted_split(changed).score(CLEAN)
    assert (slow.counts.counts != corrupted_split(data).score(CLEAN).counts.counts).any()
    for batch_size, devices in ((4, 1), (1, 1), (4, 4)):
        found = corrupted_split(data, batch_size=batch_size, devices=devices).score(cell)
        np.testing.assert_array_equal(found.counts.counts, slow.counts.counts)
        np.testing.assert_array_equal(found.levels, slow.levels)


def test_views_are_those_of_the_corrupted_image(data):
    """A model of single pixels sees the same in all of them."""
    cell = Cell("noise", 4)
    expected = corrupted_split(data).score(cell)
    found = corrupted_split(data, devices=4, compile_step=compile_evaluation_of_views).score(cell)
    np.testing.assert_array_equal(found.counts.counts, expected.counts.counts)
    assert np.abs(found.levels - expected.levels).sum() <= 2e-4 * found.levels.sum()


@pytest.mark.parametrize("kind", ["scanner", "jpeg"])
def test_stains_are_normalised_after_the_corruption(kind, data):
    """On the host and on devices; an image may differ by a grey level where it is rounded."""
    cell = Cell(kind, 5)
    target = pooled_target("macenko", data.patches.image, len(data.patches.image))
    changed = [corrupted(one[None], kind, 5, microns_per_px=0.25)[0] for one in data.patches.image]
    seen = np.stack([target.apply(one, target.statistics_of(one)) for one in changed])
    slow = data._replace(patches=dataclasses.replace(data.patches, image=seen))
    expected = corrupted_split(slow).score(CLEAN).counts.counts
    assert np.abs(expected - corrupted_split(data).score(cell).counts.counts).max() > 100
    for devices in (1, 4):
        found = corrupted_split(data, devices=devices, stain=target).score(cell).counts.counts
        assert np.abs(found - expected).max() <= 8


def test_the_model_is_compiled_once_for_all_cells(data):
    split = corrupted_split(data)
    for cell in (CLEAN, Cell("noise", 1), Cell("noise", 5), Cell("jpeg", 1), Cell("hue", 3)):
        split.score(cell)
    assert split.evaluator.step._cache_size() == 1


def test_cells_come_kind_by_kind_with_the_clean_one_first():
    assert [cell.name for cell in cells_of(["hue"])] == [
        "clean",
        *(f"hue_{number}" for number in range(1, 6)),
    ]
    assert cells_of(["jpeg"])[2].value == 40
    assert CLEAN.value is None


def test_the_median_image_has_a_nucleus_and_is_the_first_of_equal_ones():
    dice_1, dice_half, empty = [4, 0, 0, 0], [2, 2, 2, 0], [0, 3, 0, 1]
    assert median_image(np.array([dice_1, dice_half, empty, dice_half])) == 1
    assert median_image(np.array([empty, dice_1])) == 1
    assert median_image(np.array([empty, empty])) == 0


@pytest.mark.parametrize("kind", ["defocus", "jpeg"])
def test_a_strip_shows_the_image_at_all_severities_with_what_was_predicted(kind, data):
    split = corrupted_split(data)
    picture = strip(split.evaluator, split.variables, data, "test", 1, kind)
    image = data.patches.image[data.order[1]][None]
    truth = data.patches.label[data.order[1]] > 0
    shown = np.concatenate([corrupted(image, kind, severity, microns_per_px=0.25) for severity in range(6)])
    predicted = np.asarray(Darkness()(shown, train=False))[..., 0] > 0
    expected = draw_strip(kind, shown, truth, predicted, np.zeros_like(truth))
    np.testing.assert_array_equal(picture, expected)
