import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.labels.nuclei import Annotation
from nucseg_jax.data.labels.outline_shapes import OutlineShapes
from nucseg_jax.data.labels.raster import RasterShapes
from tests.data.labels.label_files import drawn, feature, label_map, read, write_geojson, write_outlines


def discs(centres: np.ndarray, diameters: np.ndarray, side: int) -> np.ndarray:
    """int32 [side, side]: a pixel belongs to the disc that holds its centre."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    number = np.zeros((side, side), np.int32)
    for index, ((centre_y, centre_x), diameter) in enumerate(zip(centres, diameters, strict=True), start=1):
        number[(y - centre_y) ** 2 + (x - centre_x) ** 2 < diameter**2 / 4] = index
    return number


@pytest.fixture(scope="module")
def grid() -> tuple[np.ndarray, np.ndarray]:
    """Centres and diameters of 16 discs of 20 to 60 px in 320 x 320 px, at no round numbers."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:4, 0:4] * 80.0 + 40
    return np.stack([y.ravel(), x.ravel()], 1) + rng.uniform(-8, 8, (16, 2)), np.linspace(20, 60, 16)


def both(number: np.ndarray, folder) -> dict[str, Annotation]:
    """The same nuclei as a raster and as outlines."""
    np.save(folder / "a.npy", number)
    height, width = number.shape
    return {
        "raster": read(folder / "a.npy", height, width, "instances"),
        "outlines": read(write_outlines(folder / "a.geojson", number), height, width),
    }


@pytest.mark.parametrize("seed", range(8))
def test_outlines_of_predict_give_the_same_pixels(tmp_path, seed):
    number = label_map(seed, values=2 + seed % 4)
    annotation = read(write_outlines(tmp_path / "a.geojson", number), 60, 60)
    np.testing.assert_array_equal(drawn(annotation, 60, 60).instance, number)
    assert annotation.notes == ()


def test_outlines_of_real_nuclei_give_the_same_pixels(shared, tmp_path):
    from skimage.measure import label

    with np.load(shared / "data" / "monuseg_folds.npz") as data:
        instances = data["instance"][[0, 100, 269]]
    for instance in instances:
        number = label(instance, connectivity=1, background=0).astype(np.int32)
        annotation = read(write_outlines(tmp_path / "a.geojson", number), 256, 256)
        np.testing.assert_array_equal(drawn(annotation, 256, 256).instance, number)


@pytest.fixture(scope="module")
def annotations(tmp_path_factory) -> dict[str, Annotation]:
    """The same nuclei as a raster, as outlines, and as outlines of which a region is annotated."""
    folder = tmp_path_factory.mktemp("labels")
    found = both(label_map(0), folder)
    features = json.loads((folder / "a.geojson").read_text())["features"]
    features.append(feature(shapely.box(5.5, 7.3, 40, 50), "Region*"))
    return {**found, "regions": read(write_geojson(folder / "b.geojson", features), 60, 60)}


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(
    scale=st.tuples(st.floats(0.2, 3), st.floats(0.2, 3)),
    window=st.tuples(*[st.integers(-9, 60), st.integers(-9, 60), st.integers(0, 70), st.integers(0, 70)]),
)
def test_a_window_is_the_crop_of_everything(annotations, scale, window):
    top, left, height, width = window
    for annotation in annotations.values():
        chosen = {"scale_y": scale[0], "scale_x": scale[1], "class_number": {}}
        everything = annotation.draw(-9, -9, 140, 140, **chosen)
        part = annotation.draw(top, left, height, width, **chosen)
        rows, columns = slice(top + 9, top + 9 + height), slice(left + 9, left + 9 + width)
        np.testing.assert_array_equal(part.instance, everything.instance[rows, columns])
        np.testing.assert_array_equal(part.label, everything.label[rows, columns])
        assert part.instance.dtype == np.int32
        assert part.label.dtype == np.uint8


@pytest.mark.parametrize("scale", [0.5, 1 / 3, 0.7, 1.0, 1.6, 2.0])
def test_outlines_along_pixel_edges_and_the_raster_are_drawn_alike(tmp_path, scale):
    """Centres that lie on edges, as at scale 0.5, belong to the pixel on the right and below in both."""
    annotations = both(label_map(9), tmp_path)
    side = int(60 * scale)
    first, second = (
        each.draw(0, 0, side, side, scale_y=scale, scale_x=scale, class_number={})
        for each in annotations.values()
    )
    np.testing.assert_array_equal(first.instance, second.instance)


@pytest.mark.parametrize("kind", ["raster", "outlines"])
@pytest.mark.parametrize("scale", [2.0, 0.5])
def test_areas_and_centroids_are_those_of_the_nuclei_at_another_scale(tmp_path, grid, kind, scale):
    """At 0.5 microns and drawn at 0.25, and the other way around; px at the scale that is drawn."""
    centres, diameters = grid
    annotation = both(discs(centres, diameters, 320), tmp_path)[kind]
    side = int(320 * scale)
    instance = annotation.draw(0, 0, side, side, scale_y=scale, scale_x=scale, class_number={}).instance
    true_area = np.pi / 4 * (diameters * scale) ** 2
    area = np.bincount(instance.ravel(), minlength=17)[1:]
    assert abs(area.sum() / true_area.sum() - 1) < 0.01
    for number, centre in enumerate(centres, start=1):
        y, x = np.nonzero(instance == number)
        assert np.hypot(y.mean() + 0.5 - centre[0] * scale, x.mean() + 0.5 - centre[1] * scale) < 0.5


