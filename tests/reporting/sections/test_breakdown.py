"""Scores by class, group and density, computed again from the files of the runs in plain Python."""

import csv
import json
import pathlib
import shutil
import statistics

import numpy as np
import pytest

from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.reporting.page.document import Table, Warn
from nucseg_jax.reporting.reading.configuration import make_cohorts
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.sections.breakdown import (
    CLASS_METRICS,
    EDGES,
    classes_blocks,
    density_blocks,
    density_classes,
    group_dice,
    groups_blocks,
)
from nucseg_jax.reporting.sections.part import Part

CONFIGURATION = "DeepLabV3+ ResNet-50, 6 classes, scratch"
RUNS = ("classes_0", "classes_1")
CLASSES = ("nucleus", "neoplastic", "inflammatory", "connective", "dead", "epithelial")


def rows_of(file: pathlib.Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def counted(run: pathlib.Path, name: str) -> tuple[int, dict[str, float]]:
    """Patches with a class, and its micro scores."""
    tp = fp = fn = patches = 0
    for row in rows_of(run / "per_image_test.csv"):
        tp += int(row[f"{name}_tp"])
        fp += int(row[f"{name}_fp"])
        fn += int(row[f"{name}_fn"])
        patches += int(row[f"{name}_tp"]) + int(row[f"{name}_fn"]) > 0
    values = 2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn), tp / (tp + fn), tp / (tp + fp)
    return patches, dict(zip(CLASS_METRICS, values, strict=True))


def part_of(pattern: pathlib.Path | str) -> Part:
    (cohort,) = make_cohorts(find_runs(str(pattern), not_in=pathlib.Path("out")).runs)
    return Part(cohort, cohort.configurations, None)


def blocks_of(pattern: pathlib.Path | str) -> list:
    """The section by class on the runs that match."""
    return classes_blocks(part_of(pattern))


def test_every_number_of_a_class_follows_from_the_counts_of_the_patches(report_folder, run_folders):
    rows = rows_of(report_folder / "tables" / "classes.csv")
    assert [row["class"].lower() for row in rows] == list(CLASSES)
    for row, name in zip(rows, CLASSES, strict=True):
        of_runs = [counted(run_folders / run, name) for run in RUNS]
        assert row["configuration"] == CONFIGURATION
        assert row["patches"] == str(of_runs[0][0])
        for metric, column in zip(CLASS_METRICS, ("dice", "iou", "sensitivity", "precision"), strict=True):
            values = [scores[metric] for _, scores in of_runs]
            assert float(row[column]) == pytest.approx(statistics.mean(values), rel=1e-12)
            assert float(row[f"{column}_deviation"]) == pytest.approx(statistics.stdev(values), rel=1e-9)
        assert float(row["95_interval_low"]) < float(row["dice"]) < float(row["95_interval_high"])


def test_intervals_of_classes_are_of_the_same_resamples_as_those_of_the_whole_report(report_folder):
    """Nucleus against background is a class here, and has an interval of its own in another section."""
    (elsewhere,) = (
        row
        for row in rows_of(report_folder / "tables" / "intervals.csv")
        if (row["configuration"], row["run"], row["convention"], row["metric"])
        == (CONFIGURATION, "", "micro", "dice")
    )
    nucleus = rows_of(report_folder / "tables" / "classes.csv")[0]
    for limit in ("low", "high"):
        assert float(nucleus[f"95_interval_{limit}"]) == pytest.approx(float(elsewhere[limit]), rel=1e-12)


def test_without_several_classes_there_is_no_section(run_folders):
    assert blocks_of(run_folders / "imagenet_*") == []


def test_runs_without_counts_have_no_scores_by_class_and_the_others_are_shown(
    run_folders, make_run, tmp_path
):
    runs = tmp_path / "runs"
    unet = make_run(runs / "unet", {"model.num_classes": 6, "model.decoder": "unet"}, complete=False)
    (unet / "per_image_test.csv").unlink()
    assert blocks_of(unet) == groups_blocks(part_of(unet)) == density_blocks(part_of(unet)) == []
    shutil.copytree(run_folders / "classes_0", runs / "deeplab")
    (table,) = blocks_of(runs / "*")
    assert {row[0] for row in table.rows} == {"DeepLabV3+ ResNet-50, 6 classes"}
    assert len(table.rows) == len(CLASSES)


def test_runs_that_were_scored_by_the_rule_of_earlier_versions_are_named(run_folders, tmp_path):
    for name in RUNS:
        shutil.copytree(run_folders / name, tmp_path / name)
    file = tmp_path / RUNS[0] / "results.json"
    results = json.loads(file.read_text())
    for entry in results.values():
        del entry["foreground_rule"]
    file.write_text(json.dumps(results))
    warning, _ = blocks_of(tmp_path / "*")
    assert isinstance(warning, Warn)
    assert warning.text.startswith(f"{tmp_path / RUNS[0]}: scored by an earlier version")
    assert warning.text.endswith("both rules.")
    assert RUNS[1] not in warning.text


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
    (table,) = blocks_of(folder)
    assert isinstance(table, Table)
    for row in table.rows:
        values = [row[3].value, row[4].low, *(spread.value for spread in row[5:])]
        is_dead = row[1] == "Dead"
        assert [value is None or np.isnan(value) for value in values] == [is_dead] * len(values)
        assert (row[2] == 0) == is_dead


def counts_of(cells, group=0):
    cells = np.array(cells)[:, None]
    number = len(cells)
    return Counts(counts=cells, index=np.arange(number), group=np.broadcast_to(group, number), losses={})


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


def test_the_table_by_density_has_the_patches_and_means_of_its_classes(report_folder, run_folders):
    counts, _ = read_per_image(per_image_path(run_folders / "unet", "test"), PANNUKE)
    expected = [each for each in density_classes(counts) if each.patches]
    rows = rows_of(report_folder / "tables" / "density.csv")
    assert [int(row["patches"]) for row in rows] == [each.patches for each in expected]
    values = [each.false_positive_share if each.dice is None else each.dice for each in expected]
    assert [float(row["u_net_resnet_50_scratch"]) for row in rows] == pytest.approx(values, rel=1e-12)


def test_the_table_by_tissue_has_the_mean_over_runs(report_folder, run_folders):
    tables = [
        read_per_image(per_image_path(run_folders / f"imagenet_{n}", "test"), PANNUKE)[0] for n in (0, 1)
    ]
    found = [group_dice(counts, PANNUKE) for counts in tables]
    rows = {row["tissue"].lower(): row for row in rows_of(report_folder / "tables" / "tissues.csv")}
    assert len(rows) == len(found[0])
    for group, (patches, dice) in found[0].items():
        row = rows[group.replace("_", " ").replace("-", " ").lower()]
        assert row["patches"] == str(patches)
        mean = statistics.mean([dice, found[1][group][1]])
        assert float(row["deeplabv3_resnet_50_imagenet"]) == pytest.approx(mean, rel=1e-12)
