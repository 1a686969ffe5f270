"""Damaged and hostile labels of users: read as an annotation of the image, or refused with the reason."""

import json
import pathlib
import re
import tempfile

import numpy as np
import pytest
import scipy.io
import shapely
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.annotation import Annotation, read_annotation
from tests.data.labels.label_files import feature, square, write_geojson, write_xml
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import JSON, altered, damaged

HEIGHT, WIDTH = 96, 130
KINDS = ("auto", "instances", "mask", "classes")
FEATURES = [
    feature(shapely.box(10, 20, 20, 30), "Tumor"),
    feature(shapely.box(40, 40, 60, 60).difference(shapely.box(45, 45, 50, 50)), kind="detection"),
    feature(shapely.MultiPolygon([shapely.box(0, 0, 4, 4), shapely.box(80, 80, 84, 84)]), "Stroma: Positive"),
    feature(
        shapely.box(70, 5, 90, 15),
        kind="cell",
        nucleusGeometry=feature(shapely.box(72, 7, 80, 12))["geometry"],
    ),
    feature(shapely.box(0, 0, 100, 90), "Region*"),
]
LAYERS = [
    {"name": "a", "regions": [square(10, 20), {"points": square(12, 22, 3), "negative": True}]},
    {"attribute": ("Lymphocyte", ""), "regions": [square(50, 60), [(70, 70), (90, 90), (90, 70), (70, 90)]]},
]


