"""What sections compute beyond results.json, held to its definition."""

import json

import numpy as np
import pytest
from nucseg_jax.reporting.sections.density import EDGES, density_classes
from nucseg_jax.reporting.sections.drawing import wrapped
from nucseg_jax.reporting.sections.groups import group_dice

from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.reporting.reading.read_run import read_run
from nucseg_jax.reporting.sections.batch_norm import BATCH, MOVING, REESTIMATED, measured
from nucseg_jax.reporting.sections.calibration import expected_calibration_error, reliability
from nucseg_jax.reporting.sections.cells import (
    listed,
    over_runs,
    population_deviation,
    sample_deviation,
)
from nucseg_jax.reporting.sections.curves import is_wide
from nucseg_jax.reporting.sections.times import inference_ms, minutes


def counts_of(cells, group=0):
    cells = np.array(cells)[:, None]
    number = len(cells)
    return Counts(
        counts=cells,
        index=np.arange(number),
        group=np.broadcast_to(group, number),
        losses={},
    )


def test_the_mean_over_tissues_is_the_tissue_convention(run_folders):
    counts, _ = read_per_image(per_image_path(run_folders / "imagenet_0", "test"), PANNUKE)
    dice = [value for _, value in group_dice(counts, PANNUKE).values()]
    results = json.loads((run_folders / "imagenet_0" / "results.json").read_text())
    assert np.mean(dice) == pytest.approx(results["test"]["tissue"]["dice"], rel=1e-12)


def test_density_classes_hold_every_patch_once_and_average_to_image_skip(run_folders):
    counts, _ = read_per_image(per_image_path(run_folders / "imagenet_0", "test"), PANNUKE)
    classes = density_classes(counts)
    assert sum(each.patches for each in classes) == len(counts.index)
    filled = [each for each in classes[1:] if each.patches]
    mean = sum(each.patches * each.dice for each in filled) / sum(each.patches for each in filled)
    assert mean == pytest.approx(counts.scores(PANNUKE)["image_skip"]["dice"], rel=1e-12)


def test_a_patch_at_an_edge_belongs_to_the_class_below_it():
    cells = [[0, 7, 0, 93]] + [[round(100 * edge), 0, 0, 100 - round(100 * edge)] for edge in EDGES[1:]]
    classes = density_classes(counts_of(cells))
    assert [each.patches for each in classes] == [1] * len(EDGES)
    assert classes[0].dice is None
    assert classes[0].false_positive_share == pytest.approx(0.07)
    assert all(each.dice == 1.0 for each in classes[1:])


def test_calibration_of_pixels_whose_answer_is_known():
    level = np.arange(256)
    honest = np.stack([255 - level, level], axis=-1)
    assert expected_calibration_error(honest) == pytest.approx(0.0, abs=1e-12)
    wrong = np.zeros((256, 2), int)
    wrong[255, 0] = wrong[0, 1] = 50
    assert expected_calibration_error(wrong) == pytest.approx(1.0)
    # 3 of 4 pixels are nucleus where .2 was said; all 12 of another bin, as was said. .2 is the edge of two bins.
    one = np.zeros((256, 2), int)
    one[51] = 1, 3
    one[255, 1] = 12
    assert expected_calibration_error(one) == pytest.approx(0.25 * 0.55)
    assert reliability(one).share.tolist() == [0, 0, 0.25, 0, 0, 0, 0, 0, 0, 0.75]
    assert expected_calibration_error(np.zeros((256, 2), int)) is None
    bins = reliability(honest)
    assert bins.share.sum() == pytest.approx(1.0)
    # Level 255 alone would be an eleventh bin.
    assert len(bins.share) == 10


def test_times_are_summed_over_starts_and_compilation_stands_apart(make_run, tmp_path):
    folder = make_run(tmp_path / "run")
    timing = json.loads((folder / "timing.json").read_text())
    timing["starts"].append({"training": 30.0, "validation": 6.0, "program_from": "cache", "data": 3.0})
    (folder / "timing.json").write_text(json.dumps(timing))
    run = read_run(folder)
    expected = {"training": 2.0, "validation": 0.3, "compilation": 0.1}
    found = minutes(run)
    assert {kind: found[kind] for kind in expected} == pytest.approx(expected)
    assert found["whole"] == pytest.approx((1 + 90 + 12 + 6 + 3 + 30 + 6 + 3) / 60)
    assert inference_ms(run) == {1: 80.0, 8: 10.0}


def test_scores_by_statistics_come_from_results_and_from_evaluations(make_run, tmp_path):
    run = read_run(make_run(tmp_path / "complete"))
    found = measured(run, "test", "dice")
    assert {name: score.value for name, score in found.items()} == {
        MOVING: run.score("test", "micro", "dice"),
        BATCH: run.results["test"]["batch_statistics"]["micro"]["dice"],
        REESTIMATED: run.results["test"]["reestimated_statistics"]["micro"]["dice"],
    }
    # A run that re-estimates before every evaluation has no score with moving statistics.
    anew = make_run(tmp_path / "anew", {"eval.reestimate_batch_norm": True}, complete=False)
    assert measured(read_run(anew), "test", "dice").keys() == {REESTIMATED}
    # evaluate fills the gap of an older run.
    old = make_run(tmp_path / "old", complete=False)
    record = json.loads((old / "split.json").read_text())
    entry = json.loads((old / "results.json").read_text())["test"]
    entry["micro"]["dice"] = 0.5
    about = {
        key: record[source] for key, source in (("split_digest", "digest"), ("data_digest", "data_digest"))
    }
    (old / "evaluations" / "test-1").mkdir(parents=True)
    (old / "evaluations" / "test-1" / "results.json").write_text(
        json.dumps({"test": entry, "about": {**about, "eval": {"reestimate_batch_norm": True}}})
    )
    found = measured(read_run(old), "test", "dice")
    assert found.keys() == {MOVING, REESTIMATED}
    assert found[REESTIMATED] == (0.5, "evaluations/test-1/results.json")


def test_deviations_and_words():
    assert population_deviation([1.0, 3.0, None]) == 1.0
    assert sample_deviation([1.0, 3.0]) == pytest.approx(2**0.5)
    assert sample_deviation([1.0, None]) is None
    assert over_runs([0.5, None]) == "0.5000"
    assert over_runs([0.25, 0.75]) == "0.5000 ± 0.3536"
    assert over_runs([None]) == over_runs([]) == "–"
    assert [listed(list(words)) for words in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_wrapped_text_keeps_its_words_and_long_words_stay_whole():
    text = "DeepLabV3+ EfficientNet-B4, ImageNet, L2 0.0001, moving statistics"
    lines = wrapped(text, width_in=2.0).splitlines()
    assert " ".join(lines) == text
    assert len(lines) > 1
    assert wrapped("unbreakable", width_in=0.1) == "unbreakable"
    assert wrapped(text, width_in=20.0) == text


@pytest.mark.parametrize(
    ("values", "wide"),
    [([], False), ([None, 0.3, 0.9], False), ([0.3, 4.0, None], True), ([0.0, 4.0], False)],
)
def test_an_axis_is_logarithmic_only_where_small_values_would_lie_flat(values, wide):
    assert is_wide(values) == wide
