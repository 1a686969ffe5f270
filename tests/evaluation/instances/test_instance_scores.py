"""Scores of splits: equal to a slow computation from the maps, whatever the order, the batches and the ids."""

import dataclasses
import json
import math

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.instances.detection import RADIUS_MICRONS
from nucseg_jax.evaluation.instances.image_counts import count_image
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.instance_metrics import CLASS_METRICS, METRICS, total
from nucseg_jax.evaluation.instances.instance_scores import averages
from nucseg_jax.evaluation.instances.pannuke_channels import channels_of, score_channels
from tests.evaluation.instances import slow_reference as slow
from tests.evaluation.instances.random_maps import PX, Image, random_image

N = 24
GROUPS = [number * 7 % 5 for number in range(N)]
IMAGES = [random_image(seed, nuclei=5) for seed in range(N)]


def count(image: Image, num_classes: int = 5):
    return count_image(*image, num_classes=num_classes, microns_per_px=1.0)


COUNTED = [count(image) for image in IMAGES]


def counts_of(images: list, groups: list[int] | None = None) -> InstanceCounts:
    return InstanceCounts.of_images(images, index=range(len(images)), group=groups or [0] * len(images))


def scores(counts: InstanceCounts, info: DatasetInfo = PANNUKE) -> dict:
    return counts.scores(info)["instances"]


# The conventions, in plain Python on the maps.
def mean(values) -> float | None:
    defined = [float(value) for value in values if value is not None and not math.isnan(value)]
    return sum(defined) / len(defined) if defined else None


def of_group(values: list, groups: list[int] = GROUPS) -> float | None:
    return mean(
        mean(value for value, its in zip(values, groups, strict=True) if its == group)
        for group in set(groups)
    )


