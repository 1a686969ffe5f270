import pathlib

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import labels
from nucseg_jax.data.sources.pannuke.npy import Member
from nucseg_jax.data.sources.pannuke.patches import Patch
from nucseg_jax.data.sources.pannuke.plausibility import FoldPlausibility
from nucseg_jax.data.sources.pannuke.release import FoldFiles
from nucseg_jax.data.sources.pannuke.synthetic import TRAPS, paint_patch

FILES = FoldFiles(2, *(Member(pathlib.Path(f"fold_2/{name}.npy")) for name in ("images", "masks", "types")))


@pytest.fixture(scope="module")
def painted():
    """Images and masks of the traps and three ordinary patches."""
    patches = [paint_patch(0, 2, index) for index in range(len(TRAPS) + 3)]
    return (
        np.stack([patch.image for patch in patches]),
        np.stack([patch.masks for patch in patches]).astype(np.int32),
    )


def check(images, masks):
    fold = FoldPlausibility(FILES)
    for index, (image, ids) in enumerate(zip(images, masks, strict=True)):
        fold.add(Patch(2, index, image, *labels.from_masks(ids)[:2], 0, labels.from_masks(ids).observations))
    fold.require_plausible()


def background_first(masks):
    return np.roll(masks, 1, axis=-1)


def semantic(masks):
    """Classes without numbers."""
    return (masks > 0).astype(np.int32)


def with_background(masks, background):
    changed = masks.copy()
    changed[..., 5] = background
    return changed


def with_void(masks, share):
    changed = masks.copy()
    changed[:, : int(256 * share)] = 0
    return changed


def with_nucleus_of(masks, rows):
    changed = 0 * masks
    changed[:, :rows, :, 2] = 7
    changed[:, rows:, :, 5] = 1
    return changed


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (background_first, "holds several numbers, as ids do: .*first in patch 0 of fold 2"),
        (
            lambda masks: background_first(semantic(masks)),
            "one nucleus of .* covers more than half .*patch 0",
        ),
        (lambda masks: semantic(masks)[..., [1, 2, 5, 3, 4, 0]], "one nucleus of .* covers more than half"),
        (lambda masks: background_first(masks) * (np.arange(6) < 5), "No pixel of fold 2 is background"),
        (lambda masks: with_background(masks, 0), "No pixel of fold 2 is background"),
        (lambda masks: with_background(masks, 1), "100% of the nuclei's pixels in fold 2"),
        (lambda masks: with_background(masks, masks[..., 5] == 0), "100% of the nuclei's pixels"),
        # 20% of the nuclei's pixels, a few hundredths of all.
        (
            lambda masks: with_background(masks, (masks[..., 5] > 0) | (np.arange(256) % 5 == 0)),
            "[12][0-9]% of the nuclei's pixels",
        ),
        (lambda masks: with_void(masks, 0.25), "2[0-9]% of the pixels in fold 2 .*neither nucleus nor"),
    ],
)
def test_masks_that_mean_something_else_are_refused_with_the_fold(painted, change, found):
    images, masks = painted
    with pytest.raises(
        UserError, match=rf"(?s){found}.*Expected: in the masks channels 0 to 4.*What to do: "
    ):
        check(images, change(masks))


@pytest.mark.parametrize(
    "change",
    [
        lambda masks: masks,
        lambda masks: masks * np.where(np.arange(6) == 5, 255, 1),
        lambda masks: with_void(masks, 0.05),
        lambda masks: np.concatenate([masks.max(-1, keepdims=True, where=np.arange(6) < 5, initial=0),
                                      0 * masks[..., :4], masks[..., 5:]], -1),
        lambda masks: np.concatenate([masks[1:], masks[1:], 0 * masks[:1]]),
        lambda masks: np.concatenate([masks[1:], with_nucleus_of(masks[:1], rows=200)]),
    ],
    ids=[
        "the release's traps", "background 255", "few void pixels", "one class", "a patch void in whole",
        "a nucleus as wide as its patch",
    ],
)  # fmt: skip
def test_masks_as_the_release_has_them_pass(painted, change):
    images, masks = painted
    changed = change(masks)
    check(np.resize(images, (len(changed), *images.shape[1:])), changed)


def test_dark_images_are_refused(painted):
    images, masks = painted
    with pytest.raises(UserError, match=r"(?s)of fold 2 are dark: .*images\.npy is 1 of 255.*multiply"):
        check(np.minimum(images, 1), masks)
    check(np.where(np.arange(8)[:, None, None, None] == 0, images, 0), masks)
