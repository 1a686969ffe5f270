"""Whether nuclei look like nuclei tells if images and masks belong together; painted patches and real ones do."""

import pathlib

import numpy as np
import pytest

from nucseg_jax.data.appearance import appearance
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch

REAL = pathlib.Path(__file__).parents[3] / "shared" / "data"


def looks(images, labels):
    found = [appearance(image, label) for image, label in zip(images, labels, strict=True)]
    return np.array([look for look in found if look is not None])


def painted():
    patches = [paint_patch(0, 1, index) for index in range(20, 40)]
    labels = [(patch.masks[..., :5].max(-1) > 0).astype(np.uint8) for patch in patches]
    return np.stack([patch.image for patch in patches]), np.stack(labels)


def real(name):
    with np.load(REAL / f"{name}.npz") as stored:
        side = slice(0, 256)
        images, nuclei = (stored[key][::4, side, side] for key in ("image", "instance"))
    return images, (nuclei > 0).astype(np.uint8)


@pytest.mark.parametrize("name", ["painted", "monuseg_folds", "consep_train", "dsb2018_histology"])
def test_nuclei_are_darker_and_most_of_all_in_red(name):
    if name != "painted" and not (REAL / f"{name}.npz").exists():
        pytest.skip("needs the real patches beside the project")
    images, labels = painted() if name == "painted" else real(name)
    assert not looks(images, labels).any()
    assert looks(images[..., ::-1], labels)[:, 1].all()  # BGR
    assert looks(255 - images, labels)[:, 0].all()
    assert looks(images, np.roll(labels, 1, axis=0)).any(axis=1).mean() > 0.3


def test_a_patch_of_one_kind_has_no_look():
    image = np.zeros((4, 4, 3), np.uint8)
    assert appearance(image, np.zeros((4, 4), np.uint8)) is None
    assert appearance(image, np.ones((4, 4), np.uint8)) is None


def test_pixels_nobody_annotated_have_no_look():
    images, labels = painted()
    for image, label in zip(images, labels, strict=True):
        darkened, unknown = image.copy(), label.copy()
        darkened[:100], unknown[:100] = 0, VOID_LABEL
        assert appearance(darkened, unknown) == appearance(image[100:], label[100:])
    assert appearance(images[0], np.full((256, 256), VOID_LABEL, np.uint8)) is None


def test_sums_over_large_patches_are_exact():
    """Of one colour nothing is darker than the rest; 32 bits hold the sums of 256 px and no more."""
    label = np.zeros((1000, 1000), np.uint8)
    label[:, :7] = 1
    for colour in ((201, 203, 205), (77, 99, 251)):
        assert appearance(np.full((1000, 1000, 3), colour, np.uint8), label) == (True, False)
