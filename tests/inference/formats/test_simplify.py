import numpy as np
import pytest
import shapely
from scipy import ndimage

from nucseg_jax.inference.formats.simplify import simplified
from nucseg_jax.inference.nuclei.outlines import outlines


def ragged(seed: int) -> np.ndarray:
    """Outlines of pieces of noise: with holes, with corners that touch, as narrow as a pixel."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((120, 120)), rng.choice([0.0, 0.7, 1.5]))
    numbers, count = ndimage.label(noise > np.quantile(noise, rng.choice([0.4, 0.6])))
    return np.array(outlines(numbers.astype(np.uint32), first=1, count=count, top=0))


def farthest(one: shapely.Geometry, other: shapely.Geometry) -> float:
    """Largest distance from points of a line, eight a pixel, to another."""
    points = shapely.points(shapely.get_coordinates(shapely.segmentize(one, 0.125)))
    shapely.prepare(other)
    return float(shapely.distance(points, other).max())


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("seed", range(4))
def test_outlines_stay_valid_and_near(tolerance, seed):
    before = ragged(seed)
    after = simplified(before, tolerance)
    assert shapely.is_valid(before).all()
    assert shapely.is_valid(after).all()
    assert set(shapely.get_type_id(after)) == {shapely.GeometryType.POLYGON}
    for one, other in zip(before[:25], after[:25], strict=True):
        assert len(one.interiors) == len(other.interiors)
        assert farthest(one.boundary, other.boundary) <= tolerance + 1e-9
        assert farthest(other.boundary, one.boundary) <= tolerance + 1e-9


def test_steps_along_a_slope_are_left_out_within_their_height():
    disk = np.hypot(*(np.mgrid[:60, :60] - 29.5)) < 25
    (before,) = outlines(disk.astype(np.uint32), first=1, count=1, top=0)
    (after,) = simplified(np.array([before]), 1.0)
    assert shapely.get_num_coordinates(after) < shapely.get_num_coordinates(before) / 3
    assert after.area == pytest.approx(before.area, rel=0.03)


def test_without_a_tolerance_nothing_changes():
    before = ragged(0)
    assert simplified(before, 0.0) is before
