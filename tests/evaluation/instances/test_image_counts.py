"""The record of an image: its invariances, void pixels, classes, and input that does not belong together."""

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation.instances.image_counts import ImageCounts, classified_pair, count_image
from nucseg_jax.evaluation.instances.void import annotated_instances
from tests.evaluation.instances import slow_reference as slow
from tests.evaluation.instances.random_maps import Image, random_image


def count(image: Image, num_classes: int = 5) -> ImageCounts:
    return count_image(*image, num_classes=num_classes, microns_per_px=1.0)


def assert_equal(one: ImageCounts, other: ImageCounts) -> None:
    for name, a, b in zip(ImageCounts._fields, one, other, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def relabelled(image: Image, rng: np.random.Generator, dtype: type, largest: int) -> Image:
    """Other ids for truth and prediction, the same nuclei and classes."""
    names = rng.choice(np.arange(1, largest), 400, replace=False)
    truth = np.concatenate([[0], names[:199]])[image.truth]
    prediction = np.concatenate([[0], names[200:399]])[image.prediction]
    classes = np.zeros(largest, np.int64)
    classes[names[200:399]] = image.prediction_class[1:200]
    return Image(truth.astype(dtype), image.label, prediction.astype(dtype), classes)


@pytest.mark.parametrize("seed", range(14))
@pytest.mark.parametrize("has_void", [False, True])
def test_ids_and_dtypes_change_nothing(seed, has_void):
    image = random_image(seed, has_void=has_void)
    for dtype, largest in ((np.uint16, 1000), (np.int32, 50_000), (np.uint32, 3000)):
        other = relabelled(image, np.random.default_rng(seed), dtype, largest)
        assert_equal(count(other), count(image))


@pytest.mark.parametrize("seed", range(14))
def test_quarter_turns_change_nothing_but_what_ties_decide(seed):
    """Random maps of few nuclei: the IoU of two pairs is rarely equal, and in none of these."""
    image = random_image(seed)
    turned = Image(*(np.rot90(each) for each in image[:3]), image.prediction_class)
    one, other = count(image), count(turned)
    for name in ("tp", "fp", "fn", "iou_sum", "aji", "dice2", "detection"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("seed", range(14))
def test_a_perfect_prediction(seed):
    image = random_image(seed)
    classes = np.zeros(200, np.uint8)
    for number, its_class in slow.class_of_truth(image.truth, image.label).items():
        classes[number] = its_class
    counts = count(Image(image.truth, image.label, image.truth, classes))
    assert not counts.fp.any()
    assert not counts.fn.any()
    assert counts.iou_sum.tolist() == counts.tp.tolist()
    for ratio in (counts.aji, counts.aji_plus, counts.dice2):
        assert ratio[0] == ratio[1]
    assert counts.detection[:, 0].tolist() == counts.tp.tolist()
    assert not counts.detection[:, 2:].any()


@pytest.mark.parametrize("seed", range(20))
def test_counts_of_classes_are_those_of_each_class_alone(seed):
    image = random_image(seed)
    counts = count(image)
    of_truth = slow.class_of_truth(image.truth, image.label)
    for number in range(6):
        is_own = np.array(
            [0] + [not number or image.prediction_class[p] == number for p in range(1, 200)], bool
        )
        prediction = np.where(is_own[image.prediction], image.prediction, 0)
        kept = [t for t, its in of_truth.items() if number in (0, its)]
        truth = np.where(np.isin(image.truth, kept), image.truth, 0)
        matched = slow.matches(truth, prediction)
        assert counts.tp[number] == len(matched)
        assert counts.fp[number] == len(slow.masks(prediction)) - len(matched)
        assert counts.fn[number] == len(kept) - len(matched)
        assert counts.iou_sum[number] == pytest.approx(float(sum(matched.values())), abs=1e-14)


def test_void_pixels_are_in_no_size():
    truth, label = np.array([[1, 1, 0, 0, 0, 0]]), np.array([[1, 1, 255, 255, 0, 0]], np.uint8)
    prediction = np.array([[4, 4, 4, 4, 0, 0]])
    counts = count(Image(truth, label, prediction, np.array([0, 0, 0, 0, 1])))
    assert counts.tp[:2].tolist() == [1, 1]
    assert counts.iou_sum[0] == 1
    assert counts.aji.tolist() == [2, 2]


@pytest.mark.parametrize(("in_void", "remains"), [(1, True), (2, True), (3, False), (4, False)])
def test_a_prediction_that_lies_mostly_in_void_is_dropped(in_void, remains):
    """Half of it is not mostly."""
    label = np.array([[255] * 4 + [0] * 4], np.uint8)
    prediction = np.array([[0] * (4 - in_void) + [1] * 4 + [0] * in_void])
    counts = count(Image(np.zeros((1, 8), int), label, prediction, np.array([0, 1])))
    assert counts.fp[0] == remains
    assert counts.detection[0, 4] == remains


def test_a_match_at_the_edge_of_void_stays_however_much_of_it_lies_in_void():
    label = np.array([[255] * 6 + [1] * 2 + [0] * 2], np.uint8)
    truth = np.array([[0] * 6 + [1] * 2 + [0] * 2])
    prediction = np.array([[0] * 2 + [9] * 6 + [0] * 2])
    counts = count(Image(truth, label, prediction, np.array([0] * 9 + [1])))
    assert (counts.tp[0], counts.fp[0], counts.fn[0]) == (1, 0, 0)


def test_ids_survive_void():
    label = np.array([[255, 255, 255, 0, 1, 0]], np.uint8)
    prediction = np.array([[30, 20, 20, 20, 10, 0]])
    _, kept = annotated_instances(np.array([[0, 0, 0, 0, 7, 0]]), label, prediction)
    assert (kept.ids.tolist(), kept.area_px.tolist()) == ([10], [1])


def test_an_image_of_void_alone_is_not_annotated():
    image = random_image(1)
    counts = count(image._replace(label=np.full_like(image.label, 255)))
    assert not counts.is_annotated
    assert not counts.tp.any() | counts.fp.any() | counts.fn.any()


def test_the_class_of_a_truth_nucleus_is_that_of_most_of_its_pixels():
    """The lower one of two; background and void have no vote."""
    truth = np.array([[1, 1, 1, 2, 2, 3, 3, 3, 3]])
    label = np.array([[2, 1, 2, 3, 1, 0, 0, 4, 255]], np.uint8)
    pair = classified_pair(truth, label, np.zeros_like(truth), np.zeros(1, np.uint8), num_classes=5)
    assert pair.truth_class.tolist() == [2, 1, 4]


def test_nuclei_without_classes():
    image = random_image(2)
    counts = count(Image(*image[:3], None), num_classes=0)
    assert counts.tp.shape == (1,)
    assert counts.tp[0] == count(image).tp[0]
    np.testing.assert_array_equal(counts.detection[0], count(image).detection[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": np.zeros((2, 2), np.uint8)}, "shapes"),
        ({"label": np.full((24, 24), 6, np.uint8)}, "holds the class 6"),
        ({"label": np.zeros((24, 24), np.uint8)}, "have the label 0"),
        ({"label": np.zeros((24, 24), np.int64)}, "uint8"),
        ({"truth": np.zeros((24, 24))}, "instance map of the truth is float64"),
        ({"prediction": np.full((24, 24), -1)}, "the id -1"),
        ({"prediction_class": None}, "missing"),
        ({"prediction_class": np.zeros(2, np.uint8)}, "has no class"),
        ({"prediction_class": np.full(200, 6, np.uint8)}, "has the class 6"),
        ({"prediction_class": np.full(200, -1)}, "has the class -1"),
        ({"prediction_class": np.ones(200)}, "float64"),
    ],
)
def test_what_does_not_belong_together_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        count(random_image(1)._replace(**changes))
