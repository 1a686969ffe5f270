import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label, perimeter_crofton, regionprops_table
from skimage.morphology import local_maxima, reconstruction

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, place
from nucseg_jax.heads.decoding.part_by_shape import ShapeParting
from nucseg_jax.heads.decoding.part_by_shape import part_by_shape as part
from nucseg_jax.inference.nuclei.measure import COLUMNS, measure_nuclei
from nucseg_jax.inference.nuclei.nucleus_stream import NucleusStream
from nucseg_jax.inference.nuclei.outlines import outlines
from nucseg_jax.ops.stain import stain_amounts

MICRONS = 0.25


def find_nuclei(foreground: np.ndarray, *, neck_px: float, smallest_px: float) -> np.ndarray:
    """All nuclei of a whole foreground, uint32 [H, W], numbered 1, 2, ... without gaps."""
    rule = NucleusRule(smallest_um2=smallest_px, parting=ShapeParting(neck_um=neck_px))
    pieces, _ = ndimage.label(foreground)
    nuclei = np.zeros(foreground.shape, np.uint32)
    maps = np.zeros((*foreground.shape, 0), np.int8)
    found = 0
    for number, where in enumerate(ndimage.find_objects(pieces), start=1):
        piece = pieces[where] == number
        found += place(nuclei[where], piece, maps[where], found, rule=rule, microns_per_px=1.0)
    return nuclei


