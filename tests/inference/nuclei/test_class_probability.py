"""The class of a nucleus from the probabilities of its pixels, from the band to the files."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.quantize import class_levels
from nucseg_jax.inference.nuclei.measure import COLUMNS, COLUMNS_WITH_CLASS_PROBABILITY, measure_nuclei
from nucseg_jax.inference.nuclei.nucleus_stream import NucleusStream
from nucseg_jax.inference.nuclei.outlines import outlines
from nucseg_jax.inference.output.nuclei_files import open_nuclei_files
from tests.heads.decoding.perfect_maps import level_of, touching_discs

MICRONS = 0.25
NAMES = ("one", "two", "three", "four", "five")
# A nucleus none of whose pixels has a probability of any class.
WITHOUT = 3


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(1)
    level = level_of(touching_discs(2))
    nuclei = find_nuclei(level, None, NucleusRule(), microns_per_px=MICRONS)
    probability = rng.dirichlet(np.full(6, 0.3), level.shape)[..., 1:]
    probability[nuclei == WITHOUT] = 0.0
    image = rng.integers(0, 256, (*level.shape, 3), np.uint8)
    return nuclei, level, image, probability


def measured(scene, **arguments):
    nuclei, level, image, _ = scene
    where = dict(first=1, count=int(nuclei.max()), top=0)
    return measure_nuclei(
        nuclei,
        **where,
        band=Band(level, **arguments),
        class_names=NAMES,
        image=image,
        microns_per_px=MICRONS,
    )


def test_a_nucleus_has_the_class_of_the_largest_summed_probability(scene):
    """Background left out; its share is `class_probability`."""
    nuclei, *_, probability = scene
    classes = (probability.argmax(axis=-1) + 1).astype(np.uint8)
    table = measured(scene, classes=classes, class_levels=class_levels(probability))
    assert list(table) == list(COLUMNS_WITH_CLASS_PROBABILITY)
    clear = 0
    for number in range(1, nuclei.max() + 1):
        pixels = nuclei == number
        sums = probability[pixels].sum(axis=0)
        share = sums.max() / sums.sum() if sums.any() else 0.0
        # A level is half a 255th off.
        assert table["class_probability"][number - 1] == pytest.approx(share, abs=0.02)
        if np.diff(np.sort(sums))[-1] > np.count_nonzero(pixels) / 255:
            assert table["class"][number - 1] == NAMES[sums.argmax()]
            clear += 1
    assert clear > 5
    assert table["class_probability"][WITHOUT - 1] == 0.0


def test_without_them_the_table_is_what_it_was(scene):
    *_, probability = scene
    classes = (probability.argmax(axis=-1) + 1).astype(np.uint8)
    table, other = (
        measured(scene, classes=classes, **more) for more in ({}, {"class_levels": class_levels(probability)})
    )
    assert list(table) == list(COLUMNS)
    for name in set(COLUMNS) - {"class"}:
        np.testing.assert_array_equal(other[name], table[name])


def test_they_wait_with_their_rows(scene):
    """The window of a nucleus that ends in a later band holds the probabilities of its first."""
    nuclei, level, image, probability = scene
    levels = class_levels(probability)
    stream = NucleusStream(NucleusRule(), microns_per_px=MICRONS, height=len(level))
    seen = 0
    for top, end in ((0, 40), (40, 41), (41, 100), (100, 128)):
        rows = slice(top, end)
        found = stream.push(Band(level[rows], class_levels=levels[rows]), image[rows])
        np.testing.assert_array_equal(found.band.class_levels, levels[found.top : end])
        seen += found.new
    assert seen == nuclei.max()


def test_the_files_have_their_column(scene, tmp_path):
    nuclei, *_, probability = scene
    table = measured(scene, classes=None, class_levels=class_levels(probability))
    files = [tmp_path / name for name in ("a.geojson", "a.csv", "a.parquet")]
    colors = dict.fromkeys(NAMES, (1, 2, 3))
    with open_nuclei_files("a", *files, colors, COLUMNS_WITH_CLASS_PROBABILITY) as written:
        written.add(table, outlines(nuclei, first=1, count=int(nuclei.max()), top=0))
    share = table["class_probability"]
    with files[1].open(newline="") as lines:
        np.testing.assert_allclose(
            [float(row["class_probability"]) for row in csv.DictReader(lines)], share, atol=1e-4
        )
    np.testing.assert_array_equal(pq.read_table(files[2])["class_probability"].to_numpy(), share)
    features = json.loads(files[0].read_text())["features"]
    shares = [feature["properties"]["measurements"]["class_probability"] for feature in features]
    np.testing.assert_allclose(shares, share, atol=1e-4)
