import json
import re

import numpy as np
import pytest
import shapely

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from tests.data.labels.label_files import drawn, feature, read, write_geojson

BOX = shapely.box(10, 20, 20, 30)
HOLED = shapely.box(40, 40, 60, 60).difference(shapely.box(45, 45, 50, 50))


def read_features(folder, *features):
    return read(write_geojson(folder / "a.geojson", list(features)))


def test_polygons_with_holes_and_multipolygons_are_nuclei(tmp_path):
    pieces = shapely.MultiPolygon([shapely.box(0, 0, 4, 4), shapely.box(80, 80, 84, 84)])
    annotation = read_features(tmp_path, feature(BOX), feature(HOLED), feature(pieces))
    expected = np.zeros((100, 100), np.int32)
    expected[20:30, 10:20] = 1
    expected[40:60, 40:60] = 2
    expected[45:50, 45:50] = 0
    expected[:4, :4] = expected[80:84, 80:84] = 3
    np.testing.assert_array_equal(drawn(annotation).instance, expected)
    assert annotation.notes == ("1 nucleus not in one piece",)


def test_a_collection_a_list_and_one_feature_are_read_alike(tmp_path):
    one = feature(BOX, "Tumor")
    for content in ({"type": "FeatureCollection", "features": [one]}, [one], one):
        for name, mark in (("a.geojson", b""), ("a.json", b"\xef\xbb\xbf")):
            (tmp_path / name).write_bytes(mark + json.dumps(content).encode())
            annotation = read(tmp_path / name)
            assert annotation.classes == ("Tumor",)
            assert (drawn(annotation, classes={"Tumor": 4}).label == 4).sum() == 100


def test_no_feature_is_an_empty_annotation(tmp_path):
    for content in ([], {"type": "FeatureCollection", "features": []}):
        (tmp_path / "a.geojson").write_text(json.dumps(content))
        assert not drawn(read(tmp_path / "a.geojson")).label.any()


def test_the_nucleus_of_a_cell_is_read_and_not_the_cell(tmp_path):
    nucleus = feature(BOX)["geometry"]
    cells = [
        feature(shapely.box(5, 15, 25, 35), kind="cell", nucleusGeometry=nucleus),
        feature(shapely.box(50, 50, 54, 54), kind="cell"),
    ]
    annotation = read_features(tmp_path, *cells)
    assert np.bincount(drawn(annotation).instance.ravel())[1:].tolist() == [100, 16]
    assert annotation.notes == ("1 cell without a nucleus, read by its own outline",)


@pytest.mark.parametrize(
    ("classification", "name"),
    [
        (None, None),
        ({}, None),
        ({"name": None}, None),
        ({"name": "Tumor: Positive", "colorRGB": -3670016}, "Tumor: Positive"),
        ({"names": ["Tumor", "Positive"], "color": [200, 0, 0]}, "Tumor: Positive"),
        ("Tumor", "Tumor"),
        ({"name": "Necrosis"}, "Necrosis"),
    ],
)
def test_classes_keep_the_names_that_qupath_writes(tmp_path, classification, name):
    one = feature(BOX)
    one["properties"]["classification"] = classification
    assert read_features(tmp_path, one).classes == (name,)


def test_regions_and_what_is_ignored_are_void_and_no_nuclei(tmp_path):
    features = [
        feature(shapely.box(0, 0, 50, 100), "Region*"),
        feature(shapely.box(45, 20, 60, 30), "Tumor"),
        feature(shapely.box(0, 0, 10, 10), "Ignore*"),
        feature(shapely.box(2, 2, 8, 8), "Tumor"),
        feature(shapely.box(80, 80, 90, 90), "Tumor"),
    ]
    annotation = read_features(tmp_path, *features)
    assert annotation.nucleus_count == 3
    assert annotation.has_void
    assert "1 nucleus outside of all regions, and not used" in annotation.notes
    label, instance = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.int32)
    label[20:30, 45:50] = instance[20:30, 45:50] = 1
    label[:, 50:] = label[:10, :10] = VOID_LABEL
    result = drawn(annotation, classes={"Tumor": 1})
    np.testing.assert_array_equal(result.label, label)
    np.testing.assert_array_equal(result.instance, instance)


def test_nan_measurements_of_qupath_do_not_matter(tmp_path):
    one = feature(BOX, kind="detection")
    one["properties"]["measurements"] = {"Nucleus: DAB OD mean": float("nan"), "Ratio": float("inf")}
    assert read_features(tmp_path, one).nucleus_count == 1


def test_the_object_types_of_qupath_0_2_are_known(tmp_path):
    old = {**feature(BOX), "id": "PathDetectionObject", "properties": {"isLocked": False}}
    assert read_features(tmp_path, old).nucleus_count == 1
    with pytest.raises(UserError, match="feature 1 is a 'tile'"):
        read_features(tmp_path, {**old, "id": "PathTileObject"})


def polygon(*rings) -> dict:
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": list(rings)}, "properties": {}}