def only(image: Image, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction of one class."""
    kept = [t for t, its in slow.class_of_truth(image.truth, image.label).items() if its == number]
    classes = image.prediction_class[image.prediction]
    return np.where(np.isin(image.truth, kept), image.truth, 0), np.where(
        classes == number, image.prediction, 0
    )


def pooled_quality(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float, float] | None:
    found = [slow.matches(*pair) for pair in pairs]
    tp = sum(map(len, found))
    fn = sum(len(slow.masks(truth)) for truth, _ in pairs) - tp
    fp = sum(len(slow.masks(prediction)) for _, prediction in pairs) - tp
    if not tp + fp + fn:
        return None
    dq = tp / (tp + 0.5 * fp + 0.5 * fn)
    sq = float(sum(sum(each.values()) for each in found)) / (tp + 1e-6)
    return dq, sq, dq * sq


def r2(truth: list[int], predicted: list[int]) -> float:
    centre = sum(truth) / len(truth)
    error = sum((t - p) ** 2 for t, p in zip(truth, predicted, strict=True))
    return 1 - error / sum((t - centre) ** 2 for t in truth)


def test_nuclei_of_any_class_equal_the_slow_computation():
    found = scores(counts_of(COUNTED, GROUPS))
    quality = [slow.panoptic(image.truth, image.prediction) for image in IMAGES]
    maps = [(image.truth, image.prediction) for image in IMAGES]
    values = {
        **{name: [each[place] for each in quality] for place, name in enumerate(("dq", "sq", "bpq"))},
        "aji": [slow.aji(*pair) if pair[0].any() else None for pair in maps],
        "dice2": [slow.dice2(*pair) if pair[0].any() else None for pair in maps],
        "mpq": [mean(slow.panoptic(*only(image, number))[2] for number in range(1, 6)) for image in IMAGES],
    }
    for name, of_images in values.items():
        assert found["image"][name] == pytest.approx(mean(of_images), abs=1e-14), name
        assert found["tissue"][name] == pytest.approx(of_group(of_images), abs=1e-14), name
    pooled = pooled_quality(maps)
    assert [found["pooled"][name] for name in ("dq", "sq", "bpq")] == pytest.approx(pooled, abs=1e-14)
    classes = [pooled_quality([only(image, number) for image in IMAGES]) for number in range(1, 6)]
    assert found["pooled"]["mpq_plus"] == pytest.approx(mean(each and each[2] for each in classes), abs=1e-14)
    nuclei = [[len(slow.masks(ids)) for ids in (image.truth, image.prediction)] for image in IMAGES]
    assert found["pooled"]["count_r2"] == pytest.approx(r2(*zip(*nuclei, strict=True)), abs=1e-14)
    assert found["nuclei"] == dict(zip(("truth", "predicted"), np.sum(nuclei, axis=0).tolist(), strict=True))


def test_each_class_equals_the_slow_computation():
    found = scores(counts_of(COUNTED, GROUPS))["classes"]
    assert list(found) == list(PANNUKE.class_names)
    for number, name in enumerate(PANNUKE.class_names, start=1):
        pairs = [only(image, number) for image in IMAGES]
        pq = [slow.panoptic(*pair)[2] for pair in pairs]
        assert found[name]["image"]["pq"] == pytest.approx(mean(pq), abs=1e-14)
        assert found[name]["image"]["images"] == sum(not math.isnan(value) for value in pq)
        assert found[name]["tissue"]["pq"] == pytest.approx(of_group(pq), abs=1e-14)
        assert found[name]["pooled"]["pq"] == pytest.approx(pooled_quality(pairs)[2], abs=1e-14)


def test_detections_equal_the_slow_computation():
    found = scores(counts_of(COUNTED, GROUPS))
    pairs = [slow.detections(image.truth, image.prediction, RADIUS_MICRONS) for image in IMAGES]
    tp = sum(map(len, pairs))
    truth, predicted = (sum(len(slow.masks(image[place])) for image in IMAGES) for place in (0, 2))
    assert found["pooled"]["detection_f1"] == pytest.approx(2 * tp / (truth + predicted), abs=1e-14)
    assert found["pooled"]["detection_precision"] == pytest.approx(tp / predicted, abs=1e-14)
    assert found["pooled"]["detection_recall"] == pytest.approx(tp / truth, abs=1e-14)
    assert found["pooled"]["detection_f1_parity"] != found["pooled"]["detection_f1"]
    recall = [
        len(each) / len(slow.masks(image.truth)) if image.truth.any() else None
        for each, image in zip(pairs, IMAGES, strict=True)
    ]
    assert found["image"]["detection_recall"] == pytest.approx(mean(recall), abs=1e-14)


def test_tissue_means_are_those_of_the_pannuke_protocol():
    """The same maps as stacks of channels, which the parity mode scores."""
    stacks = []
    for image in IMAGES:
        truth_class = np.zeros(200, np.int64)
        for number, its in slow.class_of_truth(image.truth, image.label).items():
            truth_class[number] = its
        predicted = np.where(image.prediction_class == 0, 1, image.prediction_class)
        stacks.append((channels_of(image.truth, truth_class, 5), channels_of(image.prediction, predicted, 5)))
    parity = [score_channels(*pair, mode="parity") for pair in stacks]
    classed = [
        count(
            image._replace(prediction_class=np.where(image.prediction_class == 0, 1, image.prediction_class))
        )
        for image in IMAGES
    ]
    found = scores(counts_of(classed, GROUPS))
    assert found["tissue"]["bpq"] == pytest.approx(of_group([each.bpq for each in parity]), abs=1e-14)
    assert found["tissue"]["mpq"] == pytest.approx(of_group([each.mpq for each in parity]), abs=1e-14)
    table = np.nanmean([each.class_pq for each in parity], axis=0)
    assert [found["classes"][name]["image"]["pq"] for name in PANNUKE.class_names] == pytest.approx(
        table, abs=1e-14
    )


def test_neither_batches_nor_their_order_change_a_digit():
    whole = json.dumps(scores(counts_of(COUNTED, GROUPS)))
    rng = np.random.default_rng(0)
    for size in (1, 5, 24):
        merged = InstanceCounts.empty(5)
        order = rng.permutation(N)
        for start in range(0, N, size):
            rows = order[start : start + size]
            batch = InstanceCounts.of_images(
                [COUNTED[row] for row in rows], index=rows, group=[GROUPS[row] for row in rows]
            )
            merged = batch.merge(merged) if start % 2 else merged.merge(batch)
        assert json.dumps(scores(merged)) == whole


def test_sums_of_iou_are_rounded_once():
    """Adding one after another would lose the small ones."""
    images = [COUNTED[1]._replace(iou_sum=np.full(6, value)) for value in (1.0, 2.0**-53, 2.0**-53)]
    assert total(counts_of(images).images).iou_sum.tolist() == [[1 + 2.0**-52] * 6]


def test_empty_images_by_hand():
    """Empty truth, empty prediction, both, and one that is right; void alone counts nowhere."""
    nothing, nucleus = np.zeros((PX, PX), np.uint16), np.zeros((PX, PX), np.uint16)
    nucleus[12:16, 12:16] = 1
    none, label = np.zeros((PX, PX), np.uint8), nucleus.astype(np.uint8)
    one = np.array([0, 1], np.uint8)
    false_positive, missed, both, right, void = (
        count(Image(*each, one))
        for each in (
            (nothing, none, nucleus),
            (nucleus, label, nothing),
            (nothing, none, nothing),
            (nucleus, label, nucleus),
            (nothing, none + 255, nucleus),
        )
    )
    found = scores(counts_of([false_positive, missed, both, right, void], [0, 1, 2, 2, 3]))
    assert found["patches"] == {
        "total": 5,
        "annotated": 4,
        "empty_truth": 2,
        "empty_prediction": 2,
        "both_empty": 1,
    }
    assert found["image"]["images"] == found["tissue"]["images"] == 2
    assert (found["tissue"]["groups"], found["pooled"]["images"]) == (2, 4)
    perfect = 1 / (1 + 1e-6)
    assert found["image"]["bpq"] == found["image"]["mpq"] == perfect / 2
    assert found["pooled"]["bpq"] == found["pooled"]["mpq_plus"] == 1 / 2 * perfect
    assert found["image"]["aji"] == found["image"]["dice2"] == 1 / 2
    assert (found["pooled"]["aji"], found["pooled"]["dice2"]) == (16 / 48, 1)
    # Nothing was predicted in one of two images: it has no precision.
    assert (found["image"]["detection_precision"], found["image"]["detection_recall"]) == (1, 1 / 2)
    assert found["pooled"]["detection_f1"] == 1 / 2
    # One more pair, at the origin; and one more unpaired nucleus on each side.
    assert found["pooled"]["detection_f1_parity"] == 4 / (4 + 2 + 2)
    assert found["classes"]["Dead"]["image"] == {"pq": None, "dq": None, "sq": None, "images": 0}
    assert found["classes"]["Dead"]["pooled"]["class_f1_plain"] is None


def test_no_image_has_no_score():
    found = scores(InstanceCounts.empty(5))
    for average in averages(PANNUKE):
        assert {value for name, value in found[average].items() if name in METRICS} == {None}
    json.dumps(found, allow_nan=False)
    assert found["patches"]["total"] == 0


def test_every_average_names_itself_and_holds_its_metrics():
    info = dataclasses.replace(PANNUKE, group_noun="slide")
    found = scores(counts_of(COUNTED, GROUPS), info)
    assert averages(info) == ("slide", "image", "pooled")
    for average, key in zip(averages(info), ("group", "image", "pooled"), strict=True):
        own = {name for name, metric in METRICS.items() if key in metric.averages}
        assert own == found[average].keys() - {"images", "groups"}
        of_class = {name for name, metric in CLASS_METRICS.items() if key in metric.averages}
        assert of_class == found["classes"]["Dead"][average].keys() - {"images", "groups"}
    assert all(metric.title and metric.meaning for metric in (*METRICS.values(), *CLASS_METRICS.values()))


def test_nuclei_without_classes_have_no_mpq():
    info = DatasetInfo(name="ovary")
    found = scores(counts_of([count(Image(*image[:3], None), 0) for image in IMAGES]), info)
    with_classes = scores(counts_of(COUNTED))
    assert "classes" not in found
    for average, other in (("group", "tissue"), ("image", "image"), ("pooled", "pooled")):
        same = {name: value for name, value in with_classes[other].items() if not name.startswith("mpq")}
        assert found[average] == same


def test_counts_that_do_not_belong_together_are_refused():
    counts = counts_of(COUNTED)
    with pytest.raises(ValueError, match="more than once"):
        counts.merge(counts)
    with pytest.raises(ValueError, match="below 0"):
        InstanceCounts.of_images(COUNTED[:1], index=[-1], group=[0])
    with pytest.raises(ValueError, match="5 and 0"):
        counts.merge(InstanceCounts.empty(0))
    with pytest.raises(ValueError, match="2 counts, 1 indices"):
        InstanceCounts.of_images(COUNTED[:2], index=[0], group=[0, 0])
    with pytest.raises(ValueError, match="different numbers of classes"):
        InstanceCounts.of_images(
            [COUNTED[1], count(Image(*IMAGES[2][:3], None), 0)], index=[0, 1], group=[0, 0]
        )
    with pytest.raises(UserError, match="classes"):
        counts.scores(DatasetInfo(name="ovary"))
