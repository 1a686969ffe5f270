import functools
import io
import pathlib

import numpy as np
import PIL.Image
import pytest
import scipy.ndimage

from nucseg_jax.data.store.near_duplicates import Comparison, is_distinctive, thumbnail_of

REAL = pathlib.Path(__file__).parents[4] / "shared" / "data"


def compare(images, names, folder):
    comparison = Comparison(folder)
    for image, name in zip(images, names, strict=True):
        comparison.add(image, name)
    return comparison.finish()


@functools.cache
def real_patches():
    """270 patches of MoNuSeg, 107 of BBBC038 and 108 of CoNSeP, each as if of an image of its own."""
    if not REAL.is_dir():
        pytest.skip("the real patches (../shared/data) are not on this machine")
    images = [np.load(REAL / f"{name}.npz")["image"] for name in ("monuseg_folds", "dsb2018_histology")]
    consep = np.load(REAL / "consep_train.npz")["image"]
    starts = (0, 744)
    images += [consep[:, y : y + 256, x : x + 256] for y in starts for x in starts]
    return np.concatenate(images)


def as_jpeg(image, quality):
    content = io.BytesIO()
    PIL.Image.fromarray(image).save(content, "JPEG", quality=quality)
    return np.asarray(PIL.Image.open(content))


def blurred(image, sigma):
    return scipy.ndimage.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0))


def shown(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


ALTERATIONS = {
    "the same": lambda image: image,
    "JPEG": lambda image: as_jpeg(image, 50),
    "darker": lambda image: shown(image * 0.8),
    "less contrast": lambda image: shown((image - 128.0) * 0.7 + 128),
    "blur": lambda image: shown(blurred(image, 2)),
    "all": lambda image: as_jpeg(shown(blurred(image, 1) * 0.9 + 10), 60),
}


def test_no_two_of_the_real_patches_are_taken_for_each_other(tmp_path):
    images = real_patches()
    found = compare(images, map(str, range(len(images))), tmp_path)
    assert len(found.pairs) == 0
    assert found.left_out < 0.05 * len(images)


@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_copies_of_real_patches_are_found(tmp_path, name):
    images = [image for image in real_patches()[::12] if is_distinctive(thumbnail_of(image))]
    copies = [ALTERATIONS[name](image) for image in images]
    names = [f"{kind}{number}" for kind in "ab" for number in range(len(images))]
    found = compare(images + copies, names, tmp_path)
    compared = {number for number, copy in enumerate(copies) if is_distinctive(thumbnail_of(copy))}
    assert len(compared) >= len(images) - 2
    assert {tuple(pair) for pair in found.pairs.tolist()} == {
        (number, number + len(images)) for number in compared
    }


def test_what_is_shared_by_chance_is_no_copy(tmp_path):
    """Frames, straight edges of glass and the same region cut out; blank glass and one texture are left out."""
    images, rng = real_patches()[::8], np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    for is_covered, value in (
        (np.minimum(y, x) < 16, 0),
        (x < 128, 0),
        (x >= 96, 242),
        (y + x / 2 > 190, 242),
        ((y - 128) ** 2 + (x - 128) ** 2 > 80**2, 242),
        ((y - 128) ** 2 + (x - 128) ** 2 > 20**2, 242),
    ):
        covered = images.copy()
        covered[:, is_covered] = value
        assert len(compare(covered, map(str, range(len(covered))), tmp_path).pairs) == 0
    glass = rng.normal(240, 3, (9, 256, 256, 3))
    texture = 160 + 60 * np.sin(x / 8)[..., None] * np.sin(y / 8)[..., None] + rng.normal(0, 5, glass.shape)
    for unlike in (glass, texture):
        found = compare(shown(unlike), map(str, range(9)), tmp_path)
        assert (len(found.pairs), found.left_out) == (0, 9)


def test_patches_of_one_image_are_not_compared_and_k_copies_are_joined_by_k_less_one_pairs(
    tmp_path, monkeypatch
):
    """Whatever the chunks: copies lie in several of them."""
    image = scipy.ndimage.zoom(np.random.default_rng(0).integers(0, 255, (32, 32, 3)), (8, 8, 1), order=0)
    other = image[::-1].copy()
    images = [image, other, image, image, other, image]
    for chunk in (2, 4096):
        monkeypatch.setattr("nucseg_jax.data.store.near_duplicates._CHUNK", chunk)
        assert len(compare([image.astype(np.uint8)] * 3, ["a"] * 3, tmp_path).pairs) == 0
        found = compare([each.astype(np.uint8) for each in images], ["a", "b", "c", "", "", "a"], tmp_path)
        # Patches 0 and 5 are of one image, and joined through 2.
        assert found.pairs.tolist() == [[0, 2], [0, 3], [1, 4], [2, 5]]
    assert not list(tmp_path.iterdir())