RING = [[0, 0], [9, 0], [9, 9], [0, 0]]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (feature(shapely.Point(1, 1)), "feature 1 has 'Point'"),
        (feature(shapely.LineString([(1, 1), (2, 2)])), "feature 1 has 'LineString'"),
        (feature(shapely.GeometryCollection([BOX])), "feature 1 has 'GeometryCollection'"),
        (feature(BOX, kind="tile"), "feature 1 is a 'tile'"),
        (feature(BOX, kind="tmaCore"), "feature 1 is a 'tmaCore'"),
        ({**feature(BOX), "geometry": None}, "no geometry"),
        ({**feature(BOX), "type": "Polygon"}, "feature 1 is 'Polygon'"),
        ({**feature(BOX), "properties": [1]}, "the properties [1]"),
        ("text", "feature 1 is 'text'"),
        (polygon([[0, 0], [9, 0], [9, "9"], [0, 0]]), "the vertex [9, '9']"),
        (polygon([[0, 0], [9, 0], [9, True], [0, 0]]), "the vertex [9, True]"),
        (polygon([[0, 0], [9, 0], [9], [0, 0]]), "the vertex [9]"),
        (polygon([[0, 0], [9, 0], [9, float("nan")], [0, 0]]), "the vertex 9, nan"),
        (polygon([[0, 0], [9, 0], [9, 1e300], [0, 0]]), "the vertex 9, 1e+300"),
        (polygon([[0, 0], [9, 0], [9, float("inf")], [0, 0]]), "the vertex 9, nan"),
        (polygon(9), "the coordinates 9"),
        ({**polygon(), "geometry": {"type": "Polygon"}}, "the coordinates None"),
        ({**polygon(RING), "properties": {"classification": {"name": 3}}}, "the name 3"),
        ({**polygon(RING), "properties": {"classification": 3}}, "the classification 3"),
        (feature(BOX, "Necrosis*"), "feature 1 has the class 'Necrosis*'"),
        (feature(BOX, "ignore*"), "feature 1 has the class 'ignore*'"),
        (feature(shapely.box(300, 20, 310, 30), "Tumor"), "feature 1 (Tumor) lies outside the image"),
    ],
)
def test_what_is_no_outline_is_refused_by_number(tmp_path, one, reason):
    with pytest.raises(UserError) as caught:
        read_features(tmp_path, one)
    assert reason in str(caught.value)
    assert "a.geojson" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be parsed"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"type": "FeatureCollection", "features": {}}', "the JSON is 'FeatureCollection'"),
        (b'{"type": "FeatureCollection"}', "the JSON is 'FeatureCollection'"),
        (b'{"shapes": [], "imagePath": "a.png"}', "no GeoJSON"),
        (b"3", "no GeoJSON"),
        (b'[{"a": 1, "a": 2}]', "a name twice"),
        (b"\xff\xfe[\0]\0", "cannot be parsed"),
        (b"\x1f\x8b\x08\0", "cannot be parsed"),
    ],
)
def test_other_json_is_refused(tmp_path, content, reason):
    (tmp_path / "a.geojson").write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read(tmp_path / "a.geojson")


def test_rings_without_three_vertices_are_left_out_and_counted(tmp_path):
    annotation = read_features(
        tmp_path, polygon([[0, 0], [9, 9], [0, 0]]), polygon([]), polygon(), polygon(RING)
    )
    assert annotation.nucleus_count == 1
    assert annotation.notes == ("3 outlines with less than three vertices left out",)


def test_an_annotation_around_a_detection_is_no_nucleus(tmp_path):
    """QuPath exports the rectangle that was searched beside what was found in it."""
    found = feature(BOX, kind="detection")
    for searched in (feature(shapely.box(0, 0, 40, 40)), feature(BOX.buffer(1, join_style="mitre"), "Tumor")):
        for features in ([searched, found], [found, searched]):
            with pytest.raises(UserError, match=r"lies around 1 other outline"):
                read_features(tmp_path, *features)
    beside = [found, feature(shapely.box(15, 20, 30, 30)), feature(shapely.box(12, 22, 14, 24))]
    assert read_features(tmp_path, *beside).nucleus_count == 3
    named = feature(shapely.box(0, 0, 40, 40), "Region*")
    assert read_features(tmp_path, named, found).nucleus_count == 1


@pytest.mark.parametrize("name", ["Region*", "Ignore*"])
@pytest.mark.parametrize(
    ("ring", "reason"),
    [
        ([[0, 0], [9, 9], [0, 0]], "less than three vertices"),
        ([[0, 0], [9, 9], [5, 5], [0, 0]], "no area in the image"),
        ([[-9, -9], [-1, -9], [-1, -1], [-9, -9]], "no area in the image"),
        ([[300, 0], [310, 0], [310, 10], [300, 0]], "lies outside the image"),
    ],
)
def test_a_region_that_is_lost_is_refused(tmp_path, name, ring, reason):
    """Without it, everything would be annotated."""
    region = polygon(ring)
    region["properties"]["classification"] = {"name": name}
    with pytest.raises(UserError, match=f"feature 2 \\({re.escape(name)}\\) .*{reason}"):
        read_features(tmp_path, feature(BOX), region)
