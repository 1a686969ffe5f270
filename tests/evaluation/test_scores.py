import json
import math
import pathlib
import statistics

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import METRICS, conventions
from nucseg_jax.ops.counts import count_masks

CONVENTIONS = conventions(PANNUKE)


def scores(counts: Counts, info: DatasetInfo = PANNUKE) -> dict:
    return counts.scores(info)


def split_of(cells: list, group: list[int] | None = None) -> Counts:
    """Counts from [[TP, FP, FN, TN], ...] of one class, or [[[...], ...], ...] of several."""
    counts = np.array(cells, np.int32).reshape(len(cells), -1 if cells else 1, 4)
    return Counts.from_batch(
        counts=counts,
        index=np.arange(len(cells)),
        group=np.array(group or [0] * len(cells)),
        losses={},
        valid=np.ones(len(cells), bool),
    )


# A literal reading of the definitions, in plain Python.
def slow_ratio(numerator: float, denominator: float) -> float | None:
    return None if denominator == 0 else numerator / denominator


def slow_mean(values: list) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def slow_metrics(tp: int, fp: int, fn: int, tn: int, rule: str = "formula") -> dict[str, float | None]:
    dice, iou = slow_ratio(2 * tp, 2 * tp + fp + fn), slow_ratio(tp, tp + fp + fn)
    if tp + fn == 0 and rule == "zero":
        dice = iou = 0.0
    if tp + fn == 0 and rule == "one":
        dice = iou = 1.0 if tp + fp == 0 else 0.0
    return {
        "dice": dice,
        "iou": iou,
        "accuracy": slow_ratio(tp + tn, tp + fp + fn + tn),
        "sensitivity": slow_ratio(tp, tp + fn),
        "precision": slow_ratio(tp, tp + fp),
        "specificity": slow_ratio(tn, tn + fp),
        "iou_two_class_mean": slow_mean([iou, slow_ratio(tn, tn + fp + fn)]),
    }


def slow_scores(images: list[list[int]], group: list[int]) -> dict[str, dict[str, float | None]]:
    def mean_of(rows: list[dict]) -> dict[str, float | None]:
        return {metric: slow_mean([row[metric] for row in rows]) for metric in METRICS}

    def skip(rows: list[list[int]]) -> dict[str, float | None]:
        return mean_of([slow_metrics(*row) for row in rows if row[0] + row[2] > 0])

    groups = [images[start : start + 8] for start in range(0, len(images), 8)]
    pooled = [slow_metrics(*(sum(cell) for cell in zip(*group, strict=True))) for group in groups]
    batch8 = mean_of(pooled)
    for metric in METRICS:
        defined = [row[metric] for row in pooled if row[metric] is not None]
        batch8[f"{metric}_std"] = statistics.pstdev(defined) if defined else None
    return {
        "micro": slow_metrics(*(sum(cell) for cell in zip(*images, strict=True))),
        "image_zero": mean_of([slow_metrics(*image, rule="zero") for image in images]),
        "image_skip": skip(images),
        "image_one": mean_of([slow_metrics(*image, rule="one") for image in images]),
        "batch8": batch8,
        "tissue": mean_of(
            [
                skip([image for image, its in zip(images, group, strict=True) if its == one])
                for one in sorted(set(group))
            ]
        ),
    }


def assert_equal_scores(fast: dict, slow: dict) -> None:
    assert fast.keys() == slow.keys() == set(CONVENTIONS)
    for convention in CONVENTIONS:
        assert fast[convention].keys() == slow[convention].keys()
        for metric, value in slow[convention].items():
            found = fast[convention][metric]
            assert (found is None) == (value is None), (convention, metric)
            assert found is None or found == pytest.approx(value, abs=1e-12), (convention, metric)


def test_one_image_by_hand():
    micro = scores(split_of([[6, 2, 4, 88]]))["micro"]
    assert micro == {
        "dice": 12 / 18,  # the paper's Eq. 1 as printed, 2TP / (TP + FP + FN), would say 1
        "iou": 6 / 12,
        "accuracy": 94 / 100,
        "sensitivity": 6 / 10,
        "precision": 6 / 8,
        "specificity": 88 / 90,
        "iou_two_class_mean": (6 / 12 + 88 / 94) / 2,
    }


