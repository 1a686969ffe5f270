"""Averages of a split: whatever the order and the batches, with empty images, without classes, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.instance_metrics import CLASS_METRICS, METRICS, total
from nucseg_jax.evaluation.instances.instance_scores import averages
from tests.evaluation.instances.random_maps import PX, Image
from tests.evaluation.instances.random_split import COUNTED, GROUPS, IMAGES, N, count, counts_of, scores


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
