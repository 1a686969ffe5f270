import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import labels, patches, release, vocabulary


def fold_of(release_dir, fold=2):
    return patches.check_fold(release.find(release_dir)[fold - 1])


@pytest.mark.parametrize("image_dtype", ["<f8", ">f4", "u1", "u2", "i8"])
@pytest.mark.parametrize("masks_dtype", ["<f8", "i4", "u8"])
def test_patches_do_not_depend_on_the_dtype_they_are_stored_in(
    release_dir, change_fold, fold_arrays, image_dtype, masks_dtype
):
    arrays = fold_arrays(2)
    change_fold(2, images=arrays["images"].astype(image_dtype), masks=arrays["masks"].astype(masks_dtype))
    read = list(patches.read_patches(fold_of(release_dir)))
    assert [(patch.fold, patch.index) for patch in read] == [(2, 0), (2, 1)]
    for patch in read:
        label, instance, _ = labels.from_masks(arrays["masks"][patch.index])
        np.testing.assert_array_equal(patch.image, arrays["images"][patch.index])
        np.testing.assert_array_equal(patch.label, label)
        np.testing.assert_array_equal(patch.instance, instance)
        assert vocabulary.TISSUES[patch.tissue] == arrays["types"][patch.index]
        assert patch.image.dtype == np.uint8


def test_tissues_may_be_bytes(release_dir, change_fold):
    change_fold(2, types=np.array([b"HeadNeck", b"Skin"]))
    assert [vocabulary.TISSUES[tissue] for tissue in fold_of(release_dir).tissues] == ["HeadNeck", "Skin"]


BLANK_IMAGES = np.zeros([2, 256, 256, 3], np.uint8)
BLANK_MASKS = np.zeros([2, 256, 256, 6], np.uint8)


@pytest.mark.parametrize(
    ("changed", "found", "expected"),
    [
        (
            {"images": BLANK_IMAGES[0]},
            r"images\.npy has the shape \(256, 256, 3\)",
            r"\(patches, 256, 256, 3\)",
        ),
        ({"images": BLANK_IMAGES[..., :1]}, r"shape \(2, 256, 256, 1\)", r"\(patches, 256, 256, 3\)"),
        ({"masks": BLANK_MASKS[..., :5]}, r"masks\.npy has the shape \(2, 256, 256, 5\)", "256, 256, 6"),
        ({"masks": BLANK_IMAGES}, r"masks\.npy has the shape \(2, 256, 256, 3\)", "256, 256, 6"),
        ({"images": BLANK_IMAGES.astype(bool)}, r"images\.npy has the dtype bool", "float64"),
        ({"images": BLANK_IMAGES.astype(np.complex64)}, "has the dtype complex64", "float64"),
        ({"masks": BLANK_MASKS.astype("S1")}, r"masks\.npy has the dtype \|S1", "float64"),
        (
            {"images": BLANK_IMAGES[:1]},
            "differ in length: 1 row in .*images.npy; 2 rows in .*masks",
            "one image",
        ),
        ({"types": np.array(["Skin"] * 3)}, "differ in length: .* 3 rows in .*types.npy", "one tissue"),
        (
            {"types": np.array(["Skin", "skin"])},
            r"types\.npy names unknown tissues: 'skin' .*patch 1 of fold 2",
            "Adrenal_gland",
        ),
        (
            {"types": np.array([3, 4])},
            r"types\.npy has the shape \(2,\) and dtype int64",
            "one string a patch",
        ),
        ({"types": np.array([["Skin", "Skin"]])}, r"types\.npy has the shape \(1, 2\)", "one string a patch"),
        (
            {"images": BLANK_IMAGES[:0], "masks": BLANK_MASKS[:0], "types": np.array([], "U5")},
            "Fold 2 has no patch",
            "at least one",
        ),
    ],
)
def test_headers_and_tissues_are_checked_before_any_pixel_is_read(
    release_dir, change_fold, changed, found, expected
):
    change_fold(2, **changed)
    with pytest.raises(UserError, match=rf"(?s){found}.*Expected: .*{expected}.*What to do: "):
        fold_of(release_dir)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1, 256, 1e300, 255.25])
def test_a_value_that_is_not_of_an_image_is_named_with_its_place(release_dir, change_fold, value):
    images = np.zeros([2, 256, 256, 3])
    images[1, 7, 8, 2] = value
    change_fold(2, images=images)
    read = patches.read_patches(fold_of(release_dir))
    assert next(read).index == 0
    with pytest.raises(UserError) as caught:
        next(read)
    message = str(caught.value)
    assert (
        f"holds the value {value} in patch 1 of fold 2 at row 7, column 8, channel 2 (1 such"
        in message.replace(".0 ", " ")
    )
    assert "images.npy" in message
    assert "Expected: numbers 0..255" in message


def test_fractions_of_a_resampled_copy_are_rounded(release_dir, change_fold):
    images = np.zeros([2, 256, 256, 3])
    images[0, 0, 0] = 127.4, 127.6, 254.9
    change_fold(2, images=images)
    assert next(patches.read_patches(fold_of(release_dir))).image[0, 0].tolist() == [127, 128, 255]


@pytest.mark.parametrize("largest", [0.25, 1.0, 1.02])
def test_images_scaled_to_one_are_recognised(release_dir, change_fold, largest):
    """Also where resampling went a little beyond 1: rounded it would be black."""
    image = np.linspace(0.0, largest, 256 * 256 * 3).reshape(256, 256, 3)
    change_fold(2, images=np.stack([image, image]))
    with pytest.raises(UserError, match="multiply the images by 255"):
        next(patches.read_patches(fold_of(release_dir)))


@pytest.mark.parametrize(
    ("dtype", "value"), [("f8", np.nan), ("f8", -1), ("f8", 0.5), ("f8", 2**31), ("i4", -1), ("u8", 2**63)]
)
def test_a_value_that_is_not_an_id_is_named_with_its_place(release_dir, change_fold, dtype, value):
    masks = np.zeros([2, 256, 256, 6], dtype)
    masks[0, 3, 4, 5] = value
    change_fold(2, masks=masks)
    with pytest.raises(
        UserError, match=r"(?s)masks\.npy holds .*patch 0 of fold 2 at row 3, column 4, channel 5.*ids, whole"
    ):
        next(patches.read_patches(fold_of(release_dir)))
