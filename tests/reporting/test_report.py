"""The page against the files it was made from, read again by other means."""

import csv
import html.parser
import json
import pathlib
import shutil
import statistics

import numpy as np
import pytest
from PIL import Image

from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.reporting.page.document import Document, Figure, Gap, Heading, Table
from nucseg_jax.reporting.reading.paper import PAPER_MODELS

IMAGENET, SCRATCH = "DeepLabV3+ ResNet-50, ImageNet", "DeepLabV3+ ResNet-50, scratch"
RUNS = {
    IMAGENET: ("imagenet_0", "imagenet_1"),
    SCRATCH: ("scratch_0", "scratch_1"),
    "U-Net ResNet-50, scratch": ("unet",),
    "DeepLabV3+ ResNet-50, 6 classes, scratch": ("classes_0", "classes_1"),
}
COLUMNS = ("loss", "accuracy", "dice", "sensitivity", "iou")


class Tables(html.parser.HTMLParser):
    """{name: rows of cells, headers first} of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._name, self._in_cell = "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "figure" and attributes.get("class") == "table":
            self._name = attributes["id"].removeprefix("table-")
            self.tables[self._name] = []
        elif tag == "tr":
            self.tables[self._name].append([])
        elif tag in ("td", "th"):
            self._in_cell = True
            self.tables[self._name][-1].append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data):
        if self._in_cell:
            self.tables[self._name][-1][-1] += data


@pytest.fixture(scope="module")
def tables(report_folder) -> dict[str, list[list[str]]]:
    return Tables((report_folder / "report.html").read_text(encoding="utf-8")).tables


def row_of(table: list[list[str]], name: str) -> list[str]:
    (row,) = (row for row in table if row[0] == name)
    return row


def shown(values: list[float], deviations: list[float] | None = None) -> str:
    if deviations is None:
        deviations = [statistics.stdev(values)] if len(values) > 1 else []
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} ± {statistics.mean(deviations):.4f}" if deviations else mean


@pytest.mark.parametrize("name", RUNS)
def test_table_4_follows_from_the_counts_of_the_patches(run_folders, tables, name):
    scores, losses = [], []
    for run in RUNS[name]:
        counts, _ = read_per_image(per_image_path(run_folders / run, "test"), PANNUKE)
        scores.append(counts.scores(PANNUKE)["batch8"])
        losses.append(json.loads((run_folders / run / "results.json").read_text())["test"]["loss"])
    expected = [shown(losses, [])]
    for metric in COLUMNS[1:]:
        deviations = [score[f"{metric}_std"] for score in scores]
        expected.append(shown([score[metric] for score in scores], deviations))
    assert row_of(tables["table_4"], name) == [name, str(len(scores)), *expected]


@pytest.mark.parametrize(
    ("table", "split", "convention"), [(2, "train", "micro"), (3, "validation", "batch8")]
)
@pytest.mark.parametrize("name", RUNS)
def test_tables_2_and_3_follow_from_the_epochs(run_folders, tables, name, table, split, convention):
    spreads = {metric: [] for metric in (*COLUMNS, "iou_two_class_mean")}
    for run in RUNS[name]:
        lines = map(json.loads, (run_folders / run / "metrics.jsonl").read_text().splitlines())
        epochs = [line[split] for line in lines if line["kind"] == "epoch"]
        assert len(epochs) == 5
        for metric, of_runs in spreads.items():
            values = [epoch["loss"] if metric == "loss" else epoch[convention][metric] for epoch in epochs]
            of_runs.append((np.mean(values), np.std(values)))
    expected = [shown(*map(list, zip(*of_runs, strict=True))) for of_runs in spreads.values()]
    assert row_of(tables[f"table_{table}"], name)[2:] == expected


@pytest.mark.parametrize(("table", "split"), [(2, "train"), (3, "validation"), (4, "test")])
def test_every_convention_follows_from_results(run_folders, tables, table, split):
    rows = tables[f"table_{table}_conventions"]
    name = ""
    for row in rows[1:]:
        name = row[0] or name
        results = [
            json.loads((run_folders / run / "results.json").read_text())[split][row[1]] for run in RUNS[name]
        ]
        assert row[2] == shown([result["dice"] for result in results])
        assert row[-1] == shown([result["iou_two_class_mean"] for result in results])
    assert len(rows) == 1 + 6 * len(RUNS)


def test_the_papers_values_stand_beside_ours_and_unknown_ones_say_so(tables):
    for paper in PAPER_MODELS:
        row = row_of(tables["table_4"], f"{paper.name}: paper")
        assert row[2:] == [f"{paper.test[metric]:.4f}" for metric in COLUMNS]
        row = row_of(tables["table_1"], paper.name)
        assert row[1] == row[2] == f"{paper.parameters:,}"
        assert row_of(tables["table_5"], f"{paper.name}: paper")[1] == f"{paper.training_min:.2f}"
    cells = [
        cell
        for number in (2, 3)
        for row in tables[f"table_{number}"]
        if row[0].endswith("paper")
        for cell in row[2:]
    ]
    assert sorted(set(cells)) == ["0.83", "0.87", "not in our copy"]
    assert cells.count("not in our copy") == len(cells) - 2
    absent = row_of(tables["table_4"], "DeepLabV3+ EfficientNet-B4: ours")
    assert set(absent[2:]) == {"not run"}


def test_every_number_of_every_table_and_figure_stands_in_the_file_it_cites(report_folder, run_folders):
    """results.json, as far as rows name split, convention and metric; every cited file exists."""
    checked = 0
    for file in sorted(report_folder.rglob("*.csv")):
        for row in csv.DictReader(file.open(newline="", encoding="utf-8")):
            if not row.get("run") or not row.get("file"):
                continue
            assert (pathlib.Path(row["run"]) / row["file"]).exists(), (file.name, row)
            if row["file"] == "results.json" and row.get("metric"):
                results = json.loads((pathlib.Path(row["run"]) / "results.json").read_text())
                entry = results[row["split"]]
                statistics_name = row.get("statistics", "moving")
                if statistics_name != "moving":
                    kind = {"batch": "batch_statistics", "re-estimated": "reestimated_statistics"}
                    entry = entry[kind[statistics_name]]
                if row["metric"] not in ("loss", "dice_loss", "l2_penalty"):
                    entry = entry[row.get("convention") or "micro"]
                assert float(row["value"]) == entry[row["metric"]], (file.name, row)
                checked += 1
    assert checked > 300


def test_intervals_hold_their_estimates_and_differences_are_those_of_the_means(report_folder, run_folders):
    micro = {}
    for name, runs in RUNS.items():
        tables = [read_per_image(per_image_path(run_folders / run, "test"), PANNUKE)[0] for run in runs]
        of_runs = [counts.scores(PANNUKE) for counts in tables]
        micro[name] = statistics.mean(scores["micro"]["dice"] for scores in of_runs)
    rows = list(csv.DictReader((report_folder / "tables" / "differences.csv").open(encoding="utf-8")))
    pairs = {
        (row["first"], row["second"]): row
        for row in rows
        if (row["convention"], row["metric"]) == ("micro", "dice")
    }
    assert len(pairs) == 6
    for (first, second), row in pairs.items():
        assert float(row["difference"]) == pytest.approx(micro[first] - micro[second], abs=1e-12)
        assert float(row["low"]) < float(row["difference"]) < float(row["high"])
    # .86 of the nuclei are found against .70: no resample of patches hides that.
    assert float(pairs[SCRATCH, IMAGENET]["high"]) < 0
    means = csv.DictReader((report_folder / "tables" / "intervals.csv").open(encoding="utf-8"))
    found = {row["configuration"]: row for row in means if not row["run"] and row["metric"] == "dice"}
    assert found.keys() == micro.keys()


def test_every_figure_is_a_picture_with_its_numbers_beside_it(report_folder):
    pictures = sorted((report_folder / "figures").glob("*.png"))
    names = {picture.stem for picture in pictures}
    assert names >= {
        "figure_6_accuracy",
        "figure_7_loss",
        "figure_8_dice",
        "figure_9_iou",
        "figure_10_sensitivity",
        "figure_11_errors",
        "figure_12_contours",
        "figure_13_dice",
        "figure_14_iou",
        "figure_15_accuracy",
        "classes",
        "tissues",
        "density",
        "calibration",
        "intervals",
        "differences",
        "batch_norm",
        "best_and_worst_1",
    }
    for picture in pictures:
        with Image.open(picture) as opened:
            assert min(opened.size) > 200
            assert np.asarray(opened.convert("L")).std() > 5
        assert len(picture.with_suffix(".csv").read_text().splitlines()) > 1
    text = (report_folder / "report.md").read_text(encoding="utf-8")
    for name in names:
        assert f"](figures/{name}.png)" in text


def test_what_is_missing_is_told_with_the_command_that_fills_it(report_folder, run_folders):
    text = (report_folder / "report.html").read_text(encoding="utf-8")
    assert "What is missing" in text
    for words in (
        "U-Net EfficientNet-B4 of the paper has no finished run here.",
        "--config=configs/unet_efficientnet_b4.py",
        "U-Net ResNet-50 has runs from scratch alone",
        "unfinished is unfinished, epoch 2 of 5",
        "No calibration_test.csv in",
        "No examples_test.npz in",
        "No inference times in timing.json of",
        "One seed only: U-Net ResNet-50, scratch.",
    ):
        assert words in text
    left_out = Tables(text).tables["left_out"]
    assert [row[0].rsplit("/", 1)[-1] for row in left_out[1:]] == ["notes", "truncated"]


def test_equal_runs_give_equal_files(report_folder, run_folders, make_page, tmp_path):
    make_page(str(run_folders / "*"), tmp_path / "report")
    for path in (path for path in report_folder.rglob("*") if path.is_file()):
        assert (tmp_path / "report" / path.relative_to(report_folder)).read_bytes() == path.read_bytes(), path


def names_in(block: Table | Figure) -> str:
    return json.dumps([block.numbers.rows, block.caption])


def test_runs_on_different_splits_are_kept_apart(run_folders, make_run, make_page, tmp_path):
    shutil.copytree(run_folders / "imagenet_0", tmp_path / "runs" / "first")
    shutil.copytree(run_folders / "scratch_0", tmp_path / "runs" / "second")
    make_run(tmp_path / "runs" / "other", {"train.lr": 0.5}, split_number=3, complete=False)
    document: Document = make_page(str(tmp_path / "runs" / "*"), tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "different data sets or splits" in text
    headings = [block.text for block in document.blocks if isinstance(block, Heading)]
    assert headings.index("Comparison 1") < headings.index("Comparison 2")
    for block in document.blocks:
        if isinstance(block, Table | Figure) and block.name.startswith("comparison_"):
            is_first = block.name.startswith("comparison_1_")
            assert ("runs/other" in names_in(block)) != is_first, block.name
            assert ("runs/first" in names_in(block) or "runs/second" in names_in(block)) == is_first, (
                block.name
            )
    gaps = [block.missing for block in document.blocks if isinstance(block, Gap)]
    assert "One configuration alone has no difference to another." in gaps


def test_unfinished_runs_alone_make_a_page_too(run_folders, make_page, tmp_path):
    document = make_page(str(run_folders / "unfinished"), tmp_path / "report")
    gaps = [block.missing for block in document.blocks if isinstance(block, Gap)]
    assert any("No run of this comparison is finished" in gap for gap in gaps)
    assert (tmp_path / "report" / "figures" / "figure_8_dice.png").exists()


def test_a_run_without_any_of_the_newer_files_makes_a_page(run_folders, make_page, tmp_path):
    run = shutil.copytree(run_folders / "unet", tmp_path / "runs" / "unet")
    for name in ("metrics.jsonl", "timing.json", "environment.json", "per_image_test.csv"):
        (run / name).unlink()
    document = make_page(str(run), tmp_path / "report")
    tables = Tables((tmp_path / "report" / "report.html").read_text()).tables
    assert row_of(tables["table_2"], "U-Net ResNet-50")[2:] == ["–"] * 6
    assert row_of(tables["table_5"], "U-Net ResNet-50")[1] == "not measured"
    gaps = " ".join(block.missing for block in document.blocks if isinstance(block, Gap))
    assert "per_image_test.csv" in gaps
