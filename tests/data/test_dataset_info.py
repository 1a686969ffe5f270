"""A data set's description: round trip through its file, and what it refuses."""

import dataclasses

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.data.dataset_info import FILE_NAME, DatasetInfo, NucleusClass, read_info
from nucseg_jax.data.sources.pannuke.info import PANNUKE

TOY = DatasetInfo(
    name="toy",
    classes=(NucleusClass("Big one", (1, 2, 3)), NucleusClass("klein", (4, 5, 6))),
    groups=("a", "b"),
    divisions=("train", "test"),
    patch_px=128,
    microns_per_px=0.5,
    has_void=True,
)


@pytest.mark.parametrize("info", [TOY, PANNUKE, DatasetInfo("bare")])
def test_its_file_reads_back_equal(info, tmp_path):
    info.write(tmp_path)
    assert read_info(tmp_path) == info


def test_a_folder_without_it_has_none(tmp_path):
    assert read_info(tmp_path) is None


def test_counted_names_follow_the_model():
    assert TOY.counted_names(1) == ("nucleus",)
    assert TOY.counted_names(3) == ("nucleus", "big_one", "klein")
    assert PANNUKE.counted_names(6)[1] == "neoplastic"


@pytest.mark.parametrize(("info", "number"), [(TOY, 2), (TOY, 4), (PANNUKE, 3), (DatasetInfo("bare"), 2)])
def test_a_model_of_other_classes_is_refused(info, number):
    with pytest.raises(UserError, match="num_classes"):
        info.counted_names(number)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": (NucleusClass("a-b", (0, 0, 0)), NucleusClass("A b", (0, 0, 0)))},
        {"classes": (NucleusClass("Nucleus", (0, 0, 0)),)},
        {"classes": (NucleusClass("?", (0, 0, 0)),)},
        {"classes": (NucleusClass("a", (0, 0, 256)),)},
        {"groups": ("a", "a")},
        {"group_noun": "Group 1"},
        {"group_noun": "fold"},
        {"group_noun": "micro"},
        {"patch_px": 0},
        {"microns_per_px": float("nan")},
    ],
)
def test_what_cannot_be_is_refused(change):
    with pytest.raises(UserError):
        dataclasses.replace(TOY, **change)


@pytest.mark.parametrize(
    "damage",
    [{"format": 2}, {"patch_px": "128"}, {"has_void": 1}, {"groups": [1]}, {"classes": [{}]}, {"name": None}],
)
def test_a_damaged_file_is_named(damage, tmp_path):
    write_json(tmp_path / FILE_NAME, {**TOY.as_json(), **damage})
    with pytest.raises(UserError, match=FILE_NAME):
        read_info(tmp_path)
