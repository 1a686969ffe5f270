"""The page of runs on a data set that is not PanNuke: its own names, and nothing of PanNuke or the paper's scores."""

import csv
import dataclasses
import pathlib
import re

import pytest

from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.reporting.page.document import Document, Figure, Heading, Paragraph, Table
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
    return make_page(str(root / "runs" / "*"), root / "report"), root / "report"


def blocks(page, kind):
    return [block for block in page[0].blocks if isinstance(block, kind)]


def rows_of(page, name: str) -> list[dict[str, str]]:
    path, *_ = page[1].rglob(f"{name}.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_classes_groups_and_conventions_have_the_names_of_the_data_set(page):
    tables = {table.name: table for table in blocks(page, Table)}
    assert [row[0] for row in tables["groups"].rows] == list(TOY.groups)
    assert tables["groups"].headers[0] == "group"
    assert {row["group"] for row in rows_of(page, "groups")} == set(TOY.groups)
    assert [row[1] for row in tables["classes"].rows] == ["Nucleus", "Tumour cell", "stroma$x$"]
    assert {row["class"] for row in rows_of(page, "classes")} == {"nucleus", "tumour_cell", "stroma_x"}
    conventions = [row[1] for row in tables["table_4_conventions"].rows][:6]
    assert conventions == ["micro", "image_zero", "image_skip", "image_one", "batch8", "group"]
    assert all(row["value"] for row in rows_of(page, "table_4_conventions") if row["convention"] == "group")


def test_patches_are_named_by_their_images(page):
    captions = [figure.alt for figure in blocks(page, Figure) if figure.is_photograph]
    assert captions
    # Of `index_of`: the test fold's image, rows 256 apart and columns 512.
    places = [re.findall(r"slide3\.png at (\d+), (\d+)", caption) for caption in captions]
    assert all(places)
    assert all(2 * int(top) == int(left) for found in places for top, left in found)
    (row, *_) = rows_of(page, "best_and_worst_1")
    assert (row["image"], int(row["top"])) == ("slide3.png", 256 * int(row["row"]))


def test_neither_pannuke_nor_the_papers_scores_stand_beside_them(page):
    text = (page[1] / "report.md").read_text(encoding="utf-8")
    assert not re.search("pannuke|tissue(?! itself)|Breast|Neoplastic", text, re.IGNORECASE)
    (about,) = [
        block.text
        for block in blocks(page, Paragraph)
        if block.text.startswith("ovary, patches of 256 px at 0.5")
    ]
    assert "official split 1" in about
    first_cells = {row[0] for table in blocks(page, Table) if table.name != "table_1" for row in table.rows}
    assert not first_cells & {f"{paper.name}: paper" for paper in PAPER_MODELS}


def test_runs_on_two_data_sets_stand_in_two_parts(make_run, make_page, tmp_path):
    """Even where their patches are equal: names, or the scale, are not."""
    make_run(tmp_path / "runs" / "pannuke", complete=False)
    make_run(tmp_path / "runs" / "ovary", info=TOY, complete=False)
    coarse = dataclasses.replace(TOY, microns_per_px=1.0)
    make_run(tmp_path / "runs" / "coarse", {"train.seed": 1}, info=coarse, complete=False)
    document = make_page(str(tmp_path / "runs" / "*"), tmp_path / "report")
    headings = [block.text for block in document.blocks if isinstance(block, Heading)]
    assert [text for text in headings if text.startswith("Comparison")] == [
        f"Comparison {n}" for n in (1, 2, 3)
    ]
