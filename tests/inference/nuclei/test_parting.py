"""What every decoder of maps keeps: it looks at its piece alone, all of the piece is nuclei, and each is connected."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import watershed

from nucseg_jax.core.errors import UserError
from nucseg_jax.inference.nuclei.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.inference.nuclei.flood_seeds import flood_seeds
from nucseg_jax.inference.nuclei.nucleus_stream import NucleusStream
from nucseg_jax.inference.nuclei.part_by_distance import DistanceParting, part_by_distance
from nucseg_jax.inference.nuclei.part_by_hover import HoverParting, edge_strength, part_by_hover
from nucseg_jax.inference.nuclei.part_by_shape import ShapeParting
from nucseg_jax.inference.nuclei.parting import PARTINGS
from nucseg_jax.inference.nuclei.quantize import map_levels
from nucseg_jax.inference.nuclei.sobel import sobel_kernels

MICRONS = 0.25
HEADS = list(PARTINGS)
WITH_MAPS = [head for head in HEADS if PARTINGS[head].maps]


def noise(seed: int, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Smooth noise in both axes, standard deviation .6: maps with plateaus, steps and values beyond 1."""
    smooth = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal(shape), (sigma, sigma, *(0,) * (len(shape) - 2))
    )
    return (0.6 * smooth / smooth.std()).astype(np.float32)