def test_conventions_differ_as_they_should():
    # Dice .8 and .4, then an empty truth, once predicted empty and once not. Tissue 1 is the second image.
    images = [[4, 2, 0, 10], [1, 1, 2, 12], [0, 0, 0, 16], [0, 3, 0, 13]]
    found = scores(split_of(images, group=[0, 1, 2, 0]))
    dice = {convention: found[convention]["dice"] for convention in CONVENTIONS}
    assert dice == {
        "micro": 10 / 18,
        "image_zero": pytest.approx((0.8 + 0.4) / 4),
        "image_skip": pytest.approx((0.8 + 0.4) / 2),
        "image_one": pytest.approx((0.8 + 0.4 + 1) / 4),
        "batch8": 10 / 18,
        "tissue": pytest.approx((0.8 + 0.4) / 2),
    }


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ([3, 0, 0, 7], {"micro": 1.0, "image_zero": 1.0, "image_skip": 1.0, "image_one": 1.0}),
        ([0, 0, 3, 7], {"micro": 0.0, "image_zero": 0.0, "image_skip": 0.0, "image_one": 0.0}),
        ([0, 3, 0, 7], {"micro": 0.0, "image_zero": 0.0, "image_skip": None, "image_one": 0.0}),
        ([0, 0, 0, 10], {"micro": None, "image_zero": 0.0, "image_skip": None, "image_one": 1.0}),
    ],
    ids=["both hold nuclei", "prediction empty", "truth empty", "both empty"],
)
def test_the_rules_for_an_empty_patch(image: list[int], expected: dict[str, float | None]):
    found = scores(split_of([image]))
    for convention, value in expected.items():
        assert found[convention]["dice"] == value
        assert found[convention]["iou"] == value
    truth_is_empty = image[0] + image[2] == 0
    assert (found["image_zero"]["sensitivity"] is None) == truth_is_empty
    assert (found["image_skip"]["accuracy"] is None) == truth_is_empty
    assert found["image_one"]["accuracy"] == (image[0] + image[3]) / 10


def test_batch8_is_groups_of_exactly_eight_and_what_is_left():
    # Dice 1 in the first eight, 0.5 in the next eight, 0 in the one left over.
    images = [[1, 0, 0, 1]] * 8 + [[1, 1, 1, 1]] * 8 + [[0, 0, 1, 1]]
    batch8 = scores(split_of(images))["batch8"]
    assert batch8["dice"] == 0.5
    assert batch8["dice_std"] == pytest.approx(math.sqrt((0.25 + 0 + 0.25) / 3))


@pytest.mark.parametrize("seed", range(8))
def test_equals_a_slow_reading_of_the_definitions(seed: int):
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 40))
    # Few pixels and many zeros: undefined ratios of every kind come up.
    images = (rng.integers(0, 4, (number, 4)) * rng.integers(0, 2, (number, 4))).tolist()
    images = [image if any(image) else [0, 0, 0, 1] for image in images]
    group = rng.integers(0, 5, number).tolist()
    assert_equal_scores(scores(split_of(images, group)), slow_scores(images, group))


def test_several_classes_are_scored_each_against_the_rest():
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 50, (11, 6, 4)).tolist()
    found = scores(split_of(cells))
    classes = found.pop("classes")
    assert list(classes) == ["Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial"]
    assert_equal_scores(found, slow_scores([image[0] for image in cells], [0] * 11))
    assert_equal_scores(classes["Dead"], slow_scores([image[4] for image in cells], [0] * 11))


def test_names_of_classes_and_of_the_convention_over_groups_are_the_data_sets():
    classes = (NucleusClass("Tumour cell", (9, 8, 7)), NucleusClass("stroma", (1, 2, 3)))
    toy = DatasetInfo("toy", classes, ("ann", "bob"), group_noun="patient")
    cells = np.random.default_rng(0).integers(0, 50, (9, 3, 4)).tolist()
    found = scores(split_of(cells, group=[0, 1, 1] * 3), toy)
    assert list(found) == ["micro", "image_zero", "image_skip", "image_one", "batch8", "patient", "classes"]
    assert list(found["classes"]) == ["Tumour cell", "stroma"]
    assert (
        found["classes"]["stroma"]["patient"]
        == scores(split_of([[image[2]] for image in cells], group=[0, 1, 1] * 3))["tissue"]
    )
    with pytest.raises(UserError, match="num_classes is 3"):
        scores(split_of(cells), PANNUKE)


def test_counts_beyond_float32_and_int32_are_pooled_exactly():
    # A pixel more or less in 2^24 is lost in float32; the pool of these is beyond int32 as well.
    images = [[2**24 + 1, 0, 1, 0]] * 200
    micro = scores(split_of(images))["micro"]
    pooled = 200 * (2**24 + 1)
    assert pooled > 2**31
    assert micro["sensitivity"] == pooled / (pooled + 200) < 1.0


def test_nothing_is_ever_nan():
    for images in ([], [[0, 0, 0, 10]], [[10, 0, 0, 0]]):
        json.dumps(scores(split_of(images)), allow_nan=False)
    assert set(scores(split_of([]))["batch8"].values()) == {None}


def test_invariances_on_real_masks(shared: pathlib.Path):
    with np.load(shared / "data" / "monuseg_folds.npz") as data:
        truth = data["instance"][data["fold"] == 3][:20] > 0
    shifted = np.roll(truth, 3, axis=2)  # a prediction that misses every border
    counted = np.asarray(count_masks(shifted, truth))
    found = scores(split_of(counted.tolist()))
    turned = np.asarray(count_masks(np.rot90(shifted, axes=(1, 2)), np.rot90(truth, axes=(1, 2))))
    assert np.array_equal(counted, turned)
    overlap, area = int((shifted & truth).sum()), int(truth.sum())
    assert found["micro"]["dice"] == overlap / area  # both masks have the same area
    assert 0.5 < found["micro"]["dice"] < 1
    assert found["micro"]["iou"] == pytest.approx(found["micro"]["dice"] / (2 - found["micro"]["dice"]))
    assert_equal_scores(found, slow_scores(counted[:, 0].tolist(), [0] * 20))
