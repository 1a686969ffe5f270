"""docs/formats.md names every column that the package declares for its files."""

import pathlib
import re

import pytest

from nucseg_jax.data.store.index_file import _COLUMNS as PATCHES
from nucseg_jax.evaluation import calibration, per_image
from nucseg_jax.evaluation.examples import Examples
from nucseg_jax.evaluation.instances import detection, per_nucleus
from nucseg_jax.evaluation.robustness import cell_scores
from nucseg_jax.inference.nuclei.measure import COLUMNS_WITH_CLASS_PROBABILITY

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "formats.md"
DECLARED = {
    "Nuclei of an image": tuple(COLUMNS_WITH_CLASS_PROBABILITY),
    "A data set": PATCHES,
    "per_image_{split}.csv": tuple(f"nucleus_{cell}" for cell in (*per_image.CELLS, *per_image.RATIOS)),
    "per_image_instances_{split}.csv": tuple(f"_{cell}" for cell in detection.CELLS),
    "calibration_{split}.csv": calibration._HEADER,
    "examples_{split}.npz": tuple(name for name in Examples._fields if name != "nuclei"),
    "Other commands": (*per_nucleus.COLUMNS, *cell_scores.COLUMNS),
}


@pytest.mark.parametrize("title", DECLARED)
def test_the_page_names_every_column(title):
    sections = re.split(r"^#+ (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = dict(zip(sections[1::2], sections[2::2], strict=True))[title]
    named = set(re.findall(r"`([^`]+)`", text))
    named |= {name.removeprefix("{name}_detection") for name in named}
    assert not set(DECLARED[title]) - named
