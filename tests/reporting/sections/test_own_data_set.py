"""The page of runs on a data set that is not PanNuke: its own names, and nothing of PanNuke or the paper's scores."""

import csv
import dataclasses
import pathlib
import re

import pytest

from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.reporting.page.document import Document, Paragraph, Picture, Section, Table
from nucseg_jax.reporting.reading.paper import PAPER_MODELS

TOY = DatasetInfo(
    "ovary",
    (NucleusClass("Tumour cell", (10, 20, 30)), NucleusClass("stroma$x$", (40, 50, 60))),
    ("P-1_a$b$", "P-2"),
    microns_per_px=0.5,
)


@pytest.fixture(scope="module")
def page(make_run, make_page, tmp_path_factory) -> tuple[Document, pathlib.Path]:
    """The report of two runs, one of them with classes."""
    root = tmp_path_factory.mktemp("toy")
    make_run(root / "runs" / "nuclei", info=TOY)
    make_run(root / "runs" / "classes", {"model.num_classes": 3}, info=TOY, complete=False)
    return make_page(str(root / "runs" / "*"), root / "report", has_pictures=True), root / "report"


def blocks(page, kind):
    return [block for block in page[0].all() if isinstance(block, kind)]


def rows_of(page, name: str) -> list[dict[str, str]]:
    path, *_ = page[1].rglob(f"{name}.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_classes_groups_and_conventions_have_the_names_of_the_data_set(page):
    tables = {table.name: table for table in blocks(page, Table)}
    assert [row[0] for row in tables["groups"].rows] == list(TOY.groups)
    assert tables["groups"].headers[0] == "group"
    assert {row["group"] for row in rows_of(page, "groups")} == set(TOY.groups)
    assert [block.title for block in blocks(page, Section)].count("Scores by group") == 1
    assert [row[1] for row in tables["classes"].rows] == ["Nucleus", "Tumour cell", "stroma$x$"]
    conventions = ("micro", "image_zero", "image_skip", "image_one", "batch8", "group")
    assert tables["conventions"].headers[1:] == conventions
    scores = rows_of(page, "scores")
    assert {row["class"] for row in scores} == {"", "nucleus", "Tumour cell", "stroma$x$"}
    assert all(row["value"] for row in scores if row["convention"] == "group")


def test_patches_are_named_by_their_images(page):
    captions = [picture.alt for picture in blocks(page, Picture)]
    assert captions
    # Of `index_of`: the test fold's image, rows 256 apart and columns 512.
    places = [re.findall(r"slide3\.png at (\d+), (\d+)", caption) for caption in captions]
    assert all(places)
    assert all(2 * int(top) == int(left) for found in places for top, left in found)


def test_neither_pannuke_nor_the_papers_scores_stand_beside_them(page):
    text = (page[1] / "report.html").read_text(encoding="utf-8")
    assert not re.search("pannuke|tissue|Breast|Neoplastic", re.sub('base64,[^"]*', "", text), re.IGNORECASE)
    (about,) = [
        block.text
        for block in blocks(page, Paragraph)
        if block.text.startswith("ovary, patches of 256 px at 0.5")
    ]
    assert "official split 1" in about
    assert "table_1" not in {table.name for table in blocks(page, Table)}
    assert not any(f"{paper.name}: paper" in text for paper in PAPER_MODELS)


def test_runs_on_two_data_sets_stand_in_two_parts(make_run, make_page, tmp_path):
    """Even where their patches are equal: names, or the scale, are not."""
    make_run(tmp_path / "runs" / "pannuke", complete=False)
    make_run(tmp_path / "runs" / "ovary", info=TOY, complete=False)
    coarse = dataclasses.replace(TOY, microns_per_px=1.0)
    make_run(tmp_path / "runs" / "coarse", {"train.seed": 1}, info=coarse, complete=False)
    document = make_page(str(tmp_path / "runs" / "*"), tmp_path / "report")
    headings = [block.title for block in document.answer if isinstance(block, Section)]
    assert headings == [f"Comparison {number}" for number in (1, 2, 3)]