@pytest.mark.parametrize("scale", [(0.5, 0.25), (1.0, 1.0), (2.0, 3.0), (0.3, 1.7)])
def test_a_pixel_is_drawn_by_its_centre_alone(scale):
    y, x = (3 + 0.5) / scale[0], (5 + 0.5) / scale[1]
    dot = shapely.box(x - 0.01, y - 0.01, x + 0.01, y + 0.01)
    annotation = Annotation(OutlineShapes((dot,), (), (), 100, 100), (None,))
    result = annotation.draw(0, 0, 9, 9, scale_y=scale[0], scale_x=scale[1], class_number={})
    assert np.argwhere(result.instance).tolist() == [[3, 5]]


def test_scales_of_rows_and_columns_are_not_exchanged():
    number = np.zeros((10, 20), np.int32)
    number[2:4, 10:15] = 1
    annotation = Annotation(RasterShapes(number), (None,), 10, 20)
    instance = annotation.draw(0, 0, 20, 60, scale_y=2.0, scale_x=3.0, class_number={}).instance
    expected = number.repeat(2, axis=0).repeat(3, axis=1)
    np.testing.assert_array_equal(instance, expected)


def test_a_centre_on_a_shared_edge_belongs_to_one_nucleus():
    """Also on diagonal edges: two triangles fill their square."""
    upper, lower = shapely.Polygon([(0, 0), (8, 0), (8, 8)]), shapely.Polygon([(0, 0), (8, 8), (0, 8)])
    shapes = OutlineShapes((upper, lower), (), (), 8, 8)
    annotation = Annotation(shapes, (None, None))
    instance = annotation.draw(0, 0, 8, 8, scale_y=1.0, scale_x=1.0, class_number={}).instance
    assert (instance > 0).all()
    assert {36, 28} == set(np.bincount(instance.ravel())[1:].tolist())


def test_the_later_outline_wins_and_what_is_outside_the_image_is_background():
    first, second = shapely.box(0, 0, 6, 6), shapely.box(4, 4, 12, 12)
    annotation = Annotation(OutlineShapes((first, second), (), (), 8, 8), (None, None))
    instance = annotation.draw(-2, -2, 12, 12, scale_y=1.0, scale_x=1.0, class_number={}).instance
    expected = np.zeros((12, 12), np.int32)
    expected[2:8, 2:8], expected[6:10, 6:10] = 1, 2
    np.testing.assert_array_equal(instance, expected)


def test_classes_are_mapped_left_out_or_void():
    number = np.array([[0, 1, 2, 3, 4]], np.int32)
    annotation = Annotation(RasterShapes(number), ("a", "b", "c", None), 1, 5)
    assert annotation.class_names == ("a", "b", "c")
    assert annotation.unclassified_count == 1
    one = dict(scale_y=1.0, scale_x=1.0)
    result = annotation.draw(0, 0, 1, 5, **one, class_number={"a": 2, "b": 0, "c": VOID_LABEL, None: 1})
    assert result.label.tolist() == [[0, 2, 0, VOID_LABEL, 1]]
    assert result.instance.tolist() == [[0, 1, 0, 0, 4]]
    assert annotation.draw(0, 0, 1, 5, **one, class_number={}).label.tolist() == [[0, 1, 1, 1, 1]]
    with pytest.raises(UserError, match="1 nucleus of the class 'c'"):
        annotation.draw(0, 0, 1, 5, **one, class_number={"a": 1, "b": 2, None: 1})
    with pytest.raises(UserError, match="1 nucleus without a class"):
        annotation.draw(0, 0, 1, 5, **one, class_number={"a": 1, "b": 2, "c": 3})


def test_fifteen_thousand_outlines_are_drawn_by_windows_in_seconds():
    """As many as a slide has, of 400 px each; a window looks at its own alone."""
    import time

    y, x = np.mgrid[0:122, 0:123].reshape(2, -1) * 50.0 + 25
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rings = np.stack([x[:, None] + 11.3 * np.cos(angle), y[:, None] + 11.3 * np.sin(angle)], axis=-1)
    shapes = OutlineShapes(tuple(shapely.polygons(rings)), (), (), 6150, 6150)
    annotation = Annotation(shapes, (None,) * len(rings))
    begin = time.process_time()
    for top in range(0, 6144, 2048):
        annotation.draw(top, 0, 2048, 256, scale_y=1.0, scale_x=1.0, class_number={})
    one = annotation.draw(0, 0, 50, 50, scale_y=1.0, scale_x=1.0, class_number={})
    assert time.process_time() - begin < 10
    assert one.instance.max() == 1
    assert abs(np.count_nonzero(one.label) - np.pi * 11.3**2) < 10
