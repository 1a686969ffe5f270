"""The page against the files it was made from, read again by other means."""

import csv
import html.parser
import itertools
import json
import pathlib
import shutil
import statistics

import numpy as np
import pytest
from PIL import Image

from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.reporting.page.document import Gap, Section, Table, Warn
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


def rows_of(file: pathlib.Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_scores_csv_holds_every_score_of_every_run_and_no_other(report_folder, run_folders):
    found = {
        tuple(row[name] for name in ("run", "split", "class", "convention", "metric")): row
        for row in rows_of(report_folder / "scores.csv")
    }
    expected = {}
    for name, runs in RUNS.items():
        for run in (run_folders / run for run in runs):
            seed = str(json.loads((run / "config.json").read_text())["train"]["seed"])
            for split, entry in json.loads((run / "results.json").read_text()).items():
                for key in ("loss", "dice_loss", "l2_penalty"):
                    expected[str(run), split, "", "", key] = (name, seed, entry[key])
                for of_class, scores in [("nucleus", entry), *entry.get("classes", {}).items()]:
                    for convention in ("micro", "image_zero", "image_skip", "image_one", "batch8", "tissue"):
                        for metric, value in scores[convention].items():
                            expected[str(run), split, of_class, convention, metric] = (name, seed, value)
    assert found.keys() == expected.keys()
    for key, (name, seed, value) in expected.items():
        row = found[key]
        assert (row["configuration"], row["label"], row["seed"]) == (name, name, seed)
        assert (row["value"] == "") if value is None else (float(row["value"]) == value)


def test_tables_of_scores_follow_from_scores_csv(report_folder, tables):
    """Every cell is a mean over runs; the headers are metrics in words, conventions and losses."""
    rows = rows_of(report_folder / "scores.csv")
    keys = {"Dice": "dice", "IoU": "iou", "IoU, mean of two classes": "iou_two_class_mean"}
    keys |= {"Dice loss": "dice_loss", "L2 penalty": "l2_penalty"}
    checked = 0
    for table in ("conventions", "metrics", "losses"):
        headers, *lines = tables[table]
        for (name, *cells), (number, header) in itertools.product(lines, enumerate(headers[1:])):
            place = {
                "conventions": ("nucleus", header, "dice"),
                "metrics": ("nucleus", "micro", keys.get(header, header)),
                "losses": ("", "", keys.get(header, header)),
            }[table]
            values = [
                float(row["value"])
                for row in rows
                if (row["label"], row["split"]) == (name, "test")
                and (row["class"], row["convention"], row["metric"]) == place
            ]
            assert cells[number] == shown(values), (table, name, header)
            checked += 1
    assert checked == len(RUNS) * (6 + 7 + 3)


def test_the_papers_values_stand_beside_ours_and_unknown_ones_say_so(tables):
    for paper in PAPER_MODELS:
        row = row_of(tables["table_4"], f"{paper.name}: paper")
        assert row[2:] == [f"{paper.test[metric]:.4f}" for metric in COLUMNS]
        row = row_of(tables["table_1"], paper.name)
        assert row[2] == row[3] == f"{paper.parameters:,}"
        assert row_of(tables["times"], f"{paper.name}: paper")[1] == f"{paper.training_min:.2f}"
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


def test_intervals_hold_their_estimates_and_differences_are_those_of_the_means(report_folder, run_folders):
    micro = {}
    for name, runs in RUNS.items():
        tables = [read_per_image(per_image_path(run_folders / run, "test"), PANNUKE)[0] for run in runs]
        micro[name] = statistics.mean(counts.scores(PANNUKE)["micro"]["dice"] for counts in tables)
    is_main = {"convention": "micro", "metric": "dice"}.items()
    pairs = {
        (row["first"], row["second"]): row
        for row in rows_of(report_folder / "tables" / "differences.csv")
        if is_main <= row.items()
    }
    # Each is set against the best.
    assert pairs.keys() == {(name, IMAGENET) for name in RUNS if name != IMAGENET}
    for (first, second), row in pairs.items():
        assert float(row["difference"]) == pytest.approx(micro[first] - micro[second], abs=1e-12)
        assert float(row["low"]) < float(row["difference"]) < float(row["high"])
    # .86 of the nuclei are found against .70: no resample of patches hides that.
    assert float(pairs[SCRATCH, IMAGENET]["high"]) < 0
    means = rows_of(report_folder / "tables" / "intervals.csv")
    found = {row["configuration"]: row for row in means if not row["run"] and is_main <= row.items()}
    assert {name: float(row["value"]) for name, row in found.items()} == pytest.approx(micro, abs=1e-12)
    for row in (row for row in means if row["run"]):
        results = json.loads((pathlib.Path(row["run"]) / row["file"]).read_text())
        assert float(row["value"]) == results[row["split"]][row["convention"]][row["metric"]]
    # The first table shows the same numbers.
    answer = {row["configuration"]: row for row in rows_of(report_folder / "tables" / "answer.csv")}
    for name, row in found.items():
        columns = ("test_dice", "95_interval_low", "95_interval_high")
        assert [answer[name][column] for column in columns] == [row["value"], row["low"], row["high"]]
        to_best = pairs.get((name, IMAGENET))
        assert answer[name]["to_the_best"] == (to_best["difference"] if to_best else "")


def test_every_figure_has_its_numbers_beside_it(report_folder):
    text = (report_folder / "report.html").read_text(encoding="utf-8")
    files = {path.name for path in (report_folder / "figures").iterdir()}
    charts = {"answer", "calibration", *(f"curves_{metric}" for metric in COLUMNS)}
    assert files >= {f"{name}.{kind}" for name in charts for kind in ("svg", "csv")}
    for name in charts:
        assert len(rows_of(report_folder / "figures" / f"{name}.csv")) > 1
        assert f'id="figure-{name}"' in text
    pictures = sorted((report_folder / "figures").glob("*.png"))
    assert len(pictures) == 2
    for picture in pictures:
        assert f'id="figure-{picture.stem}"' in text
        with Image.open(picture) as opened:
            assert min(opened.size) > 200
            assert np.asarray(opened.convert("L")).std() > 5


def test_curves_are_the_epochs_of_metrics_jsonl(report_folder, run_folders):
    metrics = (run_folders / "imagenet_1" / "metrics.jsonl").read_text().splitlines()
    lines = [line for line in map(json.loads, metrics) if line["kind"] == "epoch"]
    found = [
        (row["x"], float(row["value"]))
        for row in rows_of(report_folder / "figures" / "curves_loss.csv")
        if (row["panel"], row["series"]) == (IMAGENET, "validation, imagenet_1")
    ]
    assert found == [(str(line["epoch"]), line["validation"]["loss"]) for line in lines]


def test_what_is_missing_is_told_with_the_command_that_fills_it(report_folder, run_folders):
    text = (report_folder / "report.html").read_text(encoding="utf-8")
    for words in (
        "U-Net EfficientNet-B4 of the paper has no finished run here.",
        "--config=configs/unet_efficientnet_b4.py",
        "U-Net ResNet-50 has runs from scratch alone",
        "unfinished, which is unfinished, epoch 2 of 5",
        "No calibration_test.csv in",
        "No inference times in timing.json of",
        "No run kept patches (examples_test.npz) of",
    ):
        assert words in text
    left_out = Tables(text).tables["left_out"]
    assert [row[0].rsplit("/", 1)[-1] for row in left_out[1:]] == ["notes", "truncated"]


@pytest.fixture(scope="module")
def own_runs(make_run, tmp_path_factory) -> pathlib.Path:
    """Narrow networks, which the paper does not have."""
    root = tmp_path_factory.mktemp("own")
    make_run(root / "a", {"model.width": 0.5}, complete=False)
    make_run(root / "b", {"model.width": 0.5, "train.lr": 0.5}, finished=False)
    return root


@pytest.mark.parametrize("is_paper", [False, True])
def test_gaps_and_the_papers_tables_belong_to_the_paper(own_runs, make_page, tmp_path, is_paper):
    document = make_page(f"{own_runs}/*", tmp_path / "report", is_paper=is_paper)
    gaps = [block for block in document.all() if isinstance(block, Gap)]
    tables = {block.name for block in document.all() if isinstance(block, Table)}
    assert bool(gaps) == ("table_4" in tables) == ("table_1" in tables) == is_paper
    assert {"answer", "runs", "metrics", "times"} <= tables
    # An unfinished run is named whoever reads.
    text = (tmp_path / "report" / "report.html").read_text()
    assert "unfinished, epoch 2 of 5" in text
    assert ("paper" in text.replace("var(--paper", "").replace("--paper:", "").lower()) == is_paper


def test_pictures_are_drawn_on_demand_alone(run_folders, make_page, tmp_path):
    make_page(str(run_folders / "scratch_*"), tmp_path / "report")
    assert "<img" not in (tmp_path / "report" / "report.html").read_text()
    assert not list((tmp_path / "report").rglob("*.png"))


def test_equal_runs_give_equal_files(report_folder, run_folders, make_page, tmp_path):
    make_page(str(run_folders / "*"), tmp_path / "report", has_pictures=True)
    for path in (path for path in report_folder.rglob("*") if path.is_file()):
        assert (tmp_path / "report" / path.relative_to(report_folder)).read_bytes() == path.read_bytes(), path


def test_runs_on_different_splits_are_kept_apart(run_folders, make_run, make_page, tmp_path):
    shutil.copytree(run_folders / "imagenet_0", tmp_path / "runs" / "first")
    shutil.copytree(run_folders / "scratch_0", tmp_path / "runs" / "second")
    make_run(tmp_path / "runs" / "other", {"train.lr": 0.5}, split_number=3, complete=False)
    document = make_page(str(tmp_path / "runs" / "*"), tmp_path / "report")
    warnings = [block.text for block in document.all() if isinstance(block, Warn)]
    assert any("different data sets or splits" in text for text in warnings)
    headings = [block.title for block in document.all() if isinstance(block, Section)]
    assert headings[:3] == ["Comparison 1", "Comparison 2", "Runs"]
    for number, other in ((1, "learning rate 0.5"), (2, "ImageNet")):
        files = sorted((tmp_path / "report").glob(f"*/comparison_{number}_*.csv"))
        assert len(files) > 5
        # The paper's own table names its weights.
        assert not [file for file in files if other in file.read_text()]
    text = (tmp_path / "report" / "report.html").read_text()
    assert "there is no other to compare it with" in text


def test_unfinished_runs_alone_make_a_page_too(run_folders, make_page, tmp_path):
    document = make_page(str(run_folders / "unfinished"), tmp_path / "report")
    assert document.answer[0].text.startswith("No run is finished: there is no test score yet.")
    assert (tmp_path / "report" / "figures" / "curves_dice.svg").exists()


def test_a_run_without_any_of_the_newer_files_makes_a_page(run_folders, make_page, tmp_path):
    run = shutil.copytree(run_folders / "unet", tmp_path / "runs" / "unet")
    for name in ("metrics.jsonl", "timing.json", "environment.json", "per_image_test.csv"):
        (run / name).unlink()
    document = make_page(str(run), tmp_path / "report")
    tables = Tables((tmp_path / "report" / "report.html").read_text()).tables
    assert row_of(tables["table_2"], "U-Net ResNet-50")[2:] == ["–"] * 6
    assert row_of(tables["times"], "U-Net ResNet-50")[1] == "–"
    dice = json.loads((run / "results.json").read_text())["test"]["micro"]["dice"]
    assert row_of(tables["answer"], "U-Net ResNet-50")[1:4] == [f"{dice:.4f}", "–", "1"]
    assert "scores have no intervals" in document.answer[0].text


def test_the_page_is_small(report_folder):
    """Of eight finished runs, without pictures."""
    text = (report_folder / "report.html").read_text()
    pictures = sum(len(part) for part in text.split('"') if part.startswith("data:image/jpeg"))
    assert len(text) - pictures < 500_000
