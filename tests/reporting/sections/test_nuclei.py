"""The section on nuclei: its numbers are those of the runs, under the labels and in the order of the first screen."""

import csv
import json
import pathlib
import re
import shutil
import statistics

import pytest

from nucseg_jax.cli.report import best_rows
from nucseg_jax.evaluation.instances.instance_metrics import CLASS_METRICS, METRICS
from nucseg_jax.reporting.page.document import Document, Measured, Paragraph, Section, Table
from nucseg_jax.reporting.reading.configuration import make_cohorts
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.sections.compose import Wishes, make_parts
from nucseg_jax.reporting.sections.nuclei import SHOWN, SHOWN_OF_CLASSES
from tests.reporting.nuclei_of_runs import add_nuclei

HEADS = ("none", "hover", "distance")
LABELS = [f"{head}_head" for head in HEADS]
# Pixels and nuclei are not best with the same head.
QUALITY = {"none": 0.8, "hover": 0.7, "distance": 0.75}
NUCLEI = {"none": 0.3, "hover": 0.9, "distance": 0.6}


@pytest.fixture(scope="module")
def runs(make_run, tmp_path_factory) -> pathlib.Path:
    """A sweep of instance heads, two seeds each, with classes; and a run whose nuclei were not scored."""
    root = tmp_path_factory.mktemp("heads") / "runs"
    for index, head in enumerate(HEADS):
        for seed in (0, 1):
            fields = {"model.head": head, "model.num_classes": 6, "train.seed": seed}
            label = f"{head}_head_seed{seed}"
            where = (root / label, fields)
            run = make_run(*where, quality=QUALITY[head], complete=False, label=label, index=index)
            add_nuclei(run, quality=NUCLEI[head])
    make_run(root / "pixels", {"loss.l2": 0.3}, complete=False, label="pixels", index=9)
    return root


@pytest.fixture(scope="module")
def page(runs, make_page, tmp_path_factory) -> tuple[Document, pathlib.Path]:
    out = tmp_path_factory.mktemp("page") / "report"
    return make_page(f"{runs}/*", out), out


def table_of(page, name: str) -> Table:
    (table,) = (each for each in page[0].all() if isinstance(each, Table) and each.name == name)
    return table


