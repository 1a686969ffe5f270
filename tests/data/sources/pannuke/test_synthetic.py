"""The painted release: its layout, its traps, that it repeats itself, and that it is hard but not too hard."""

import numpy as np
import pytest

from nucseg_jax.data.sources.pannuke import synthetic
from nucseg_jax.data.sources.pannuke.synthetic_tissue import RECIPES
from nucseg_jax.data.sources.pannuke.vocabulary import FOLDS, NUCLEUS_CLASSES, TISSUES
from nucseg_jax.evaluation.baselines import otsu_hematoxylin

CLASSES = len(NUCLEUS_CLASSES)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    out = tmp_path_factory.mktemp("release")
    synthetic.write_release(out, patches_per_fold=6, seed=11)
    return out


def arrays(out, fold):
    images = np.load(out / f"Fold {fold}/images/fold{fold}/images.npy", allow_pickle=False)
    types = np.load(out / f"Fold {fold}/images/fold{fold}/types.npy", allow_pickle=False)
    masks = np.load(out / f"Fold {fold}/masks/fold{fold}/masks.npy", allow_pickle=False)
    return images, types, masks


@pytest.mark.parametrize("fold", FOLDS)
def test_layout_is_the_release_s(release, fold):
    images, types, masks = arrays(release, fold)
    assert images.shape == (6, 256, 256, 3)
    assert masks.shape == (6, 256, 256, 6)
    assert types.shape == (6,)
    assert images.dtype == masks.dtype == np.float64
    assert types.dtype.kind == "U"
    assert set(types) <= set(TISSUES)
    assert images.min() >= 0
    assert images.max() <= 255
    assert np.array_equal(images, np.rint(images))
    assert np.array_equal(masks, np.rint(masks))
    assert set(np.unique(masks[..., CLASSES])) == {0.0, 1.0}


def test_nothing_else_is_left_behind(release):
    names = {path.name for path in release.rglob("*") if path.is_file()}
    assert names == {"images.npy", "types.npy", "masks.npy"}


@pytest.mark.parametrize("fold", FOLDS)
def test_every_fold_holds_every_trap(release, fold):
    _, _, masks = arrays(release, fold)
    nuclei = masks[..., :CLASSES]
    claims = (nuclei > 0).sum(axis=-1)
    kinds = {kind: row for row, kind in enumerate(synthetic.TRAPS)}

    ids = np.unique(nuclei[kinds[synthetic.LARGE_IDS]])
    assert ids[ids > 0].min() > 255
    assert claims[kinds[synthetic.EMPTY]].max() == 0
    assert (masks[kinds[synthetic.VOID]] == 0).all(axis=-1).sum() > 100
    overlap = kinds[synthetic.OVERLAP]
    assert (claims[overlap] == 2).sum() > 10
    assert visible(nuclei[overlap]) == present(nuclei[overlap])
    hidden = kinds[synthetic.HIDDEN]
    assert len(present(nuclei[hidden]) - visible(nuclei[hidden])) == 1


def present(nuclei):
    """(channel, id) of all nuclei of one patch."""
    return {(c, i) for c in range(CLASSES) for i in np.unique(nuclei[..., c]) if i > 0}


def visible(nuclei):
    """(channel, id) of those that show when later channels overwrite earlier ones: a slow reference."""
    last = CLASSES - 1 - np.argmax(nuclei[..., ::-1] > 0, axis=-1)
    ids = np.take_along_axis(nuclei, last[..., None], -1)[..., 0]
    return {(c, i) for c, i in zip(last.ravel(), ids.ravel(), strict=True) if i > 0}


def test_all_pixels_of_other_patches_are_claimed_exactly_once():
    masks = synthetic.paint_patch(11, 1, 0).masks
    assert ((masks > 0).sum(axis=-1) == 1).all()


def test_a_longer_release_begins_with_the_shorter_one(release, tmp_path):
    synthetic.write_release(tmp_path, patches_per_fold=7, seed=11)
    for fold in FOLDS:
        for short, long in zip(arrays(release, fold), arrays(tmp_path, fold), strict=True):
            assert np.array_equal(short, long[:6])


def test_seed_and_fold_and_index_all_matter():
    patches = [synthetic.paint_patch(*key).image for key in ((0, 1, 5), (1, 1, 5), (0, 2, 5), (0, 1, 6))]
    assert len({patch.tobytes() for patch in patches}) == len(patches)


def test_bytes_do_not_depend_on_what_was_painted_before():
    first = synthetic.paint_patch(3, 2, 8)
    synthetic.paint_patch(3, 2, 9)
    again = synthetic.paint_patch(3, 2, 8)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.masks, again.masks)


@pytest.mark.parametrize("seed", [0, 1])
def test_hard_for_a_threshold_and_all_classes_are_there(seed):
    patches = [synthetic.paint_patch(seed, 3, index) for index in range(30)]
    image = np.stack([patch.image for patch in patches])
    masks = np.stack([patch.masks[..., :CLASSES] for patch in patches])
    truth = masks.any(axis=-1)
    predicted = otsu_hematoxylin(image)
    dice = 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())
    assert 0.50 < dice < 0.68
    assert 0.12 < truth.mean() < 0.28
    assert (masks > 0).any(axis=(0, 1, 2)).all()
    assert {patch.tissue for patch in patches} == set(RECIPES)


@pytest.mark.parametrize(("patches", "seed"), [(4, 0), (0, 0), (5, -1)])
def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path, patches, seed):
    with pytest.raises(ValueError, match=r"patches_per_fold|seed"):
        synthetic.write_release(tmp_path, patches_per_fold=patches, seed=seed)
    assert not list(tmp_path.iterdir())