def ids() -> np.ndarray:
    number = np.zeros((HEIGHT, WIDTH), np.uint16)
    for index in range(40):
        top, left = 12 * (index // 8), 14 * (index % 8)
        number[top : top + 9, left : left + 10] = 3 * index + 1
    return number


def save_palette(path: pathlib.Path, number: np.ndarray) -> None:
    picture = Image.fromarray(number.astype(np.uint8), "P")
    picture.putpalette([(7 * index) % 256 for index in range(768)])
    picture.save(path)


def write_mat(path: pathlib.Path, number: np.ndarray, **more) -> None:
    found = np.unique(number)[1:]
    places = [np.argwhere(number == each).mean(axis=0)[::-1] for each in found]
    content = {
        "inst_map": number.astype(float),
        "inst_centroid": np.array(places),
        "inst_type": found[:, None] % 4 + 1,
    }
    scipy.io.savemat(path, content, **more)


WRITERS = {
    "a.png": lambda path, number: Image.fromarray((number > 0).astype(np.uint8)).save(path),
    "deep.png": lambda path, number: Image.fromarray(number).save(path),
    "palette.png": lambda path, number: save_palette(path, number),
    "strips.tif": lambda path, number: tifffile.imwrite(path, number, rowsperstrip=10, compression="lzw"),
    "tiles.tif": lambda path, number: tifffile.imwrite(path, number.astype(np.int32), tile=(32, 48)),
    "float.ome.tif": lambda path, number: tifffile.imwrite(
        path, number.astype(np.float32), compression="zlib"
    ),
    "a.npy": lambda path, number: np.save(path, number.astype(np.int32)),
    "a.mat": write_mat,
    "compressed.mat": lambda path, number: write_mat(path, number, do_compression=True),
    "old.mat": lambda path, number: write_mat(path, number, format="4"),
    "a.xml": lambda path, number: write_xml(path, LAYERS),
    "a.geojson": lambda path, number: write_geojson(path, FEATURES),
}


@pytest.fixture(scope="module")
def contents(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("labels")
    for name, write in WRITERS.items():
        write(folder / name, ids())
    return {name: (folder / name).read_bytes() for name in WRITERS}


def read_and_draw(path: pathlib.Path, kind: str) -> Annotation:
    """Reads labels and draws a window at another scale, as `prepare` does."""
    annotation = read_annotation(path, kind=kind, image_height=HEIGHT, image_width=WIDTH)
    result = annotation.draw(-5, 0, 70, 64, scale_y=0.7, scale_x=0.5, class_number={})
    assert result.instance.dtype == np.int32
    assert result.label.dtype == np.uint8
    assert result.instance.shape == result.label.shape == (70, 64)
    assert 0 <= result.instance.min() <= result.instance.max() <= annotation.nucleus_count
    assert set(np.unique(result.label)) <= {0, 1, 255}
    assert all(isinstance(note, str) and 0 < len(note) < 2000 for note in annotation.notes)
    return annotation


def ends_in_an_annotation(property_name: str, content: bytes, name: str, kind: str = "auto") -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(content)
        outcome = ends_well(property_name, lambda: read_and_draw(path, kind), folder=path.parent)
        if isinstance(outcome, UserError):
            assert str(path) in str(outcome)
            # An error of ours in the words of a decoder's.
            assert not re.search(
                r"AttributeError|NameError|UnboundLocalError|AssertionError", str(outcome)
            ), outcome


@pytest.mark.parametrize("name", WRITERS)
def test_the_files_are_read_before_they_are_damaged(contents, name, tmp_path):
    (tmp_path / name).write_bytes(contents[name])
    read_and_draw(tmp_path / name, "auto")


@pytest.mark.parametrize("name", WRITERS)
@fuzzed(cases=20)
@given(data=st.data())
def test_damaged_labels_are_read_or_refused(contents, name, data):
    kind = data.draw(st.sampled_from(KINDS))
    ends_in_an_annotation(f"labels, {name}", data.draw(damaged(contents[name])), name, kind)


@fuzzed(cases=80)
@given(
    content=st.one_of(altered(FEATURES), altered({"type": "FeatureCollection", "features": FEATURES}), JSON)
)
def test_hostile_geojson_is_understood_or_refused(content):
    ends_in_an_annotation("labels, GeoJSON", json.dumps(content).encode(), "a.geojson")


@fuzzed(cases=60)
@given(data=st.data())
def test_hostile_xml_is_understood_or_refused(contents, data):
    """Words and numbers are exchanged for others, hostile ones too."""
    content = contents["a.xml"]
    words = sorted({*re.findall(rb"[A-Za-z0-9.]+", content)})
    odd = [
        b"nan",
        b"inf",
        b"-1e300",
        b"1e7",
        b"",
        b"&lt;",
        b"&a;",
        b"0x1",
        b"<Region>",
        b"\xff",
        b"2",
        b"Annotation",
    ]
    for _ in range(data.draw(st.integers(1, 3))):
        old, new = data.draw(st.sampled_from(words)), data.draw(st.sampled_from([*words, *odd]))
        content = content.replace(old, new, data.draw(st.sampled_from([1, 3, -1])))
    ends_in_an_annotation("labels, ImageScope", content, "a.xml")


@fuzzed(cases=40)
@given(data=st.data())
def test_outlines_of_any_vertices_are_drawn_or_refused(data):
    """Vertices on few places, so that they repeat, lie on lines, cross and go over each other."""
    place = st.sampled_from([-3, 0, 5, 5.5, 10, 30, 96, 97, 130])
    ring = st.lists(st.tuples(place, place), max_size=9)
    rings = data.draw(st.lists(st.lists(ring, min_size=1, max_size=3), max_size=6))
    geometries = [{"type": "Polygon", "coordinates": polygon} for polygon in rings]
    features = [{"type": "Feature", "geometry": each, "properties": {}} for each in geometries]
    ends_in_an_annotation("labels, any outlines", json.dumps(features).encode(), "a.geojson")


@fuzzed(cases=40)
@given(data=st.data())
def test_hostile_variables_of_a_mat_are_understood_or_refused(data):
    number = ids()
    found = np.unique(number)[1:]
    odd = st.sampled_from(
        [
            np.zeros((0, 0)),
            np.zeros((HEIGHT, WIDTH)),
            np.full((HEIGHT, WIDTH), np.nan),
            np.full((HEIGHT, WIDTH), 2.0**60),
            number.astype(np.int8),
            number * 1j,
            number[None].astype(float),
            number.T,
            found,
            found[:, None] * -1.0,
            np.array([["text"]]),
            {"a": 1},
            np.array([1, "a", [2]], object),
            3.5,
        ]
    )
    content = {"inst_map": number.astype(float)}
    for name in data.draw(
        st.sets(st.sampled_from(["inst_map", "inst_type", "type_map", "inst_centroid", "id"]))
    ):
        content[name] = data.draw(odd)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.mat"
        scipy.io.savemat(path, content)
        ends_in_an_annotation("labels, variables of .mat", path.read_bytes(), "a.mat")


BOMBS = {
    "entities.xml": b"<!DOCTYPE a [<!ENTITY a '" + b"a" * 10_000 + b"'>"
    + b"".join(b"<!ENTITY a%d '%s'>" % (i, b"&a%d;" % (i - 1) * 50 if i else b"&a;" * 50) for i in range(9))
    + b"]><Annotations>&a8;</Annotations>",
    "deep.xml": b"<Annotations>" + b"<Annotation>" * 1_000_000,
    "regions.xml": b"<Annotations><Annotation><Regions>" + b"<Region/>" * 20_000
    + b"</Regions></Annotation></Annotations>",
    "deep.geojson": b'{"a":' * 1_000_000,
    "features.geojson": b"[" + b",".join([b'{"type":"Feature","geometry":null}'] * 100_000) + b"]",
    "equal.geojson": json.dumps([FEATURES[0]] * 3_000).encode(),
    "nested.geojson": json.dumps(
        [feature(shapely.box(1, 1, 90 - index / 200, 90)) for index in range(2_000)]
    ).encode(),
    "scribble.geojson": json.dumps(
        [feature(shapely.Polygon(np.random.default_rng(0).random((20_000, 2)) * 90))]
    ).encode(),
    "zeros.npy": b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000, 100000000), }".ljust(117) + b"\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_or_read_within_bounds(name):
    ends_in_an_annotation("labels, bombs", BOMBS[name], name)