def blobs(seed: int, size: int = 160, sigma: float = 2.0) -> np.ndarray:
    """uint8 levels of touching, holed, edge-cut random shapes; about a third is foreground."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((size, size)), sigma)
    return np.clip(128 + 60 * (noise / noise.std() - 0.4), 0, 255).astype(np.uint8)


def streamed(level: np.ndarray, cuts: list[int], rule: NucleusRule) -> tuple[np.ndarray, list]:
    stream = NucleusStream(rule, microns_per_px=MICRONS, height=len(level))
    found = []
    for band in np.split(level, cuts):
        if len(band):
            found.append(stream.push(Band(band), np.zeros((*band.shape, 3), np.uint8)))
    return np.concatenate([each.settled for each in found]), found


def disks(*circles: tuple[int, int, int], shape=(60, 80)) -> np.ndarray:
    y, x = np.indices(shape)
    return np.any(
        [(y - row) ** 2 + (x - column) ** 2 <= radius**2 for row, column, radius in circles], axis=0
    )


def assert_same_up_to_numbers(one: np.ndarray, other: np.ndarray):
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    np.testing.assert_array_equal(one > 0, other > 0)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 159), max_size=6).map(sorted))
def test_nuclei_found_strip_by_strip_are_those_of_the_whole_image(seed, cuts):
    rule, level = NucleusRule(), blobs(seed)
    whole = find_nuclei(
        level >= rule.threshold_level,
        neck_px=rule.parting.neck_um / MICRONS,
        smallest_px=rule.smallest_um2 / MICRONS**2,
    )
    strips, found = streamed(level, cuts, rule)
    assert whole.max() > 5
    assert_same_up_to_numbers(whole, strips)
    # Each is reported once, and whole: new nuclei of the windows are all there are.
    total = sum(np.bincount(each.nuclei.ravel(), minlength=whole.max() + 1)[1:] for each in found)
    np.testing.assert_array_equal(total, np.bincount(strips.ravel(), minlength=whole.max() + 1)[1:])
    assert sum(each.new for each in found) == whole.max()


def test_a_piece_taller_than_the_bound_is_cut_and_not_lost():
    rule = NucleusRule(tallest_um=10.0)
    level = np.zeros((200, 20), np.uint8)
    level[5:190, 5:15] = 255
    nuclei, found = streamed(level, [50, 100, 150], rule)
    np.testing.assert_array_equal(nuclei > 0, level > 0)
    assert max(len(each.band.level) for each in found) <= 100
    # 40 px at .25 microns: of two pieces across the end of a band, the one that is taller before it is cut.
    for first, pieces in ((10, 1), (9, 2)):
        level[:] = 0
        level[first:60, 5:15] = 255
        assert sum(each.new for each in streamed(level, [50, 100, 150], rule)[1]) == pieces


def test_touching_disks_are_parted_and_a_disk_or_an_ellipse_is_not():
    assert part(disks((30, 20, 12)), 1.2).max() == 1
    y, x = np.indices((60, 80))
    assert part(((y - 30) / 8) ** 2 + ((x - 40) / 20) ** 2 <= 1, 1.2).max() == 1
    touching = disks((30, 20, 12), (30, 42, 12))
    assert ndimage.label(touching)[1] == 1
    parted = part(touching, 1.2)
    assert parted.max() == 2
    assert parted[30, 20] != parted[30, 42]
    np.testing.assert_array_equal(parted > 0, touching)


def passes(parted: np.ndarray, height: np.ndarray) -> dict[tuple[int, int], float]:
    """The highest pair of neighbours, 8-connected, across the border of each two parts."""
    highest: dict[tuple[int, int], float] = {}
    for row, column in zip(*np.nonzero(parted), strict=True):
        for other_row, other_column in (
            (row, column + 1),
            (row + 1, column - 1),
            (row + 1, column),
            (row + 1, column + 1),
        ):
            one, other = sorted((parted[row, column], parted[other_row, other_column]))
            if 0 < one < other:
                level = min(height[row, column], height[other_row, other_column])
                highest[one, other] = max(level, highest.get((one, other), 0.0))
    return highest


@pytest.mark.parametrize("neck_px", [0.3, 1.2, 3.0])
def test_nuclei_are_parted_at_passes_deeper_than_a_neck(neck_px):
    pieces, count = ndimage.label(blobs(0) >= 128)
    nuclei = standing_out = borders = 0
    for number in range(1, count + 1):
        piece = np.pad(pieces == number, 1)
        height = ndimage.distance_transform_edt(piece)
        parted = part(piece, neck_px)
        tops = ndimage.maximum(height, parted, range(parted.max() + 1))
        for (one, other), level in passes(parted, height).items():
            assert min(tops[one], tops[other]) - level > neck_px
            borders += 1
        if np.count_nonzero(piece) > 1.5 * np.pi * height.max() ** 2:
            nuclei += parted.max()
            lowered = reconstruction(np.maximum(height - neck_px, 0), height, footprint=np.ones((3, 3)))
            standing_out += max(1, label(local_maxima(lowered) & piece, connectivity=2).max())
    assert borders
    # Almost the h-maxima: regions are flooded 4-connected, so that now and then a pass looks higher than it is.
    assert 0.97 * standing_out <= nuclei <= standing_out


def test_each_nucleus_is_connected():
    nuclei = find_nuclei(blobs(3) >= 128, neck_px=1.2, smallest_px=1)
    for number, where in enumerate(ndimage.find_objects(nuclei.astype(np.int32)), start=1):
        assert ndimage.label(nuclei[where] == number)[1] == 1


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(UserError):
        NucleusRule(threshold=threshold)


@pytest.mark.parametrize(
    ("threshold", "lowest"), [(0.0, 1), (0.3, 77), (0.5, 128), (0.8, 205), (0.9999, 255)]
)
def test_levels_above_the_thresholds_are_foreground(threshold, lowest):
    rule = NucleusRule(threshold=threshold, smallest_um2=0.0)
    assert rule.threshold_level == lowest
    level = np.array([[lowest - 1, lowest, 0, 255]], np.uint8)
    nuclei, _ = streamed(level, [], rule)
    np.testing.assert_array_equal(nuclei > 0, [[False, True, False, True]])


def test_smaller_ones_are_dropped():
    small = disks((10, 10, 2), (40, 40, 8))
    nuclei = find_nuclei(small, neck_px=1.2, smallest_px=50)
    assert nuclei.max() == 1
    assert not nuclei[10, 10]
    # The small one has 13 pixels, and one that has as many as the bound stays.
    assert [find_nuclei(small, neck_px=1.2, smallest_px=bound).max() for bound in (13, 14)] == [2, 1]


NAMES = ("one", "two", "three", "four", "five")


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(1)
    level = blobs(7)
    image = rng.integers(0, 256, (*level.shape, 3), np.uint8)
    classes = rng.integers(1, 6, level.shape).astype(np.uint8)
    nuclei = find_nuclei(level >= 128, neck_px=1.2, smallest_px=20)
    table = measure_nuclei(
        nuclei + 40 * (nuclei > 0).astype(np.uint32),
        first=41,
        count=int(nuclei.max()),
        top=1000,
        band=Band(level, classes),
        class_names=NAMES,
        image=image,
        microns_per_px=MICRONS,
    )
    return nuclei, level, image, classes, table


def test_measures_are_those_of_scikit_image(measured):
    nuclei, level, _, _, table = measured
    theirs = regionprops_table(
        nuclei.astype(np.int32),
        intensity_image=level / 255.0,
        properties=("area", "centroid", "eccentricity", "intensity_mean"),
    )
    np.testing.assert_allclose(table["area_um2"], theirs["area"] * MICRONS**2)
    np.testing.assert_allclose(table["y_px"], theirs["centroid-0"] + 0.5 + 1000)
    np.testing.assert_allclose(table["x_px"], theirs["centroid-1"] + 0.5)
    for axis in "xy":
        np.testing.assert_allclose(table[f"{axis}_um"], table[f"{axis}_px"] * MICRONS)
    np.testing.assert_allclose(table["eccentricity"], theirs["eccentricity"], atol=1e-6)
    np.testing.assert_allclose(table["mean_probability"], theirs["intensity_mean"])
    perimeters = [perimeter_crofton(nuclei == number, directions=4) for number in range(1, nuclei.max() + 1)]
    np.testing.assert_allclose(table["perimeter_um"], np.array(perimeters) * MICRONS)


def test_stains_and_classes_are_means_and_majorities_over_the_pixels(measured):
    nuclei, _, image, classes, table = measured
    assert table["nucleus"].tolist() == list(range(41, 41 + nuclei.max()))
    for number in (1, nuclei.max() // 2, nuclei.max()):
        pixels = image[nuclei == number].astype(np.float64)
        amounts = stain_amounts(pixels).mean(axis=0)
        assert table["mean_haematoxylin"][number - 1] == pytest.approx(amounts[0], rel=1e-4)
        assert table["mean_eosin"][number - 1] == pytest.approx(amounts[1], rel=1e-4)
        votes = np.bincount(classes[nuclei == number], minlength=6)[1:]
        assert table["class"][number - 1] == NAMES[votes.argmax()]


def test_no_nucleus_is_a_table_without_rows():
    nothing = np.zeros((4, 4), np.uint32)
    table = measure_nuclei(
        nothing,
        first=1,
        count=0,
        top=0,
        band=Band(nothing.astype(np.uint8)),
        class_names=(),
        image=np.zeros((4, 4, 3), np.uint8),
        microns_per_px=MICRONS,
    )
    assert list(table) == list(COLUMNS)
    assert all(len(column) == 0 for column in table.values())


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**7 - 1), min_size=7, max_size=7))
def test_outlines_of_any_shape_are_valid(rows):
    """Pixels that meet at corners, holes within holes, regions in holes of others."""
    mask = np.array([[row >> column & 1 for column in range(7)] for row in rows], bool)
    nuclei = ndimage.label(mask)[0].astype(np.uint32)
    polygons = outlines(nuclei, first=1, count=int(nuclei.max()), top=0)
    assert all(polygon.is_valid for polygon in polygons)
    np.testing.assert_array_equal([polygon.area for polygon in polygons], np.bincount(nuclei.ravel())[1:])
    for number, polygon in enumerate(polygons, start=1):
        squares = [shapely.box(x, y, x + 1, y + 1) for y, x in np.argwhere(nuclei == number)]
        assert polygon.equals(shapely.union_all(squares))


def test_outlines_are_valid_and_hold_exactly_the_pixels(measured):
    nuclei, *_ = measured
    nuclei = nuclei.copy()
    first = int(np.bincount(nuclei.ravel())[1:].argmax()) + 1
    hole = ndimage.binary_erosion(nuclei == first, iterations=2)
    assert hole.any()
    nuclei[hole] = 0
    polygons = outlines(nuclei, first=1, count=int(nuclei.max()), top=7)
    assert all(isinstance(polygon, shapely.Polygon) and polygon.is_valid for polygon in polygons)
    assert polygons[first - 1].interiors
    area = np.bincount(nuclei.ravel())[1:]
    np.testing.assert_array_equal([polygon.area for polygon in polygons], area)
    rows, columns = np.nonzero(nuclei)
    for polygon, number in zip(polygons, range(1, len(polygons) + 1), strict=True):
        inside = nuclei[rows, columns] == number
        assert shapely.contains_xy(polygon, columns[inside] + 0.5, rows[inside] + 7.5).all()