def scene(seed: int, head: str, size: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Levels of touching, holed, edge-cut random shapes, and maps that part them."""
    level = np.clip(128 + 100 * (noise(seed, (size, size), 3.0) - 0.2), 0, 255).astype(np.uint8)
    return level, map_levels(noise(seed + 1, (size, size, PARTINGS[head].maps), 2.0)) if head != "none" else (
        np.zeros((size, size, 0), np.int8)
    )


def piece_of(seed: int) -> np.ndarray:
    """The largest connected piece of a scene, cropped."""
    pieces, _ = ndimage.label(scene(seed, "none")[0] >= 128)
    number = int(np.bincount(pieces.ravel())[1:].argmax()) + 1
    where = ndimage.find_objects(pieces)[number - 1]
    return pieces[where] == number


def assert_same_up_to_numbers(one: np.ndarray, other: np.ndarray):
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    np.testing.assert_array_equal(one > 0, other > 0)


@pytest.mark.parametrize("head", HEADS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 159), max_size=6).map(sorted))
def test_nuclei_found_band_by_band_are_those_of_the_whole_image(head, seed, cuts):
    rule = NucleusRule(parting=PARTINGS[head]())
    level, maps = scene(seed, head)
    whole = find_nuclei(level, maps, rule, microns_per_px=MICRONS)
    stream = NucleusStream(rule, microns_per_px=MICRONS, height=len(level))
    found = [
        stream.push(*band, maps=band_maps)
        for *band, band_maps in (
            (level[top:end], None, np.zeros((end - top, 160, 3), np.uint8), maps[top:end])
            for top, end in zip([0, *cuts], [*cuts, 160], strict=True)
            if end > top
        )
    ]
    assert whole.max() > 5
    assert_same_up_to_numbers(whole, np.concatenate([each.settled for each in found]))
    assert sum(each.new for each in found) == whole.max()


@pytest.mark.parametrize("head", HEADS)
def test_a_window_around_the_same_nuclei_changes_none(head):
    """Columns too: pieces that lie whole in a window are parted as in the image."""
    rule = NucleusRule(parting=PARTINGS[head]())
    level, maps = scene(5, head)
    whole = find_nuclei(level, maps, rule, microns_per_px=MICRONS)
    for top, left in ((0, 0), (13, 40), (31, 7)):
        window = np.s_[top : top + 120, left : left + 110]
        pieces, _ = ndimage.label(level[window] >= 128)
        cut = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
        is_whole = ~np.isin(pieces, cut)
        inside = find_nuclei(level[window], maps[window], rule, microns_per_px=MICRONS)
        assert len(np.unique(inside[is_whole])) > 3
        assert_same_up_to_numbers(whole[window][is_whole], inside[is_whole])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("seed", range(4))
def test_a_piece_is_parted_by_what_is_inside_it(head, seed):
    """All of it is nuclei, each 4-connected, and maps outside of it are not looked at."""
    piece, parting = piece_of(seed), PARTINGS[head]()
    maps = noise(seed + 9, (*piece.shape, parting.maps), 1.5) if parting.maps else np.zeros((*piece.shape, 0))
    parted = parting.part(piece, maps, MICRONS)
    np.testing.assert_array_equal(parted > 0, piece)
    assert parted.max() > 1
    for number in range(1, parted.max() + 1):
        assert ndimage.label(parted == number)[1] == 1
    elsewhere = np.random.default_rng(seed).uniform(-3, 3, maps.shape).astype(np.float32)
    other = parting.part(piece, np.where(piece[..., None], maps, elsewhere), MICRONS)
    np.testing.assert_array_equal(parted, other)
    # Background around it, seen or not, is background.
    padded = parting.part(np.pad(piece, 9), np.pad(maps, ((9, 9), (9, 9), (0, 0))), MICRONS)
    np.testing.assert_array_equal(parted, padded[9:-9, 9:-9])


@pytest.mark.parametrize(
    ("parting", "without_seeds"),
    [
        (HoverParting(), HoverParting(smallest_seed_um2=1e6)),
        (DistanceParting(), DistanceParting(seed_above=1.0)),
    ],
)
def test_a_piece_without_a_seed_is_one_nucleus(parting, without_seeds):
    piece = piece_of(1)
    maps = np.clip(noise(3, (*piece.shape, parting.maps), 1.5), -1, 1)
    assert parting.part(piece, maps, MICRONS).max() > 1
    np.testing.assert_array_equal(without_seeds.part(piece, maps, MICRONS), piece.astype(np.int32))


def slow_edge_strength(maps: np.ndarray, width: int) -> np.ndarray:
    derivative, smoothing = sobel_kernels(width)
    falls = []
    for channel, kernel in enumerate((np.outer(smoothing, derivative), np.outer(derivative, smoothing))):
        padded = np.pad(maps[..., channel].astype(np.float64), width // 2)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width))
        falls.append(-(windows * kernel).sum(axis=(2, 3)) / kernel[kernel > 0].sum())
    return np.maximum(*falls)


@pytest.mark.parametrize("width", [3, 5, 11])
def test_edge_strength_is_the_sobel_slope_over_its_positive_weights(width):
    maps = noise(3, (40, 30, 2), 1.0)
    np.testing.assert_allclose(edge_strength(maps, width), slow_edge_strength(maps, width), atol=1e-5)
    # From 1 to -1 is a step of 2, from 1 to the background one of 1.
    step = np.zeros((60, 60, 2), np.float32)
    step[:, :30, 0], step[:, 30:, 0] = 1.0, -1.0
    strength = edge_strength(step, width)
    assert strength[30, 29] == pytest.approx(2.0, rel=1 / width)
    step[:, 30:, 0] = 0.0
    assert edge_strength(step, width)[30, 29] == pytest.approx(1.0, rel=1 / width)


def test_kernels_are_those_of_opencv():
    """`cv2.getDerivKernels(1, 0, 5)` and the row of 7 px."""
    for one, other in zip(sobel_kernels(5), ([-1, -2, 0, 2, 1], [1, 4, 6, 4, 1]), strict=True):
        assert one.tolist() == other
    assert sobel_kernels(7)[0].tolist() == [-1, -4, -5, 0, 5, 4, 1]
    for width in (1, 4, 33):
        with pytest.raises(ValueError, match="odd"):
            sobel_kernels(width)


def slow_part_by_hover(piece, maps, tau, sobel_px, smallest_seed_px):
    strength = slow_edge_strength(np.where(piece[..., None], np.clip(maps, -1, 1), 0), sobel_px)
    strength = strength.astype(np.float32)
    seeds, count = ndimage.label(ndimage.binary_fill_holes(piece & (strength < tau)) & piece)
    for number in range(1, count + 1):
        if np.count_nonzero(seeds == number) < smallest_seed_px:
            seeds[seeds == number] = 0
    if len(np.unique(seeds)) < 3:
        return piece.astype(np.int32)
    return label(watershed(np.maximum(strength, 0), seeds, mask=piece), connectivity=1)


@pytest.mark.parametrize("seed", range(4))
def test_hover_is_its_definition(seed):
    piece, maps = piece_of(seed), noise(seed + 9, (*piece_of(seed).shape, 2), 1.2)
    strength = edge_strength(np.where(piece[..., None], np.clip(maps, -1, 1), 0), 5)
    seeds, _ = ndimage.label(piece & (strength < 0.1))
    # Bounds that some seeds meet exactly.
    for smallest in (0, *np.unique(np.bincount(seeds.ravel())[1:])[:5]):
        parted = part_by_hover(piece, maps, tau=0.1, sobel_px=5, smallest_seed_px=smallest)
        assert_same_up_to_numbers(parted, slow_part_by_hover(piece, maps, 0.1, 5, smallest))


def test_a_seed_that_meets_itself_at_a_corner_only_makes_two_nuclei():
    seeds = np.array([[1, 2], [2, 1]])
    assert len(np.unique(flood_seeds(np.ones((2, 2), bool), seeds, np.zeros((2, 2))))) == 4


def test_seeds_below_the_smallest_are_dropped():
    piece = np.ones((20, 60), bool)
    maps = np.zeros((20, 60, 2), np.float32)
    # Two columns of a fall: seeds to the left, 20 x ~27, and to the right.
    maps[:, 26:30, 0], maps[:, 30:34, 0] = 1.0, -1.0
    parted = part_by_hover(piece, maps, tau=0.2, sobel_px=5, smallest_seed_px=10)
    assert parted[10, 5] != parted[10, 55]
    assert parted.max() == 2
    assert part_by_hover(piece, maps, tau=0.2, sobel_px=5, smallest_seed_px=1000).max() == 1


def test_seeds_of_the_distance_are_above_the_bound_and_meet_at_corners():
    piece = np.ones((9, 31), bool)
    maps = np.full((9, 31, 1), 0.2, np.float32)
    maps[4, 5], maps[4, 25], maps[3, 6] = 0.9, 0.7, 0.9
    assert part_by_distance(piece, maps, seed_above=0.5).max() == 2
    assert part_by_distance(piece, maps, seed_above=0.7).max() == 1


@pytest.mark.parametrize("head", WITH_MAPS)
def test_other_maps_than_the_rule_needs_are_refused(head):
    level, maps = scene(0, head)
    rule = NucleusRule(parting=PARTINGS[head]())
    for wrong in (None, maps[:, :-1], maps[..., :0], maps.astype(np.float32)):
        with pytest.raises(UserError, match="maps"):
            find_nuclei(level, wrong, rule, microns_per_px=MICRONS)
    with pytest.raises(UserError, match="'none'"):
        find_nuclei(level, maps, NucleusRule(), microns_per_px=MICRONS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HoverParting(tau=float("nan")),
        lambda: HoverParting(sobel_um=-1.0),
        lambda: HoverParting(smallest_seed_um2=-1.0),
        lambda: DistanceParting(seed_above=1.5),
        lambda: ShapeParting(neck_um=-0.1),
        lambda: NucleusRule(smallest_um2=float("nan")),
        lambda: NucleusRule(tallest_um=-1.0),
    ],
)
def test_parameters_out_of_range_are_refused(make):
    with pytest.raises(UserError, match="Expected"):
        make()


@pytest.mark.parametrize("head", HEADS)
def test_a_row_of_the_table_has_what_tuning_needs(head):
    parting = PARTINGS[head]()
    assert parting.head == head
    assert getattr(parting, parting.tuned) in parting.grid
    for value in parting.grid:
        assert getattr(dataclasses.replace(parting, **{parting.tuned: value}), parting.tuned) == value
