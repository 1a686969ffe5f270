"""Intervals of bPQ and bPQ by group: computed again from the maps, and from the scores of the runs."""

import csv
import json
import pathlib
import shutil
import statistics

import numpy as np
import pytest

from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.instances.per_image_instances import per_image_instances_path
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.reporting.page.document import Document, Gap, Table
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.sections.breakdown import words
from tests.evaluation.instances import slow_reference as slow
from tests.reporting.nuclei_of_runs import add_nuclei, image_of

# Of nuclei; the order by pixels is the other one.
QUALITY = {"hover": 0.9, "distance": 0.5}
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def runs(make_run, tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("pair") / "runs"
    for index, (head, quality) in enumerate(QUALITY.items()):
        for seed in SEEDS:
            label = f"{head}_{seed}"
            fields = {"model.head": head, "train.seed": seed}
            run = make_run(
                root / label, fields, quality=1 - 0.3 * quality, complete=False, label=label, index=index
            )
            add_nuclei(run, quality=quality)
    return root


def tables_of(document: Document) -> dict[str, Table]:
    return {block.name: block for block in document.all() if isinstance(block, Table)}


@pytest.fixture(scope="module")
def tables(runs, make_page, tmp_path_factory) -> dict[str, Table]:
    return tables_of(make_page(f"{runs}/*", tmp_path_factory.mktemp("page") / "report"))


def of_results(run: pathlib.Path, average: str) -> float:
    return json.loads((run / "results.json").read_text())["test"]["instances"][average]["bpq"]


def configuration(label: str) -> str:
    return label.partition(",")[0]


def test_scores_and_differences_are_those_of_results_json(tables, runs):
    table = tables["nuclei_intervals"]
    assert [row[0] for row in table.rows] == [
        average for average in ("tissue", "image", "pooled") for _ in QUALITY
    ]
    found = {(row[0], configuration(row[1])): row for row in table.rows}
    for average in ("tissue", "image", "pooled"):
        means = {}
        for head in QUALITY:
            values = [of_results(runs / f"{head}_{seed}", average) for seed in SEEDS]
            means[head] = statistics.mean(values)
            _, _, score, interval, count, difference, _ = found[average, head]
            assert count == len(SEEDS)
            assert score.value == pytest.approx(means[head], rel=1e-12)
            assert score.deviation == pytest.approx(statistics.stdev(values), rel=1e-9)
            assert interval.low < score.value < interval.high
        assert found[average, "hover"][5:] == (None, None)
        _, _, _, _, _, difference, interval = found[average, "distance"]
        assert difference.value == pytest.approx(means["distance"] - means["hover"], abs=1e-13)
        assert interval.low < difference.value < interval.high < 0
    # The head that is best with nuclei is the reference, not that which is best with pixels.
    assert table.references == {0, 2, 4}
    assert tables["answer"].references == {1}


def test_an_interval_holds_most_scores_of_patches_drawn_again(tables, runs):
    """By image, in plain Python from the maps."""
    rng = np.random.default_rng(5)
    (row,) = (row for row in tables["nuclei_intervals"].rows if row[:2] == ("image", "hover"))
    of_runs = []
    for seed in SEEDS:
        images = [image_of("test", position, seed, QUALITY["hover"]) for position in range(24)]
        of_runs.append([slow.panoptic(image.truth, image.prediction)[2] for image in images])
    drawn = rng.integers(0, 24, (4_000, 24))
    means = np.nanmean(np.array(of_runs)[:, drawn], axis=2).mean(axis=0)
    assert [row[3].low, row[3].high] == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist(), abs=0.01)


def test_groups_have_the_mean_of_their_patches_with_nuclei(tables, runs):
    pixels, _ = read_per_image(per_image_path(runs / "hover_0", "test"), PANNUKE)
    table = tables["nuclei_tissues"]
    assert table.headers[2:] == ("hover, bPQ", "distance, bPQ")
    rows = {row[0]: row[1:] for row in table.rows}
    seen = set()
    for number in np.unique(pixels.group).tolist():
        positions = pixels.index[pixels.group == number].tolist()
        has_truth = [bool(image_of("test", position, 0, 0.9).truth.any()) for position in positions]
        if not any(has_truth):
            continue
        name = words(PANNUKE.groups[number], PANNUKE)
        seen.add(name)
        assert rows[name][0] == sum(has_truth)
        for (_, quality), cell in zip(QUALITY.items(), rows[name][1:], strict=True):
            of_runs = []
            for seed in SEEDS:
                images = [image_of("test", position, seed, quality) for position in positions]
                of_runs.append(
                    np.nanmean([slow.panoptic(image.truth, image.prediction)[2] for image in images])
                )
            assert cell == pytest.approx(np.mean(of_runs), rel=1e-12)
    assert rows.keys() == seen
    assert np.mean([cells[1] for cells in rows.values()]) == pytest.approx(
        statistics.mean(of_results(runs / f"hover_{seed}", "tissue") for seed in SEEDS), rel=1e-12
    )


def test_the_baseline_of_the_report_is_that_of_nuclei_too(runs, make_page, tmp_path):
    document = make_page(f"{runs}/*", tmp_path / "report", baseline="distance")
    table = tables_of(document)["nuclei_intervals"]
    assert table.references == {1, 3, 5}
    assert table.headers[5] == "to the baseline"
    assert table.rows[0][5].value > 0


def test_without_the_table_of_counts_scores_have_no_interval_and_the_run_is_named(runs, make_page, tmp_path):
    run = shutil.copytree(runs / "hover_0", tmp_path / "runs" / "hover_0")
    per_image_instances_path(run, "test").unlink()
    document = make_page(str(run), tmp_path / "report", is_paper=True)
    tables = tables_of(document)
    assert not {"nuclei_intervals", "nuclei_tissues"} & tables.keys()
    assert tables["nuclei"].rows[0][2].value == of_results(run, "tissue")
    gaps = [block.missing for block in document.all() if isinstance(block, Gap)]
    assert f"No usable counts of nuclei of {run}: their bPQ has no interval." in gaps


def altered(file: pathlib.Path, column: str, text: str) -> None:
    with file.open(newline="", encoding="utf-8") as opened:
        lines = list(csv.reader(opened))
    lines[3][lines[0].index(column)] = text
    file.write_text("".join(",".join(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("nucleus_fp", "70", "its counts do not give the scores in results.json"),
        ("aji_numerator", "1", "its counts do not give the scores in results.json"),
        (
            "nucleus_tp",
            "x",
            "is not a table of instance counts (invalid literal for int() with base 10: 'x')",
        ),
        ("row", "17", "its 24 patches are not the 24 of split.json"),
    ],
)
def test_a_table_that_was_altered_is_a_fault_of_the_run(runs, tmp_path, column, text, reason):
    run = shutil.copytree(runs / "hover_0", tmp_path / "run")
    file = per_image_instances_path(run, "test")
    altered(file, column, text)
    (found,) = find_runs(str(run), not_in=tmp_path / "out").runs
    assert found.faults == (f"{file.name}: {reason}",)


def test_counts_of_nuclei_that_results_json_does_not_have_are_a_fault(runs, tmp_path):
    run = shutil.copytree(runs / "hover_0", tmp_path / "run")
    results = json.loads((run / "results.json").read_text())
    for entry in results.values():
        del entry["instances"]
    (run / "results.json").write_text(json.dumps(results))
    (found,) = find_runs(str(run), not_in=tmp_path / "out").runs
    assert len(found.faults) == 3
    assert all(fault.startswith("per_image_instances_") for fault in found.faults)
