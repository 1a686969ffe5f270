import re

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.labels.raster_meaning import raster_annotation
from tests.data.labels.label_files import drawn

# Two squares and a pixel that touch at corners, and one nucleus apart.
MASK = np.array([[1, 1, 0, 0, 0], [1, 1, 0, 0, 1], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]], bool)


def spots(count: int, side: int = 60) -> np.ndarray:
    """uint16 [side, side]: squares of 3 px with the numbers 1..count."""
    number = np.zeros((side, side), np.uint16)
    for index in range(count):
        top, left = 5 * (index // 12), 5 * (index % 12)
        number[top : top + 3, left : left + 3] = index + 1
    return number


def test_ids_with_gaps_are_numbered_in_their_order_whatever_their_type():
    ids = spots(5).astype(np.int64) * 7
    for dtype in (np.uint8, np.int16, np.uint32, np.int64, np.float32, np.float64):
        annotation = raster_annotation(ids.astype(dtype), "instances")
        assert annotation.nucleus_count == 5
        assert annotation.class_names == annotation.class_numbers == ()
        np.testing.assert_array_equal(drawn(annotation, 60, 60).instance, spots(5))
    large = raster_annotation(ids * 2**40, "instances")
    np.testing.assert_array_equal(drawn(large, 60, 60).instance, spots(5))


@pytest.mark.parametrize("values", [MASK, MASK * np.uint8(255), MASK * 1.0])
@pytest.mark.parametrize("kind", ["auto", "mask"])
def test_connected_pieces_of_a_mask_are_nuclei_and_the_notes_state_it(values, kind):
    annotation = raster_annotation(values, kind)
    assert annotation.nucleus_count == 2
    assert "connected pieces are read as 2 nuclei" in annotation.notes[0]
    expected = np.where(np.arange(5)[:, None] < 4, MASK, MASK * 2)
    np.testing.assert_array_equal(drawn(annotation, 5, 5).instance, expected)
    assert annotation.mask_value == (int(values.max()) if kind == "auto" else None)


def test_one_undeclared_nucleus_may_have_any_number():
    for number in (1, 57, 70_000):
        annotation = raster_annotation(spots(1).astype(np.int32) * number, "auto")
        assert annotation.nucleus_count == 1
        assert annotation.mask_value is None


def test_classes_give_a_nucleus_for_each_piece_and_void():
    values = np.array([[3, 3, 0, 1, 255], [0, 0, 0, 1, 255], [3, 0, 1, 0, 255]], np.uint8)
    annotation = raster_annotation(values, "classes")
    assert annotation.classes == (3, 1, 3)
    assert annotation.class_numbers == (1, 3)
    assert annotation.has_void
    assert [*annotation.notes] == [
        "a map of classes: the connected pieces of each are read as 3 nuclei",
        "3 pixels of the value 255: not annotated",
    ]
    result = drawn(annotation, 3, 5, {1: 1, 3: 2})
    assert result.label.tolist() == [
        [2, 2, 0, 1, VOID_LABEL],
        [0, 0, 0, 1, VOID_LABEL],
        [2, 0, 1, 0, VOID_LABEL],
    ]
    assert result.instance.tolist() == [[1, 1, 0, 2, 0], [0, 0, 0, 2, 0], [3, 0, 2, 0, 0]]


@pytest.mark.parametrize("kind", ["auto", "instances", "mask", "classes"])
def test_an_empty_annotation_is_legal(kind):
    for dtype in (bool, np.uint8, np.int32, np.float32):
        annotation = raster_annotation(np.zeros((4, 6), dtype), kind)
        assert annotation.nucleus_count == 0
        assert not drawn(annotation, 4, 6).label.any()
        assert not drawn(annotation, 4, 6, {"a": 1}).instance.any()


def test_pieces_of_different_classes_that_touch_are_two_nuclei():
    values = np.array([[1, 1, 2, 2], [0, 1, 2, 0], [2, 0, 0, 1]], np.uint8)
    annotation = raster_annotation(values, "classes")
    assert annotation.classes == (1, 2, 2, 1)
    np.testing.assert_array_equal(drawn(annotation, 3, 4, {1: 1, 2: 2}).label, values)


def test_auto_reads_many_single_pieces_or_high_numbers_as_ids():
    for values in (spots(21), spots(3) * np.uint16(100)):
        assert raster_annotation(values, "auto").notes[0].startswith("the numbers are read as ids of")
    assert raster_annotation(spots(21), "auto").nucleus_count == 21


@pytest.mark.parametrize(
    "values",
    [spots(2), spots(20), spots(60) % 25, (spots(60) % 3) * np.uint16(100)],
    ids=["two", "twenty", "in several pieces", "high and in several pieces"],
)
def test_auto_refuses_numbers_that_could_be_ids_or_classes(values):
    with pytest.raises(UserError, match="could be ids of nuclei or classes") as caught:
        raster_annotation(values, "auto")
    assert "`labels: instances`" in str(caught.value)


def test_ids_in_several_pieces_are_counted_and_a_map_of_classes_is_not_read_as_ids():
    values = spots(9)
    values[50:52, 50:52] = 4
    annotation = raster_annotation(values, "instances")
    assert annotation.nucleus_count == 9
    assert "1 nucleus not in one piece" in annotation.notes
    for classes in (spots(60) % 4, (spots(60) > 0) * np.uint8(255)):
        with pytest.raises(UserError, match="lie in several pieces: these are not ids"):
            raster_annotation(classes, "instances")


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        (spots(4) * 0.5, "instances", "fractions, such as 0.5"),
        (spots(4) - 1.0, "instances", "negative, such as -1"),
        (np.where(spots(4) == 0, -1, 5), "mask", "negative, such as -1"),
        (np.where(spots(4) == 2, np.nan, 1), "auto", "NaN or infinite"),
        (np.where(spots(4) == 2, np.inf, 1), "auto", "NaN or infinite"),
        (spots(4) * 1e17, "instances", "2^53"),
        (spots(4).astype(complex), "auto", "complex128"),
        (spots(4) + 1, "instances", "no pixel is 0"),
        (spots(4) + 1, "classes", "no pixel is 0"),
        (spots(4) * np.uint16(100), "classes", "the value 400"),
        ((spots(4) > 0) * np.uint8(255), "classes", "no values but 0 and 255"),
        (spots(4), "mask", "4 values beside 0, from 1 to 4"),
    ],
)
def test_values_of_another_kind_are_refused_with_the_reason(values, kind, reason):
    with pytest.raises(UserError, match=re.escape(reason)):
        raster_annotation(values, kind)


def test_a_mask_of_background_is_suspected():
    assert "make sure that background is 0" in raster_annotation(spots(9) == 0, "mask").notes[-1]
    assert len(raster_annotation(spots(9) > 0, "mask").notes) == 1