def rows_of(page, name: str) -> list[dict[str, str]]:
    (path,) = page[1].rglob(f"{name}.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def entries(runs: pathlib.Path, label: str) -> list[dict]:
    """What the two seeds' results.json hold about nuclei in test."""
    files = [runs / f"{label}_seed{seed}" / "results.json" for seed in (0, 1)]
    return [json.loads(file.read_text())["test"]["instances"] for file in files]


def test_each_average_has_mean_and_deviation_of_the_runs_in_the_order_of_the_first_screen(page, runs):
    table = table_of(page, "nuclei")
    order = [row[0] for row in table_of(page, "answer").rows if row[0] != "pixels"]
    assert order == LABELS
    assert [row[:2] for row in table.rows] == [
        (average, label) for average in ("tissue", "image", "pooled") for label in order
    ]
    for average, label, *cells in table.rows:
        found = entries(runs, label)
        for metric, cell in zip(SHOWN, cells, strict=True):
            values = [entry[average][metric] for entry in found if metric in entry[average]]
            if values:
                assert cell.value == pytest.approx(statistics.mean(values), rel=1e-12)
                assert cell.deviation == pytest.approx(statistics.stdev(values), rel=1e-9)
            else:
                assert cell == (None, None)
    assert "was tuned on the validation patches" in table.caption
    best = max(table.rows[:3], key=lambda row: row[2].value)
    assert best[1] == "hover_head"
    # mPQ is of images, mPQ+ of the split: neither has the other's averages.
    exact = rows_of(page, "nuclei")
    assert [bool(row["mpq"]) for row in exact] == [True] * 6 + [False] * 3
    assert [bool(row["mpq_pooled"]) for row in exact] == [False] * 6 + [True] * 3


def test_the_first_screen_answers_for_nuclei_first_where_models_have_a_head(page, runs):
    """The two measures name different heads as best, each with its own reference."""
    nuclei, table, figure, pixels, of_pixels, *_ = page[0].answer
    assert nuclei.is_answer
    assert pixels.is_answer
    lead = (
        rf"Nuclei: {LABELS[1]} is better than {LABELS[2]} by 0\.\d+ \[.+\] in test bPQ \(mean over tissues\)"
    )
    assert re.match(lead, nuclei.text)
    assert "standard deviation of up to 0." in nuclei.text
    assert re.match(rf"Pixels: {LABELS[0]} is better than pixels by .+ in test Dice", pixels.text)
    assert (table.references, of_pixels.references) == ({1}, {0})
    assert [row[0] for row in table.rows] == [row.name for row in figure.chart.rows] == LABELS
    intervals = table_of(page, "nuclei_intervals").rows
    for label, score, interval, number, *difference in table.rows:
        (same,) = (row for row in intervals if row[:2] == ("tissue", label))
        assert (score, interval, number, *difference) == same[2:]
        values = [entry["tissue"]["bpq"] for entry in entries(runs, label)]
        assert score.value == pytest.approx(statistics.mean(values), rel=1e-12)


def test_pixels_come_first_where_no_model_has_a_head(runs, make_page, tmp_path):
    document = make_page(f"{runs}/none_head_*", tmp_path / "report")
    pixels, nuclei = (block for block in document.answer if isinstance(block, Paragraph) and block.is_answer)
    assert pixels.text.startswith("Pixels: none_head has a test Dice of 0.")
    assert nuclei.text.startswith("Nuclei: none_head has a test bPQ (mean over tissues) of 0.")


def test_the_terminal_names_the_best_by_dice_and_by_quality(runs, tmp_path):
    (cohort,) = make_cohorts(find_runs(f"{runs}/*", not_in=tmp_path).runs)
    lines = best_rows(make_parts([cohort], Wishes(), {})[0])
    assert [line.split()[:3] for line in lines] == [
        [name, str(place), label]
        for name, labels in (
            ("Dice", ("none_head", "pixels", "distance_head")),
            ("bPQ", ("hover_head", "distance_head", "none_head")),
        )
        for place, label in enumerate(labels, 1)
    ]


def test_classes_have_their_quality_and_f1(page, runs):
    table = table_of(page, "nuclei_classes")
    assert len(table.rows) == 5 * len(HEADS)
    for label, name, patches, *cells in table.rows:
        found = [entry["classes"][name] for entry in entries(runs, label)]
        assert patches == Measured(found[0]["image"]["images"], 0)
        places = [(average, "pq") for average in ("tissue", "image", "pooled")]
        places += [("pooled", metric) for metric in SHOWN_OF_CLASSES[1:]]
        for (average, metric), cell in zip(places, cells, strict=True):
            values = [entry[average][metric] for entry in found]
            assert cell.value == pytest.approx(statistics.mean(values), rel=1e-12)


def test_counts_of_patches_and_nuclei(page, runs):
    for label, patches, empty, *_, truth, predicted, _ in table_of(page, "nuclei_counts").rows:
        first, second = entries(runs, label)
        assert (patches.value, empty.value) == (
            first["patches"]["annotated"],
            first["patches"]["empty_truth"],
        )
        assert truth == Measured(first["nuclei"]["truth"], 0)
        assert predicted.value == (first["nuclei"]["predicted"] + second["nuclei"]["predicted"]) / 2


def test_scores_csv_has_every_score_of_nuclei_beside_what_it_had_before(page, runs):
    rows = [row for row in rows_of(page, "scores") if row["label"] == "hover_head" and row["seed"] == "1"]
    of_nuclei = [row for row in rows if row["convention"].startswith("instances")]
    entry = entries(runs, "hover_head")[1]
    found = {
        (row["class"], row["convention"].removeprefix("instances_"), row["metric"]): row["value"]
        for row in of_nuclei
        if row["split"] == "test"
    }
    expected = {
        **{
            ("nucleus", average, name): entry[average].get(name, ...) for average in entry for name in METRICS
        },
        **{
            (name, average, metric): of_class[average].get(metric, ...)
            for name, of_class in entry["classes"].items()
            for average in of_class
            for metric in CLASS_METRICS
        },
        ("nucleus", "instances", "nuclei_truth"): entry["nuclei"]["truth"],
        ("nucleus", "instances", "patches_both_empty"): entry["patches"]["both_empty"],
    }
    expected = {place: value for place, value in expected.items() if value is not ...}
    assert {place: float(found[place]) for place in expected} == expected
    # Whoever reads rows of pixels by convention meets no row of nuclei, and as many rows as of a run without them.
    before = {tuple(row[name] for name in ("split", "class", "convention", "metric")) for row in rows}
    before -= {tuple(row[name] for name in ("split", "class", "convention", "metric")) for row in of_nuclei}
    assert len(before) == len(rows) - len(of_nuclei)
    assert not {metric for *_, metric in before} & {"bpq", "aji", "pq", "nuclei_truth"}


def test_runs_whose_nuclei_were_not_scored_have_no_row_and_alone_no_section(page, runs, make_page, tmp_path):
    assert "pixels" not in {row[1] for row in table_of(page, "nuclei").rows}
    document = make_page(str(runs / "pixels"), tmp_path / "report")
    assert "Nuclei" not in [block.title for block in document.all() if isinstance(block, Section)]


def test_the_answer_names_heads_by_their_words(make_run, make_page, tmp_path):
    """Runs that differ by head alone are of two names, and nothing is better than `none`."""
    for head, l2, quality in (
        ("none", 0.1, 0.7),
        ("none", 0.2, 0.71),
        ("hover", 0.1, 0.85),
        ("hover", 0.2, 0.86),
    ):
        fields = {"model.head": head, "loss.l2": l2}
        make_run(tmp_path / "runs" / f"{head}{l2}", fields, quality=quality, complete=False)
    document = make_page(f"{tmp_path}/runs/*", tmp_path / "report")
    text = document.answer[0].text
    network = "DeepLabV3+ ResNet-50"
    assert text.startswith(f"{network}, hover head, L2 0.2 is better than {network}, hover head, L2 0.1 by ")
    assert "Averaged over the grid, hover head is better than no instance head by " in text
    labels = {row[0] for row in document.answer[1].rows}
    assert labels == {f"{network}{head}, L2 0.{l2}" for head in ("", ", hover head") for l2 in (1, 2)}
    # The paper has no such network: the last rows of its tables are of others.
    names = [row[0] for row in table_of((document, tmp_path), "table_4").rows]
    assert [name.partition(", L2")[0] for name in names[-2:]] == [f"{network}, hover head"] * 2
    assert not any("hover" in name for name in names[:-2])


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(tissue=[0.5]),
        lambda entry: entry["image"].update(bpq=1.5),
        lambda entry: entry["image"].update(aji="high"),
        lambda entry: entry["pooled"].update(count_r2=[]),
        lambda entry: entry["classes"].update(Unknown={}),
        lambda entry: entry["classes"].update(Dead=3),
        lambda entry: entry["nuclei"].update(truth=-1),
        lambda entry: entry.update(patches=7),
    ],
)
def test_a_damaged_entry_is_a_fault_of_the_run(runs, tmp_path, change):
    run = shutil.copytree(runs / "hover_head_seed0", tmp_path / "run")
    results = json.loads((run / "results.json").read_text())
    change(results["test"]["instances"])
    (run / "results.json").write_text(json.dumps(results))
    (found,) = find_runs(str(run), not_in=tmp_path / "out").runs
    assert found.results is None
    assert [fault.split(",")[0] for fault in found.faults] == ["results.json: test"]
