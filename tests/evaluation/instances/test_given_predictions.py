"""Predictions of other programs: read as they were written, refused where they are not of the split."""

import re

import numpy as np
import pytest
import tifffile
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.evaluation.instances.given_predictions import GivenPredictions, open_predictions
from nucseg_jax.evaluation.instances.pannuke_channels import channels_of

PX = 8
CLASSES = (NucleusClass("tumour", (200, 0, 0)), NucleusClass("other", (0, 0, 200)))
INFO = DatasetInfo(name="ovary", classes=CLASSES, patch_px=PX)
UNCLASSED = DatasetInfo(name="ovary", patch_px=PX)
PATCHES = np.array([[3, 0], [3, 7], [1, 2]], np.int32)


def maps(position: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and classes of a patch: two nuclei of class 1 and one of class 2."""
    ids: np.ndarray = np.zeros((PX, PX), np.uint16)
    ids[:2, :2], ids[4:, :3], ids[3, 4 + position] = 7, 300, 2
    label = np.array([0, 1, 2])[np.searchsorted([0, 2, 300], ids)]
    return ids, np.where(ids == 7, 1, np.where(ids == 2, 2, label > 0)).astype(np.uint8)


def write(folder, name: str, values: np.ndarray) -> None:
    path = folder / name
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".png":
        Image.fromarray(values).save(path)
    else:
        tifffile.imwrite(path, values)


@pytest.fixture
def folder(tmp_path):
    """Files of all patches, by three formats."""
    for position, (name, ending) in enumerate((("3_0", "npy"), ("3_0007", "png"), ("01_2", "tif"))):
        for kind, values in zip(("instance", "class"), maps(position), strict=True):
            write(tmp_path, f"{name}.{kind}.{ending}", values)
    return tmp_path


def assert_as_written(given: GivenPredictions) -> None:
    assert (len(given), given.has_classes) == (3, True)
    for position, prediction in enumerate(given):
        ids, label = maps(position)
        np.testing.assert_array_equal(prediction.instance, ids)
        np.testing.assert_array_equal(prediction.class_of[prediction.instance], label)
        assert (prediction.instance.dtype, prediction.class_of.dtype) == (np.uint32, np.uint8)


def test_a_folder_in_the_order_of_the_split(folder):
    assert_as_written(open_predictions(folder, PATCHES, INFO))
    backwards = open_predictions(folder, PATCHES[::-1], INFO)
    np.testing.assert_array_equal(backwards.read(0).instance, maps(2)[0])


@pytest.mark.parametrize("info", [INFO, UNCLASSED])
def test_a_folder_without_classes(folder, info):
    if info is INFO:
        for path in folder.glob("*.class.*"):
            path.unlink()
    given = open_predictions(folder, PATCHES, info)
    assert not given.has_classes
    assert all(each.class_of is None for each in given)


def test_the_class_of_a_nucleus_is_that_of_most_of_its_pixels(folder):
    _, label = maps(0)
    label[4:, 0] = 2
    label[:2, :2] = 0
    write(folder, "3_0.class.npy", label)
    classes = open_predictions(folder, PATCHES, INFO).read(0).class_of
    assert [classes[each] for each in (300, 7, 2)] == [1, 0, 2]


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.uint16])
def test_one_array_in_the_layout_of_pannuke(tmp_path, dtype):
    stacks = []
    for position in range(3):
        ids, label = maps(position)
        classes: np.ndarray = np.zeros(301, np.uint8)
        classes[ids] = label
        stacks.append(channels_of(ids, classes, 2))
    np.save(tmp_path / "masks.npy", np.array(stacks, dtype))
    given = open_predictions(tmp_path / "masks.npy", PATCHES, INFO)
    for position, prediction in enumerate(given):
        ids, label = maps(position)
        np.testing.assert_array_equal(prediction.instance > 0, ids > 0)
        np.testing.assert_array_equal(prediction.class_of[prediction.instance], label)
        assert len(np.unique(prediction.instance)) == 4


def change(folder, name: str, values: np.ndarray | None) -> None:
    for path in folder.glob(f"{name.rsplit('.', 1)[0]}.*"):
        path.unlink()
    if values is not None:
        write(folder, name, values)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("3_0.instance.npy", None, "no instance map for 1 patch of 3, such as 3_0.instance.png"),
        ("3_0.class.npy", None, "no class map for 1 patch of 3"),
        ("3_1.instance.npy", maps(0)[0], "1 patch outside of the split, such as 3_1.instance.npy"),
        ("03_0.instance.npy", maps(0)[0], "of one patch"),
        ("masks.npy", maps(0)[0], "no name of a prediction"),
    ],
)
def test_files_that_are_not_those_of_the_split_are_refused_before_any_is_read(folder, name, values, message):
    change(folder, name, values)
    with pytest.raises(UserError, match=re.escape(message)):
        open_predictions(folder, PATCHES, INFO)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("3_0.instance.npy", np.zeros((PX, PX + 1), np.uint8), "8 x 9 px"),
        ("3_0.instance.npy", np.zeros((PX, PX, 3), np.uint8), "shape"),
        ("3_0.instance.npy", np.full((PX, PX), 0.5), "fractions"),
        ("3_0.instance.npy", np.full((PX, PX), -1), "negative"),
        ("3_0.instance.npy", np.full((PX, PX), 2**24), "the id 16777216"),
        ("3_0.class.npy", np.full((PX, PX), 3, np.uint8), "the class 3"),
        ("3_0.instance.png", np.zeros((PX, PX, 3), np.uint8), "red, green and blue"),
    ],
)
def test_maps_that_hold_no_ids_are_refused(folder, name, values, message):
    change(folder, name, values)
    with pytest.raises(UserError, match=message):
        open_predictions(folder, PATCHES, INFO).read(0)


def test_a_damaged_file_is_named(folder):
    (folder / "3_0007.instance.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(UserError, match=r"3_0007\.instance\.png"):
        list(open_predictions(folder, PATCHES, INFO))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, PX, PX, 3)), "holds 2 patches"),
        (np.zeros((3, PX, PX, 6)), "has the shape"),
        (np.zeros((3, PX, PX)), "has the shape"),
        (np.zeros((3, PX, PX, 3), "S1"), "of the type"),
        (np.zeros((3, PX, PX, 3), object), "Python objects"),
    ],
)
def test_an_array_that_is_not_of_the_split_is_refused(tmp_path, array, message):
    np.save(tmp_path / "masks.npy", array)
    with pytest.raises(UserError, match=message):
        open_predictions(tmp_path / "masks.npy", PATCHES, INFO)


def test_an_array_needs_classes_and_whole_numbers(tmp_path):
    np.save(tmp_path / "masks.npy", np.full((3, PX, PX, 3), 0.5))
    with pytest.raises(UserError, match="row 1: some values are fractions"):
        open_predictions(tmp_path / "masks.npy", PATCHES, INFO).read(1)
    with pytest.raises(UserError, match="have no classes"):
        open_predictions(tmp_path / "masks.npy", PATCHES, UNCLASSED)
    with pytest.raises(UserError, match="does not exist"):
        open_predictions(tmp_path / "none.npy", PATCHES, INFO)


@pytest.mark.parametrize("nuclei", [1, 2])
def test_masks_in_place_of_ids_are_refused_at_the_end(tmp_path, nuclei):
    """Unless every image has one nucleus, in one piece."""
    stack = np.zeros((3, PX, PX, 3))
    stack[:, 0, :2, 0] = 1
    stack[:, 4, : 2 * (nuclei - 1), 0] = 1
    np.save(tmp_path / "masks.npy", stack)
    given = open_predictions(tmp_path / "masks.npy", PATCHES, INFO)
    if nuclei == 1:
        assert len(list(given)) == 3
    else:
        with pytest.raises(UserError, match="these are masks"):
            list(given)
        # A nucleus in two pieces is one where another image has two of its class.
        stack[2, 4, :2, 0] = 2
        np.save(tmp_path / "masks.npy", stack)
        assert len(list(open_predictions(tmp_path / "masks.npy", PATCHES, INFO))) == 3
