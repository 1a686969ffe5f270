"""What sections compute beyond results.json, held to its definition."""

import json

import pytest

from nucseg_jax.reporting.reading.read_run import read_run
from nucseg_jax.reporting.sections.batch_norm import BATCH, MOVING, REESTIMATED, measured
from nucseg_jax.reporting.sections.cells import listed, over_runs
from nucseg_jax.reporting.sections.curves import is_wide
from nucseg_jax.reporting.sections.paper import history
from nucseg_jax.reporting.sections.times import inference_ms, minutes


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
    assert found == {
        MOVING: run.score("test", "micro", "dice"),
        BATCH: run.results["test"]["batch_statistics"]["micro"]["dice"],
        REESTIMATED: run.results["test"]["reestimated_statistics"]["micro"]["dice"],
    }
    # A run that re-estimates before every evaluation has no score with moving statistics.
    anew = make_run(tmp_path / "anew", {"eval.reestimate_batch_norm": True}, complete=False)
    assert measured(read_run(anew), "test", "dice").keys() == {REESTIMATED}
    # evaluate fills the gap of an older run; not with a mean of views.
    old = make_run(tmp_path / "old", complete=False)
    record = json.loads((old / "split.json").read_text())
    entry = json.loads((old / "results.json").read_text())["test"]
    about = {
        key: record[source] for key, source in (("split_digest", "digest"), ("data_digest", "data_digest"))
    }
    about["eval"] = {"reestimate_batch_norm": True}
    for name, dice, of_views in (("test-0", 0.9, {"views": 8}), ("test-1", 0.5, {})):
        entry["micro"]["dice"] = dice
        (old / "evaluations" / name).mkdir(parents=True)
        (old / "evaluations" / name / "results.json").write_text(
            json.dumps({"test": entry, "about": {**about, **of_views}})
        )
    found = measured(read_run(old), "test", "dice")
    assert found.keys() == {MOVING, REESTIMATED}
    assert found[REESTIMATED] == 0.5


def test_deviations_and_words(run_folders):
    assert over_runs([1.0, 3.0]) == (2.0, pytest.approx(2**0.5))
    assert over_runs([1.0, None]) == (1.0, None)
    assert over_runs([None]) == over_runs([]) == (None, None)
    run = read_run(run_folders / "unet")
    values = [line["validation"]["loss"] for line in run.epochs]
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    assert history(run, "validation", "loss") == pytest.approx((mean, deviation))
    assert [listed(list(words)) for words in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("values", "wide"),
    [([], False), ([None, 0.3, 0.9], False), ([0.3, 4.0, None], True), ([0.0, 4.0], False)],
)
def test_an_axis_is_logarithmic_only_where_small_values_would_lie_flat(values, wide):
    assert is_wide(values) == wide
