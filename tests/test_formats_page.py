"""The pages name every column and file that the package declares, and no column that it does not write."""

import pathlib
import re

import pytest

from nucseg_jax.data.store.index_file import _COLUMNS as PATCHES
from nucseg_jax.evaluation import calibration, per_image
from nucseg_jax.evaluation.examples import Examples
from nucseg_jax.evaluation.instances import detection, per_nucleus
from nucseg_jax.evaluation.robustness import cell_scores
from nucseg_jax.inference.formats.table import FORMATS
from nucseg_jax.inference.nuclei.measure import COLUMNS_WITH_CLASS_PROBABILITY
from nucseg_jax.inference.output.output_files import OutputFiles
from nucseg_jax.run_folder.folder import RunFolder

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "formats.md").read_text(encoding="utf-8")
# By the title of a section: the columns of its first table, in any order.
TABLES = {
    "Nuclei of an image": tuple(COLUMNS_WITH_CLASS_PROBABILITY),
    "A data set": PATCHES,
    "calibration_{split}.csv": calibration._HEADER,
    "examples_{split}.npz": tuple(name for name in Examples._fields if name != "nuclei"),
    "Other commands": per_nucleus.COLUMNS,
}
# Columns that share their table with others.
NAMED = {
    "per_image_{split}.csv": tuple(f"nucleus_{cell}" for cell in (*per_image.CELLS, *per_image.RATIOS)),
    "per_image_instances_{split}.csv": tuple(f"_{cell}" for cell in detection.CELLS),
    "Other commands": cell_scores.COLUMNS,
}


def names_in(text: str) -> set[str]:
    """Returns what is set as code within sentences and tables."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", text))


def section(title: str) -> str:
    """Returns the text below a heading of the page, up to the next heading."""
    parts = re.split(r"^#+ (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def columns_of_first_table(text: str) -> set[str]:
    """Returns the names in the first cells of the first table."""
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()[2:]
    return set().union(*(names_in(row.split("|")[1]) for row in rows))


@pytest.mark.parametrize("title", TABLES)
def test_a_table_has_the_columns_that_are_written(title):
    assert columns_of_first_table(section(title)) == set(TABLES[title])


@pytest.mark.parametrize("title", NAMED)
def test_a_section_names_every_column(title):
    named = names_in(section(title))
    named |= {name.removeprefix("{name}_detection") for name in named}
    assert not set(NAMED[title]) - named


def test_the_page_on_training_names_every_file_of_a_run_folder():
    folder = RunFolder(pathlib.Path("run"))
    files = {
        value.name
        for name, member in vars(RunFolder).items()
        if isinstance(member, property) and isinstance(value := getattr(folder, name), pathlib.Path)
    }
    assert len(files) > 10
    named = {name.rstrip("/") for name in names_in((DOCS / "training.md").read_text(encoding="utf-8"))}
    assert not files - named


def test_the_pages_name_every_file_of_predict_and_formats():
    outputs = OutputFiles(pathlib.Path("out"), "STEM")
    paths = [
        getattr(outputs, name) for name, member in vars(OutputFiles).items() if isinstance(member, property)
    ]
    endings = {path.name.removeprefix("STEM") for path in paths if path.name.startswith("STEM")}
    assert len(endings) > 5
    endings |= {f".{each.ending}" for each in FORMATS.values()}
    named = names_in(PAGE + (DOCS / "predict.md").read_text(encoding="utf-8"))
    assert not endings - {name.removeprefix("{stem}") for name in named}
