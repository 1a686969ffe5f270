"""The section Robustness: what was measured stands there with its intervals, run by run, and nothing else."""

import csv
import json
import pathlib
import re

import pytest

from nucseg_jax.evaluation.robustness.measurement import read_measurement
from nucseg_jax.reporting.page.document import Document, Figure, Gap, Picture, Section, Table, Warn
from tests.reporting.measurements_of_runs import write_robustness


@pytest.fixture(scope="module")
def folders(make_run, tmp_path_factory) -> pathlib.Path:
    """Two seeds of one configuration and one of another, which has a baseline, nuclei and other data."""
    root = tmp_path_factory.mktemp("robustness") / "runs"
    for seed in (0, 1):
        first = make_run(root / f"scratch_{seed}", {"train.seed": seed}, complete=False)
        write_robustness(first, seed=seed)
    unet = make_run(root / "unet", {"model.decoder": "unet"}, complete=False)
    write_robustness(
        unet, seed=2, quality=0.9, baseline=root / "scratch_0", other_data="data_dir/other", nuclei=True
    )
    make_run(root / "unmeasured", {"model.width": 0.5}, complete=False)
    return root


@pytest.fixture(scope="module")
def page(folders, make_page, tmp_path_factory) -> tuple[Document, pathlib.Path]:
    out = tmp_path_factory.mktemp("page") / "report"
    return make_page(str(folders / "*"), out), out


def section_of(document: Document) -> Section:
    (section,) = [each for each in document.blocks if getattr(each, "title", "") == "Robustness"]
    return section


