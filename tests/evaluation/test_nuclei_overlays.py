"""Outlines of nuclei: in the colours of the data set, around every nucleus, and errors in their own."""

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.example_nuclei import nuclei_of_patch, stacked
from nucseg_jax.evaluation.examples import Examples, examples_path, read_examples, write_examples
from nucseg_jax.evaluation.nuclei_overlays import (
    EXTRA,
    FOUND,
    MERGED,
    MISSED,
    SPLIT,
    UNCLASSIFIED,
    class_outlines,
    error_outlines,
    nuclei_sheet,
    outline,
)
from tests.evaluation.instances.random_maps import NUM_CLASSES, PX, random_image
from tests.evaluation.test_examples import examples_of

TISSUE = np.full((12, 16, 3), 77, np.uint8)


def squares(*places: tuple[int, int, int, int], shape: tuple[int, int] = (12, 16)) -> np.ndarray:
    """Nuclei from 1: (top, left, height, width) each."""
    nuclei = np.zeros(shape, np.int32)
    for number, (top, left, height, width) in enumerate(places, 1):
        nuclei[top : top + height, left : left + width] = number
    return nuclei


def colors_of(picture: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, picture.reshape(-1, 3).tolist())) - {(77, 77, 77)}


def test_an_outline_is_a_nucleus_less_its_inside():
    nuclei = squares((2, 3, 5, 6))
    expected = nuclei > 0
    expected[3:6, 4:8] = False
    np.testing.assert_array_equal(outline(nuclei), expected)
    # Nuclei that touch are parted; the image's border is no edge.
    whole = np.ones((6, 6), int)
    assert not outline(whole).any()
    whole[:, 3:] = 2
    assert outline(whole).tolist() == [[False, False, True, True, False, False]] * 6


def test_each_nucleus_has_the_colour_of_its_class():
    nuclei = squares((1, 1, 3, 3), (6, 2, 4, 5), (2, 9, 3, 3))
    class_map = np.array([0, 4, 1, 0], np.uint8)[nuclei]
    picture = class_outlines(TISSUE, nuclei, class_map, PANNUKE)
    for number, color in ((1, PANNUKE.classes[3].color), (2, PANNUKE.classes[0].color), (3, UNCLASSIFIED)):
        assert (picture[outline(nuclei) & (nuclei == number)] == color).all()
    assert (picture[~outline(nuclei)] == 77).all()
    assert (TISSUE == 77).all()


@pytest.mark.parametrize(
    ("truth", "prediction", "colors", "words"),
    [
        (
            squares((1, 1, 4, 4)),
            squares((1, 1, 4, 4)),
            {FOUND},
            "PQ 1.000 · 1 nucleus, 1 predicted: 0 missed, 0",
        ),
        (
            squares((1, 1, 4, 4)),
            squares((6, 6, 4, 4)),
            {MISSED, EXTRA},
            "1 missed, 1 extra, 0 split, 0 merged",
        ),
        (
            squares((1, 1, 4, 4), (1, 5, 4, 4)),
            squares((1, 1, 4, 8)),
            {MISSED, MERGED},
            "2 missed, 1 extra, 0 split, 1",
        ),
        (
            squares((1, 1, 4, 8)),
            squares((1, 1, 4, 4), (1, 5, 4, 4)),
            {SPLIT, EXTRA},
            "1 missed, 2 extra, 1 split, 0",
        ),
        (squares(), squares(), set(), "no nucleus, none predicted"),
    ],
)
def test_each_error_has_its_colour(truth, prediction, colors, words):
    picture, text = error_outlines(TISSUE, truth, prediction)
    assert colors_of(picture) == colors
    assert words in text


def examples_with_nuclei(count: int = 9, num_classes: int = NUM_CLASSES) -> Examples:
    """Random patches; masks are of other patches, which no sheet of nuclei looks at."""
    images = [random_image(seed, has_void=seed == 3) for seed in range(count)]
    nuclei = stacked([nuclei_of_patch(*image, num_classes=num_classes) for image in images])
    larger = {
        name: np.zeros((count, PX, PX), np.asarray(values).dtype)
        for name, values in examples_of(count)._asdict().items()
        if name in ("truth", "prediction", "probability")
    }
    void = np.stack([image.label == 255 for image in images])
    image = np.full((count, PX, PX, 3), 77, np.uint8)
    return examples_of(count)._replace(**larger, void=void, image=image, nuclei=nuclei)


@pytest.mark.parametrize("num_classes", [0, NUM_CLASSES])
def test_nuclei_of_examples_read_back_and_are_chosen_with_their_patches(tmp_path, num_classes):
    examples = examples_with_nuclei(num_classes=num_classes)
    path = examples_path(tmp_path, "test")
    write_examples(path, examples)
    read = read_examples(path, PANNUKE)
    assert read.nuclei is not None
    for found, expected in zip(read.nuclei, examples.nuclei, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    # The data set has classes also where the model tells none.
    assert examples.nuclei.truth_class.any() == bool(num_classes)
    best = read.only("best")
    np.testing.assert_array_equal(best.nuclei.truth, examples.nuclei.truth[examples.chosen == "best"])
    assert not best.nuclei.truth[best.void].any()


def test_files_of_earlier_versions_have_no_nuclei(tmp_path):
    path = examples_path(tmp_path, "test")
    write_examples(path, examples_of(3))
    read = read_examples(path, PANNUKE)
    assert read.nuclei is None
    assert read.only("best").nuclei is None
    with pytest.raises(ValueError, match="without nuclei"):
        nuclei_sheet(read, PANNUKE)


@pytest.mark.parametrize(
    "damage",
    [
        lambda nuclei: {"truth_class": nuclei.truth_class + 6},
        lambda nuclei: {"prediction": -nuclei.prediction},
        lambda nuclei: {"prediction": nuclei.prediction + PX * PX},
        lambda nuclei: {"truth": nuclei.truth.astype(float)},
        lambda nuclei: {"truth": nuclei.truth[:, 1:]},
        lambda nuclei: {"prediction_class": nuclei.prediction_class[1:]},
    ],
)
def test_nuclei_that_no_run_wrote_are_refused(tmp_path, damage):
    examples = examples_with_nuclei()
    path = examples_path(tmp_path, "test")
    write_examples(path, examples._replace(nuclei=examples.nuclei._replace(**damage(examples.nuclei))))
    with pytest.raises(UserError, match="cannot be read"):
        read_examples(path, PANNUKE)


def test_a_sheet_has_the_colours_of_the_classes_that_are_there_and_a_legend():
    examples = examples_with_nuclei()
    sheet = nuclei_sheet(examples, PANNUKE)
    drawn = colors_of(sheet)
    assert {each.color for each in PANNUKE.classes} <= drawn
    assert {FOUND, EXTRA, MISSED, SPLIT, MERGED} <= drawn
    # Without classes none of their colours is there, not even in the legend.
    without = colors_of(nuclei_sheet(examples_with_nuclei(num_classes=0), PANNUKE))
    assert not {each.color for each in PANNUKE.classes} & without - {FOUND}
    assert UNCLASSIFIED in without


def test_a_legend_of_many_long_words_is_inside_the_sheet():
    colors = [(10 * number, 3, 200) for number in range(20)]
    classes = tuple(
        NucleusClass(f"a class with a long name {number}", color) for number, color in enumerate(colors)
    )
    sheet = nuclei_sheet(examples_with_nuclei(2), DatasetInfo("many", classes, PANNUKE.groups))
    assert set(colors) <= colors_of(sheet)
    assert (sheet[:, :19] == sheet[0, 0]).all()
