"""Scores by class, computed again from the files of the runs in plain Python."""

import csv
import json
import pathlib
import shutil
import statistics

import numpy as np
import pytest
from nucseg_jax.reporting.sections.classes import METRICS, classes_blocks

from nucseg_jax.reporting.page.document import Figure, Gap, Heading, Table
from nucseg_jax.reporting.reading.configuration import make_cohorts
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.sections.part import Part

CONFIGURATION = "DeepLabV3+ ResNet-50, 6 classes, scratch"
RUNS = ("classes_0", "classes_1")
CLASSES = ("nucleus", "neoplastic", "inflammatory", "connective", "dead", "epithelial")


def rows_of(file: pathlib.Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def counted(run: pathlib.Path, split: str, name: str) -> tuple[int, dict[str, float]]:
    """Patches with a class, and its micro scores."""
    tp = fp = fn = patches = 0
    for row in rows_of(run / f"per_image_{split}.csv"):
        tp += int(row[f"{name}_tp"])
        fp += int(row[f"{name}_fp"])
        fn += int(row[f"{name}_fn"])
        patches += int(row[f"{name}_tp"]) + int(row[f"{name}_fn"]) > 0
    values = 2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn), tp / (tp + fn), tp / (tp + fp)
    return patches, dict(zip(METRICS, values, strict=True))


def blocks_of(pattern: pathlib.Path | str) -> list:
    """The section on the runs that match."""
    found = find_runs(str(pattern), not_in=pathlib.Path("out"))
    (cohort,) = make_cohorts(found.runs)
    return classes_blocks(Part(cohort, "", {}))


@pytest.mark.parametrize("split", ["test", "validation"])
def test_every_number_follows_from_the_counts_of_the_patches(report_folder, run_folders, split):
    found = {
        (row["run"].rsplit("/", 1)[-1], row["class"], row["metric"]): row
        for row in rows_of(report_folder / "tables" / "classes.csv")
        if row["split"] == split
    }
    assert len(found) == (len(RUNS) + 1) * len(CLASSES) * len(METRICS)
    for name in CLASSES:
        of_runs = [counted(run_folders / run, split, name) for run in RUNS]
        for metric in METRICS:
            values = [scores[metric] for _, scores in of_runs]
            rows = [found[run, name, metric] for run in RUNS]
            assert [float(row["value"]) for row in rows] == pytest.approx(values, rel=1e-12)
            summary = found["", name, metric]
            assert summary["configuration"] == CONFIGURATION
            assert float(summary["value"]) == pytest.approx(statistics.mean(values), rel=1e-12)
            deviation = float(summary["standard_deviation_over_runs"])
            assert deviation == pytest.approx(statistics.stdev(values), rel=1e-9)
            for row, (patches, _) in zip((*rows, summary), (*of_runs, of_runs[0]), strict=True):
                assert row["patches_with_class"] == str(patches)


def test_the_table_shows_the_test_split_and_the_figure_has_the_same_numbers(report_folder, run_folders):
    heading, figure, table = blocks_of(run_folders / "classes_*")
    assert isinstance(heading, Heading)
    assert isinstance(figure, Figure)
    assert isinstance(table, Table)
    assert figure.numbers == table.numbers
    assert [row[1].lower() for row in table.rows] == list(CLASSES)
    for row, name in zip(table.rows, CLASSES, strict=True):
        of_runs = [counted(run_folders / run, "test", name) for run in RUNS]
        assert row[2] == str(of_runs[0][0])
        for cell, metric in zip((row[3], *row[5:]), METRICS, strict=True):
            values = [scores[metric] for _, scores in of_runs]
            assert cell == f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"
        assert f"{name} {statistics.mean(scores['dice'] for _, scores in of_runs):.3f}" in figure.alt


def test_intervals_are_of_the_same_resamples_as_those_of_the_whole_report(report_folder):
    """Nucleus against background is a class here, and has an interval of its own in another section."""
    (elsewhere,) = (
        row
        for row in rows_of(report_folder / "tables" / "intervals.csv")
        if (row["configuration"], row["run"], row["convention"], row["metric"])
        == (CONFIGURATION, "", "micro", "dice")
    )
    summaries = {
        row["class"]: row
        for row in rows_of(report_folder / "tables" / "classes.csv")
        if (row["run"], row["split"], row["metric"]) == ("", "test", "dice")
    }
    for limit in ("low", "high"):
        nucleus = float(summaries["nucleus"][limit])
        assert nucleus == pytest.approx(float(elsewhere[limit]), rel=1e-12)
    for row in summaries.values():
        assert float(row["low"]) < float(row["value"]) < float(row["high"])


def test_without_several_classes_there_is_no_section(run_folders):
    assert blocks_of(run_folders / "imagenet_*") == []


def test_runs_without_counts_are_named_and_the_others_are_shown(run_folders, make_run, tmp_path):
    runs = tmp_path / "runs"
    unet = make_run(runs / "unet", {"model.num_classes": 6, "model.decoder": "unet"}, complete=False)
    (unet / "per_image_test.csv").unlink()
    heading, gap = blocks_of(unet)
    assert isinstance(heading, Heading)
    assert gap == Gap("No per_image_test.csv of U-Net ResNet-50, 6 classes.")
    shutil.copytree(run_folders / "classes_0", runs / "deeplab")
    _, gap, _, table = blocks_of(runs / "*")
    assert gap == Gap("No per_image_test.csv of U-Net ResNet-50, 6 classes.")
    assert table.rows[0][0] == "DeepLabV3+ ResNet-50, 6 classes"
    assert len(table.rows) == len(CLASSES)
    # What there is of validation stays.
    configurations = {row[0] for row in table.numbers.rows if row[4] == "validation"}
    assert configurations == {"U-Net ResNet-50, 6 classes", "DeepLabV3+ ResNet-50, 6 classes"}


def test_runs_that_were_scored_by_the_rule_of_earlier_versions_are_named(run_folders, tmp_path):
    for name in RUNS:
        shutil.copytree(run_folders / name, tmp_path / name)
    file = tmp_path / RUNS[0] / "results.json"
    results = json.loads(file.read_text())
    for entry in results.values():
        del entry["foreground_rule"]
    file.write_text(json.dumps(results))
    _, gap, *_ = blocks_of(tmp_path / "*")
    assert isinstance(gap, Gap)
    assert gap.missing.startswith(f"{tmp_path / RUNS[0]}: scored by an earlier version")
    assert gap.missing.endswith("both rules.")
    assert RUNS[1] not in gap.missing


def test_a_class_that_is_nowhere_has_no_score(run_folders, tmp_path):
    folder = shutil.copytree(run_folders / "classes_0", tmp_path / "run")
    file = folder / "per_image_test.csv"
    rows = rows_of(file)
    for row in rows:
        row.update({"dead_tp": "0", "dead_fp": "0", "dead_fn": "0", "dead_tn": str(256 * 256)})
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    _, figure, table = blocks_of(folder)
    assert table.rows[CLASSES.index("dead")][1:] == ("Dead", "0", *["–"] * 5)
    assert "dead –" in figure.alt
    others = [row for row in table.rows if row[1] != "Dead"]
    assert all("–" not in row for row in others)
    assert np.isfinite([float(row[3]) for row in others]).all()
