"""Scores of a split: equal to a slow computation from its maps."""

import math

import numpy as np
import pytest

from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.instances.detection import RADIUS_MICRONS
from nucseg_jax.evaluation.instances.pannuke_channels import channels_of, score_channels
from tests.evaluation.instances import slow_reference as slow
from tests.evaluation.instances.random_maps import Image
from tests.evaluation.instances.random_split import COUNTED, GROUPS, IMAGES, count, counts_of, scores


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
