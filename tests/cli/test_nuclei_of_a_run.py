"""Nuclei of a run, from the end of training through `evaluate` to the report."""

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest

from nucseg_jax.core.seal import file_digest
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.examples import examples_path, read_examples
from nucseg_jax.evaluation.instances.per_image_instances import (
    per_image_instances_path,
    read_per_image_instances,
)
from nucseg_jax.heads.decoding.stored_rule import rule_from_json
from nucseg_jax.load import load_run
from nucseg_jax.run_folder.folder import RunFolder


@pytest.fixture(scope="module")
def run(command_line, finished_run, tmp_path_factory) -> pathlib.Path:
    """A trained run that is scored again, nuclei too, by a rule that is tuned."""
    workdir = shutil.copytree(finished_run, tmp_path_factory.mktemp("nuclei") / "run")
    for name in ("results.json", "record.json"):
        (workdir / name).unlink()
    status, _, err = command_line.train(workdir, "--config.eval.tune_nuclei=True")
    assert status == 0, err
    return workdir


def results_of(folder: pathlib.Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_the_tables_of_counts_give_the_scores_and_are_sealed(run):
    record = json.loads((run / "record.json").read_text())
    splits, _ = RunFolder(run).read_splits()
    results = results_of(run)
    for split in SPLIT_NAMES:
        path = per_image_instances_path(run, split)
        counts, patches = read_per_image_instances(path, PANNUKE)
        assert counts.scores(PANNUKE)["instances"] == results[split]["instances"]
        assert counts.images.tp.sum() + counts.images.fn.sum() > 0
        assert patches.tolist() == getattr(splits, split).tolist()
        assert record["files"][path.name] == file_digest(path)


def test_its_rule_is_the_best_of_a_grid_of_shapes(run):
    stored = json.loads((run / "nucleus_rule.json").read_text())
    assert {each["head"] for each in stored["grid"]} == {"none"}
    assert {each["threshold"] for each in stored["grid"]} > {0.3, 0.5, 0.7}
    rule = load_run(run).rule
    assert rule == rule_from_json(stored["rule"])
    chosen = {
        "threshold": rule.threshold,
        "neck_um": rule.parting.neck_um,
        "smallest_um2": rule.smallest_um2,
    }
    (point,) = (each for each in stored["grid"] if chosen.items() <= each.items())
    assert point["score"] == max(each["score"] for each in stored["grid"])


def test_the_patches_that_are_kept_have_the_nuclei_that_were_counted(run):
    for split in SPLIT_NAMES:
        counts, _ = read_per_image_instances(per_image_instances_path(run, split), PANNUKE)
        examples = read_examples(examples_path(run, split), PANNUKE)
        assert examples.nuclei is not None
        annotated, predicted = (
            ids.max(axis=(1, 2)) for ids in (examples.nuclei.truth, examples.nuclei.prediction)
        )
        here = np.searchsorted(counts.index, examples.position)
        assert annotated.tolist() == (counts.images.tp + counts.images.fn)[here, 0].tolist()
        assert predicted.tolist() == (counts.images.tp + counts.images.fp)[here, 0].tolist()
        np.testing.assert_array_equal(examples.nuclei.truth > 0, examples.truth)
        assert (run / "overlays" / f"{split}_nuclei.png").exists()


def test_evaluate_writes_the_same_table(command_line, run):
    status, _, err = command_line.run("evaluate", f"--workdir={run}")
    assert status == 0, err
    (table,) = (run / "evaluations").glob("test-*/per_image_instances.csv")
    assert table.read_bytes() == per_image_instances_path(run, "test").read_bytes()
    assert results_of(table.parent)["files"][table.name] == file_digest(table)
    assert results_of(table.parent)["test"] == results_of(run)["test"]


def test_the_report_shows_its_scores_and_names_a_table_that_was_altered(command_line, run, tmp_path):
    whole = shutil.copytree(run, tmp_path / "runs" / "whole")
    status, out, err = command_line.run("report", f"--runs={whole}", f"--out={tmp_path / 'report'}")
    assert status == 0, err
    assert "per_image" not in out
    with (tmp_path / "report" / "tables" / "nuclei.csv").open(newline="") as file:
        rows = {row["average"]: row for row in csv.DictReader(file)}
    entry = results_of(run)["test"]["instances"]
    for average in ("tissue", "image", "pooled"):
        for metric in ("bpq", "dq", "aji", "detection_f1"):
            assert float(rows[average][metric]) == entry[average][metric]
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert f"{entry['tissue']['detection_f1']:.4f}" in page
    table = per_image_instances_path(whole, "test")
    table.write_text(table.read_text() + "\n")
    status, out, err = command_line.run("report", f"--runs={whole}", f"--out={tmp_path / 'report'}")
    assert status == 0, err
    assert f"{table.name}: was altered" in " ".join(out.split())
    assert not (tmp_path / "report" / "tables" / "nuclei_intervals.csv").exists()
