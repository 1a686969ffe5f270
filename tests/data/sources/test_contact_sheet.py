import dataclasses

import numpy as np
import pytest

from nucseg_jax.data.dataset_info import VOID_LABEL, DatasetInfo, NucleusClass
from nucseg_jax.data.sources.contact_sheet import contact_sheet, outlined
from nucseg_jax.data.sources.patch import Patch
from tests.data.sources import lab

RED, BLUE = (200, 0, 0), (0, 0, 250)
INFO = DatasetInfo(
    "ovary",
    (NucleusClass("tumour", RED), NucleusClass("other", BLUE)),
    groups=("p1",),
    patch_px=64,
    has_void=True,
)


def patch(*, top: int = 0) -> Patch:
    ids = lab.nuclei(64, 64)
    label = np.where(ids > 0, 1 + (ids % 4 == 1), 0).astype(np.uint8)
    return Patch(lab.picture(ids), label, ids, 0, "a.png", top, 0)


def test_outlines_are_the_rims_of_nuclei_in_the_colours_of_their_classes():
    one = patch()
    drawn = outlined(one, INFO, 3)
    assert drawn.shape == (192, 192, 3)
    for number, color in ((1, RED), (2, BLUE)):
        is_line = (drawn == color).all(axis=-1)
        inside = (one.label == number).repeat(3, 0).repeat(3, 1)
        assert is_line.any()
        assert not (is_line & ~inside).any()
    # Middle of each pixel: the same without magnification, and nothing but rims is altered.
    np.testing.assert_array_equal(drawn[1::3, 1::3], outlined(one, INFO, 1))
    altered = (outlined(one, INFO, 1) != one.image).any(axis=-1)
    rows, columns = np.nonzero(altered)
    for row, column in zip(rows, columns, strict=True):
        window = one.instance[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        assert len(np.unique(window)) > 1


def test_void_is_grey_and_nothing_else_is():
    one = patch()
    label = one.label.copy()
    label[:, 40:] = VOID_LABEL
    void = dataclasses.replace(one, label=label, instance=np.where(label == VOID_LABEL, 0, one.instance))
    drawn = outlined(void, INFO, 1).astype(int)
    np.testing.assert_array_equal(drawn[:, :39], outlined(one, INFO, 1)[:, :39])
    assert np.ptp(drawn[:, 40:], axis=-1).max() < np.ptp(one.image[:, 40:].astype(int), axis=-1).max() / 2


def test_a_sheet_holds_every_patch_as_it_is_drawn():
    patches = [patch(top=64 * index) for index in range(5)]
    sheet = contact_sheet(patches, INFO)
    drawn = outlined(patches[0], INFO, 8)
    corners = [
        (y, x)
        for y in range(sheet.shape[0] - 511)
        for x in range(sheet.shape[1] - 511)
        if sheet[y, x].tolist() == drawn[0, 0].tolist()
        and np.array_equal(sheet[y : y + 512, x : x + 512], drawn)
    ]
    assert len(corners) == 5
    assert len({y for y, _ in corners}) == 2


def test_names_of_any_length_and_classes_of_any_number_fit(tmp_path):
    classes = tuple(NucleusClass(f"a class of a long name {index}", (index, 0, 0)) for index in range(40))
    info = dataclasses.replace(INFO, name="n" * 300, classes=classes)
    one = dataclasses.replace(patch(), image_name="x" * 250 + ".png")
    sheet = contact_sheet([one], info)
    assert sheet.shape[1] == 544
    assert sheet.dtype == np.uint8
    assert contact_sheet([patch()], dataclasses.replace(INFO, classes=())).shape[2] == 3
    with pytest.raises(ValueError, match="at least one patch"):
        contact_sheet([], INFO)
