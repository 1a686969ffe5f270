"""The first screen: labels, order, sentence, differences and main effects."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from nucseg_jax.cli.report import best_rows
from nucseg_jax.core.errors import UserError
from nucseg_jax.reporting.page.document import Figure, Paragraph, Table
from nucseg_jax.reporting.reading.configuration import make_cohorts
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.reading.labels import common_label
from nucseg_jax.reporting.sections.comparison import compare, grid
from nucseg_jax.reporting.sections.part import Part

QUALITY = {
    ("unet", 0.02): 0.7,
    ("unet", 0.5): 0.72,
    ("deeplabv3plus", 0.02): 0.84,
    ("deeplabv3plus", 0.5): 0.86,
}


@pytest.fixture(scope="module")
def sweep(make_run, tmp_path_factory):
    """A grid of decoder and L2, two seeds each; dropout follows from the decoder, and the first row stands last."""
    root = tmp_path_factory.mktemp("sweep") / "runs"
    index = 8
    for (decoder, l2), quality in QUALITY.items():
        for seed in (0, 1):
            index -= 1
            dropout = 0.7 if decoder == "unet" else 0.25
            fields = {"model.decoder": decoder, "loss.l2": l2, "train.seed": seed, "model.dropout": dropout}
            label = f"{decoder}_l2_{l2}_seed{seed}"
            make_run(root / label, fields, quality=quality, complete=False, label=label, index=index)
    return root


def first_screen(document):
    paragraph, table, figure, *others = document.answer
    assert isinstance(paragraph, Paragraph)
    assert isinstance(table, Table)
    assert isinstance(figure, Figure)
    return paragraph.text, table, figure, others


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_page_begins_with_the_answer(sweep, make_page, tmp_path):
    document = make_page(f"{sweep}/*", tmp_path / "report")
    text, table, figure, (effects, _) = first_screen(document)
    best, second = "deeplabv3plus_l2_0.5", "deeplabv3plus_l2_0.02"
    assert text.startswith(best)
    assert [row[0] for row in table.rows] == [best, second, "unet_l2_0.5", "unet_l2_0.02"]
    assert [row[3] for row in table.rows] == [2] * 4
    assert [row.name for row in figure.chart.rows] == [row[0] for row in table.rows]
    # The best is the reference, and has no difference to itself.
    assert table.references == {0}
    assert table.rows[0][4:] == (None, None)
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.index(text[:30]) < page.index("<table") < page.index("<svg") < page.index("<nav")
    assert effects.name == "effects"


def test_main_effects_are_differences_of_means_over_the_other_field(sweep, make_page, tmp_path):
    document = make_page(f"{sweep}/*", tmp_path / "report")
    dice = {row[0]: row[1].value for row in document.answer[1].rows}
    rows = {row["value"]: row for row in rows_of(tmp_path / "report" / "tables" / "effects.csv")}
    # Dropout follows from the decoder, and is no field of its own.
    assert {row["field"] for row in rows.values()} == {"loss.l2", "model.decoder (with model.dropout)"}
    means = {
        value: np.mean([dice[label] for label in dice if part in label])
        for value, part in (
            ("unet", "unet"),
            ("deeplabv3plus", "deeplab"),
            ("L2 0.02", "l2_0.02"),
            ("L2 0.5", "l2_0.5"),
        )
    }
    assert {value: float(row["test_dice"]) for value, row in rows.items()} == pytest.approx(means, rel=1e-12)
    row = rows["unet"]
    assert float(row["difference"]) == pytest.approx(means["unet"] - means["deeplabv3plus"], rel=1e-12)
    low, high = (float(row[f"interval_of_the_difference_{limit}"]) for limit in ("low", "high"))
    assert low < float(row["difference"]) < high < 0
    assert rows["deeplabv3plus"]["difference"] == ""
    (sentence,) = re.findall(
        r"Averaged over the grid, deeplabv3plus is better than unet by (\S+)", document.answer[0].text
    )
    assert float(sentence) == pytest.approx(means["deeplabv3plus"] - means["unet"], abs=5e-4)


def test_an_incomplete_grid_has_no_main_effects(sweep, make_page, tmp_path):
    document = make_page(f"{sweep}/unet*,{sweep}/deeplabv3plus_l2_0.5*", tmp_path / "report")
    assert not [block for block in document.all() if isinstance(block, Table) and block.name == "effects"]


def test_configurations_can_be_sorted_and_set_against_a_baseline(sweep, make_page, tmp_path):
    asked = dict(sort="score", baseline="unet_l2_0.5")
    document = make_page(f"{sweep}/*", tmp_path / "report", **asked)
    text, table, *_ = first_screen(document)
    dice = [row[1].value for row in table.rows]
    assert dice == sorted(dice, reverse=True)
    assert text.startswith("Compared with unet_l2_0.5, whose test Dice is 0.")
    assert text.index("better: deeplabv3plus_l2_0.5 (+0.") < text.index("deeplabv3plus_l2_0.02 (+")
    assert table.headers[4] == "to the baseline"
    place = [row[0] for row in table.rows].index("unet_l2_0.5")
    assert table.references == {place}
    for row, value in zip(table.rows, dice, strict=True):
        if row[0] != "unet_l2_0.5":
            assert row[4].value == pytest.approx(value - dice[place], abs=1e-12)
    with pytest.raises(UserError, match=r"has the label 'unet_l2_0\.6'; did you mean unet_l2_0\.5"):
        make_page(f"{sweep}/*", tmp_path / "other", baseline="unet_l2_0.6")
    assert not (tmp_path / "other").exists()


def test_a_lead_that_includes_0_is_said_to_be_open(make_run, make_page, tmp_path):
    for number, quality in enumerate((0.75, 0.7501)):
        fields = {"loss.l2": 0.1 * (number + 1), "train.seed": number}
        make_run(
            tmp_path / "runs" / str(number), fields, quality=quality, complete=False, label=f"row{number}"
        )
    text, table, *_ = first_screen(make_page(f"{tmp_path}/runs/*", tmp_path / "report"))
    lead = table.rows[1 - max(table.references)][5]
    assert lead.low < 0 < lead.high
    assert "the interval includes 0. These patches do not tell whether it is better than row" in text
    assert "is better than row" not in text.replace("whether it is better than row", "")
    assert "There is one seed only: how far another seed would move a score is not known." in text


def test_equal_runs_are_not_told_apart(make_run, make_page, tmp_path):
    """Their difference is 0 in every resample."""
    for number in range(2):
        make_run(tmp_path / "runs" / str(number), {"loss.l2": 0.1 * (number + 1)}, complete=False)
    text, *_ = first_screen(make_page(f"{tmp_path}/runs/*", tmp_path / "report"))
    assert "is 0.0000 [0.0000, 0.0000]: the interval includes 0" in text


def test_unfinished_configurations_are_named_in_the_answer(sweep, make_run, make_page, tmp_path):
    for name in ("unet_l2_0.5_seed0", "unet_l2_0.02_seed0"):
        shutil.copytree(sweep / name, tmp_path / "runs" / name)
    make_run(tmp_path / "runs" / "slow", {"loss.l2": 0.3}, finished=False, label="slow")
    text, table, *_ = first_screen(make_page(f"{tmp_path}/runs/*", tmp_path / "report"))
    assert text.endswith("Without a finished run: slow.")
    (row,) = (row for row in table.rows if row[0] == "slow")
    assert row[3] == "0 of 1"


def test_labels_leave_out_what_tells_seeds_apart(sweep, run_folders, tmp_path):
    assert common_label(["a_seed0_b", "a_seed1_b"]) == "a_b"
    assert common_label(["a", "b"]) == common_label(["", ""]) == common_label(["a_1", ""]) == ""
    cohorts = make_cohorts(find_runs(f"{sweep}/*,{run_folders}/scratch_*", not_in=tmp_path).runs)
    labels = [each.label for cohort in cohorts for each in cohort.configurations]
    # Of no sweep: the name.
    assert labels[-1].startswith("DeepLabV3+ ResNet-50, ")
    assert sorted(labels[:-1]) == sorted(f"{decoder}_l2_{l2}" for decoder, l2 in QUALITY)


def test_rows_of_earlier_versions_are_sorted_by_label_and_equal_labels_are_told_apart(make_run, tmp_path):
    for number in (0, 1, 9, 10):
        fields = {"loss.l2": 0.1 * (number + 1)}
        make_run(tmp_path / "runs" / str(number), fields, complete=False, label=f"row{max(number, 1)}")
    (cohort,) = make_cohorts(find_runs(f"{tmp_path}/runs/*", not_in=tmp_path / "out").runs)
    labels = [each.label for each in cohort.configurations]
    assert labels[2:] == ["row9", "row10"]
    assert sorted(labels[:2]) == [f"row1, DeepLabV3+ ResNet-50, L2 0.{number}" for number in (1, 2)]


@pytest.mark.parametrize(
    ("rows", "fields"),
    [
        ([{"a": 1}, {"a": 2}], []),
        ([{"a": a, "b": b} for a in (1, 2) for b in (1, 2, 3)], ["a", "b"]),
        ([{"a": a, "b": b} for a in (1, 2) for b in (1, 2, 3)][:-1], []),
        ([{"a": a, "b": b, "c": c} for a in (1, 2) for b in (1, 2) for c in (1, 2)], ["a", "b", "c"]),
        # Half of a grid of three is one of two.
        ([{"a": a, "b": b, "c": a ^ b} for a in (0, 1) for b in (0, 1)], ["a", "b"]),
        # The paper's models: encoder and decoder, from which dropout and L2 follow.
        (
            [
                {"encoder": "r", "decoder": "u", "dropout": 0.7, "l2": 0.01},
                {"encoder": "b", "decoder": "u", "dropout": 0.5, "l2": 0.01},
                {"encoder": "r", "decoder": "d", "dropout": 0.7, "l2": 0.02},
                {"encoder": "b", "decoder": "d", "dropout": 0.25, "l2": 0.01},
            ],
            ["encoder", "decoder"],
        ),
        ([{"a": a, "b": b, "same": a} for a in (1, 2) for b in (True, None)], ["a", "b"]),
        ([{}, {}], []),
        ([], []),
    ],
)
def test_a_grid_has_every_combination_once(rows, fields):
    found = grid(rows)
    assert [factor.fields[0] for factor in found] == fields
    for factor in found:
        assert sorted(at for level in factor.levels.values() for at in level) == list(range(len(rows)))


def test_a_config_with_very_many_fields_is_looked_through_in_no_time():
    rows = [{f"field{number}": (row >> (number % 5)) & 1 for number in range(500)} for row in range(64)]
    assert grid(rows) == ()


def test_every_value_of_a_grid_is_named_apart():
    rows = [{"a": a, "b": b} for a in ("1", 1, None, "") for b in (1, 2)]
    assert [len(factor.levels) for factor in grid(rows)] == [4, 2]


def test_a_configuration_without_a_defined_dice_stands_last(run_folders, make_page, tmp_path):
    """Where neither truth nor prediction has a nucleus in any test patch."""
    for name in ("scratch_0", "imagenet_0"):
        shutil.copytree(run_folders / name, tmp_path / "runs" / name)
    empty = tmp_path / "runs" / "scratch_0"
    lines = (empty / "per_image_test.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    blank = [",".join([*each[:4], "0", "0", "0", "65536", "", "", each[-1]]) for each in cells]
    (empty / "per_image_test.csv").write_text("\n".join([lines[0], *blank]) + "\n")
    results = json.loads((empty / "results.json").read_text())
    results["test"]["micro"] = dict.fromkeys(results["test"]["micro"])
    (empty / "results.json").write_text(json.dumps(results))
    document = make_page(f"{tmp_path}/runs/*", tmp_path / "report", sort="score")
    text, table, *_ = first_screen(document)
    assert "ImageNet" in table.rows[0][0]
    assert table.rows[1][1].value is None
    assert "nan" not in (tmp_path / "report" / "report.html").read_text().lower().replace("finance", "")
    assert text.startswith(table.rows[0][0])


def test_the_command_prints_the_best_three_within_80_columns(sweep, make_run, tmp_path):
    """Whatever a label holds."""
    shutil.copytree(sweep, tmp_path / "runs")
    label = "a\x1b[31m" + "long" * 40 + "_end"
    make_run(tmp_path / "runs" / "long", {"loss.l2": 0.3}, quality=0.95, complete=False, label=label)
    (cohort,) = make_cohorts(find_runs(f"{tmp_path}/runs/*", not_in=tmp_path / "out").runs)
    lines = best_rows(Part(cohort, cohort.configurations, compare(cohort.configurations)))
    assert [line.split()[:2] for line in lines] == [["best", "1"], ["best", "2"], ["best", "3"]]
    assert max(map(len, lines)) == 80
    assert "\x1b" not in lines[0]
    assert "_end  0." in lines[0]
    assert "deeplabv3plus_l2_0.5 " in lines[1]
    assert re.search(r"  0\.\d{4}  \[0\.\d{4}, 0\.\d{4}\]$", lines[1])