def rows_of(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_measured_run_has_a_row_with_the_numbers_of_its_summary(page, folders):
    rows = rows_of(page[1] / "tables" / "robustness.csv")
    assert [row["seed"] for row in rows] == ["0", "0", "1"]
    names = {"clean_dice": "clean", "mean_corrupted": "mean_corrupted", "retained": "retained"}
    for row, name in zip(rows, ("unet", "scratch_0", "scratch_1"), strict=True):
        (summary,) = (folders / name).glob("robustness/*/summary.json")
        found = json.loads(summary.read_text())["corruptions"]
        for column, key in names.items():
            entry = found["run"][key]
            numbers = [row[column], row[f"interval_{column}_low"], row[f"interval_{column}_high"]]
            assert [float(each) for each in numbers] == [entry["estimate"], entry["low"], entry["high"]]
        assert row["worst_kind"] == "noise"
        assert float(row["its_dice"]) == found["run"]["noise"]["estimate"]


def test_the_curves_begin_with_the_clean_dice_and_seeds_lie_behind_their_mean(page):
    (figure,) = [block for block in section_of(page[0]).blocks if isinstance(block, Figure)]
    assert [panel.title.split(":")[0] for panel in figure.chart.panels] == ["JPEG", "noise"]
    for panel in figure.chart.panels:
        styles = [line.style for line in panel.series]
        assert styles == ["marked", "thin", "thin", "marked"]
        _, one, other, mean = (dict(line.points) for line in panel.series)
        assert list(mean) == [0, 1, 2, 3, 4, 5]
        for severity, value in mean.items():
            assert value == pytest.approx((one[severity] + other[severity]) / 2)
            assert severity == 0 or value < mean[severity - 1]
    starts = [[line.points[0] for line in panel.series] for panel in figure.chart.panels]
    assert starts[0] == starts[1]


def test_seeds_of_a_configuration_stand_together_with_their_mean_and_range(page, folders):
    unet, scratch = rows_of(page[1] / "tables" / "robustness_by_configuration.csv")
    assert (unet["seeds"], scratch["seeds"]) == ("1", "2")
    clean = []
    for seed in (0, 1):
        (summary,) = (folders / f"scratch_{seed}").glob("robustness/*/summary.json")
        clean.append(json.loads(summary.read_text())["corruptions"]["run"]["clean"]["estimate"])
    assert float(scratch["clean"]) == pytest.approx(sum(clean) / 2)
    assert [float(scratch[f"seeds_clean_{end}"]) for end in ("low", "high")] == sorted(clean)
    other = "data_dir_other"
    assert scratch[other] == "" != unet[other]


def test_what_one_run_alone_has_stands_in_tables_of_its_own(page):
    tables = page[1] / "tables"
    (compared,) = rows_of(tables / "robustness_baseline.csv")
    assert compared["baseline"].endswith("scratch_0")
    assert float(compared["interval_mce_low"]) < float(compared["mce"]) < 1
    assert float(compared["interval_difference_mean_corrupted_low"]) > 0
    (other,) = rows_of(tables / "robustness_other_data.csv")
    assert (other["other_data"], other["data_set"], other["patches"]) == ("data_dir/other", "other", "24")
    assert float(other["share_of_clean"]) < 0.8
    scores = rows_of(tables / "robustness_other_scores.csv")
    assert [row["bpq_mean_over_patches_clean"] for row in scores] == ["0.45", "", ""]
    assert not any("mpq" in name for name in scores[0])
    # jpeg falls by .03 and noise by .06 a severity: .045 x 3 in the mean, of which the error takes a fifth.
    assert float(scores[1]["calibration_error_mean_corrupted"]) == pytest.approx(0.04 + 0.2 * 0.135)


def test_pictures_are_folded_and_left_out_of_the_contents(page):
    folded = [block for block in section_of(page[0]).blocks if isinstance(block, Section)]
    assert [len(block.blocks) for block in folded] == [2, 2]
    assert all(isinstance(picture, Picture) for block in folded for picture in block.blocks)
    html = (page[1] / "report.html").read_text()
    assert html.count("<details>") == 2
    assert "Pictures of" not in re.search("<nav.*?</nav>", html, re.DOTALL)[0]
    # They are told where a page would become large.
    assert "Left out, to keep the page small" in html


def test_a_page_without_a_measurement_has_no_section_and_the_papers_page_the_command(
    folders, make_page, tmp_path
):
    document = make_page(str(folders / "unmeasured"), tmp_path / "plain")
    assert "Robustness" not in [getattr(block, "title", "") for block in document.blocks]
    document = make_page(str(folders / "unmeasured"), tmp_path / "paper", is_paper=True)
    (gap,) = section_of(document).blocks
    assert isinstance(gap, Gap)
    assert gap.commands[0].endswith(f"robustness --workdir={folders / 'unmeasured'}")


def test_measurements_that_do_not_compare_are_named(make_run, make_page, tmp_path):
    for number, changes in enumerate(
        ({}, {"kinds": ("noise",)}, {"about": {"is_seen": True, "source_digest": "t" * 64}})
    ):
        run = make_run(tmp_path / "runs" / str(number), {"train.seed": number}, complete=False)
        write_robustness(run, seed=number, **changes)
    section = section_of(make_page(str(tmp_path / "runs/*"), tmp_path / "report"))
    warnings = " ".join(block.text for block in section.blocks if isinstance(block, Warn))
    assert f"trained or selected on: {tmp_path / 'runs' / '2'} on test" in warnings
    assert "different kinds of corruption" in warnings
    assert "2 versions of the code" in warnings
    (table, *_) = [block for block in section.blocks if isinstance(block, Table)]
    assert [row[3] for row in table.rows] == ["JPEG and noise", "noise", "JPEG and noise"]


def test_other_patches_have_a_figure_of_their_own(make_run, make_page, tmp_path):
    run = make_run(tmp_path / "runs" / "one", complete=False)
    write_robustness(run)
    write_robustness(
        run,
        run / "robustness" / "validation",
        about={"split": "validation", "patches_digest": "q" * 64, "data_digest": "e" * 64},
    )
    section = section_of(make_page(str(tmp_path / "runs/*"), tmp_path / "report"))
    captions = [block.caption for block in section.blocks if isinstance(block, Figure)]
    assert len(captions) == 2
    assert "test, 24 patches" in captions[0]
    assert "validation of PanNuke eeeeeeee, 24 patches" in captions[1]


def test_a_measurement_is_read_as_it_was_written(folders):
    (folder,) = (folders / "unet").glob("robustness/*")
    found = read_measurement(folder)
    assert found.kinds == ("jpeg", "noise")
    assert found.has_baseline
    assert list(found.shifts) == ["data_dir/other"]
