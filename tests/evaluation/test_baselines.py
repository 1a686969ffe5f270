"""Baselines: the published figures on real patches, and answers for images that have none."""

import numpy as np
import pytest

from nucseg_jax.evaluation.baselines import BASELINES, all_foreground, otsu_hematoxylin


def micro_dice(predicted, truth):
    return 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())


@pytest.fixture(scope="module")
def patches(shared):
    with np.load(shared / "data" / "monuseg_folds.npz") as data:
        return data["image"], data["instance"] > 0, data["fold"]


@pytest.mark.parametrize(("fold", "expected"), [(1, 0.736), (2, 0.691), (3, 0.723)])
def test_otsu_on_real_patches(patches, fold, expected):
    image, truth, folds = patches
    rows = folds == fold
    assert round(micro_dice(otsu_hematoxylin(image[rows]), truth[rows]), 3) == expected


def test_all_foreground_on_real_patches(patches):
    image, truth, folds = patches
    rows = folds == 3
    assert round(micro_dice(all_foreground(image[rows]), truth[rows]), 3) == 0.357


@pytest.mark.parametrize("level", [0, 1, 130, 255])
def test_an_image_of_one_colour_has_no_nuclei_for_otsu(level):
    image = np.full((2, 8, 8, 3), level, np.uint8)
    assert not otsu_hematoxylin(image).any()


def test_otsu_treats_each_image_by_itself():
    image = np.random.default_rng(0).integers(60, 250, (3, 16, 16, 3), np.uint8)
    image[1] //= 3
    alone = np.concatenate([otsu_hematoxylin(image[i : i + 1]) for i in range(3)])
    assert np.array_equal(otsu_hematoxylin(image), alone)


def test_otsu_finds_the_blue_half_not_the_pink_one():
    image = np.empty((1, 8, 8, 3), np.uint8)
    image[:, :, :4] = (90, 70, 150)
    image[:, :, 4:] = (230, 150, 180)
    found = otsu_hematoxylin(image)
    assert found[:, :, :4].all()
    assert not found[:, :, 4:].any()


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_keeps_the_contract(name):
    image = np.random.default_rng(1).integers(0, 256, (2, 6, 9, 3), np.uint8)
    untouched = image.copy()
    found = BASELINES[name](image)
    assert found.shape == (2, 6, 9)
    assert found.dtype == bool
    assert np.array_equal(image, untouched)
    assert BASELINES[name](image[:0]).shape == (0, 6, 9)
