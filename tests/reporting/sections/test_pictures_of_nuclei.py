"""The sheet of nuclei on the page: that of the patches a run kept, beside the sheet of masks."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.example_nuclei import ExampleNuclei
from nucseg_jax.evaluation.examples import examples_path, read_examples, write_examples
from nucseg_jax.evaluation.nuclei_overlays import class_outlines, error_outlines
from nucseg_jax.reporting.page.document import Picture, Warn
from nucseg_jax.reporting.reading.find import find_runs


@pytest.fixture(scope="module")
def run(make_run, tmp_path_factory):
    """Its masks are its nuclei: one annotated and one predicted a patch, of class 2 and 3."""
    run = make_run(tmp_path_factory.mktemp("pictures") / "run")
    path = examples_path(run, "test")
    examples = read_examples(path, PANNUKE)
    masks = examples.truth, examples.prediction
    classes = ((mask * number).astype(np.uint8) for mask, number in zip(masks, (2, 3), strict=True))
    nuclei = ExampleNuclei(*(mask.astype(np.int32) for mask in masks), *classes)
    write_examples(path, examples._replace(nuclei=nuclei))
    return run


def pictures(document):
    return {block.name: block for block in document.all() if isinstance(block, Picture)}


def test_the_page_has_the_outlines_and_errors_of_the_patches_it_names(run, make_page, tmp_path):
    found = pictures(make_page(str(run), tmp_path / "report", has_pictures=True))
    assert list(found) == ["patches_1", "nuclei_1"]
    assert "Merged:" in found["nuclei_1"].caption
    with Image.open(io.BytesIO(found["nuclei_1"].png)) as opened:
        sheet = np.asarray(opened)
    examples = read_examples(examples_path(run, "test"), PANNUKE)
    nuclei = examples.nuclei
    shown = [*examples.of("spread")[:4], *examples.of("best")[:2], *examples.of("worst")[:2]]
    tops = []
    for number in shown:
        image = examples.image[number]
        pictures_of_row = (
            class_outlines(image, nuclei.truth[number], nuclei.truth_class[number], PANNUKE),
            class_outlines(image, nuclei.prediction[number], nuclei.prediction_class[number], PANNUKE),
            error_outlines(image, nuclei.truth[number], nuclei.prediction[number])[0],
        )
        row = np.concatenate(
            [np.pad(picture, ((0, 0), (0, 8), (0, 0))) for picture in pictures_of_row], axis=1
        )
        gap = np.concatenate([np.arange(256) + 264 * column for column in range(3)])
        # The first column is the image itself.
        left = 20 + 264
        # One line of pixels first: comparing whole pictures everywhere takes a minute.
        middle = np.flatnonzero((sheet[:, left + gap] == row[128, gap]).all(axis=(1, 2))) - 128
        matches = [
            top for top in middle.tolist() if np.array_equal(sheet[top : top + 256, left + gap], row[:, gap])
        ]
        assert matches
        tops.append(matches)
    # One row each, below one another; a patch may come twice.
    assert len({top for matches in tops for top in matches}) == len(shown)


def test_damaged_nuclei_are_a_warning_on_the_page(run, make_page, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    path = examples_path(copy, "test")
    examples = read_examples(path, PANNUKE)
    write_examples(
        path, examples._replace(nuclei=examples.nuclei._replace(truth_class=examples.nuclei.truth_class + 9))
    )
    document = make_page(str(copy), tmp_path / "report", has_pictures=True)
    assert pictures(document) == {}
    assert any("cannot be read" in block.text for block in document.all() if isinstance(block, Warn))
    assert find_runs(str(copy), not_in=tmp_path).runs[0].results is not None
