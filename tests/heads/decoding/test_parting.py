"""What every decoder of maps keeps: it looks at its piece alone, all of the piece is nuclei, and each is connected."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.part_at_passes import part_at_passes
from nucseg_jax.heads.decoding.part_by_distance import DistanceParting, part_by_distance
from nucseg_jax.heads.decoding.part_by_hover import HoverParting
from nucseg_jax.heads.decoding.part_by_shape import ShapeParting
from nucseg_jax.heads.decoding.parting import PARTINGS
from nucseg_jax.inference.nuclei.nucleus_stream import NucleusStream
from tests.heads.decoding.scenes import assert_same_up_to_numbers, noise, piece_of, scene

MICRONS = 0.25
HEADS = list(PARTINGS)
WITH_MAPS = [head for head in HEADS if PARTINGS[head].maps]


@pytest.mark.parametrize("head", HEADS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 159), max_size=6).map(sorted))
def test_nuclei_found_band_by_band_are_those_of_the_whole_image(head, seed, cuts):
    rule = NucleusRule(parting=PARTINGS[head]())
    level, maps = scene(seed, head)
    whole = find_nuclei(level, maps, rule, microns_per_px=MICRONS)
    stream = NucleusStream(rule, microns_per_px=MICRONS, height=len(level))
    found = [
        stream.push(Band(band, maps=band_maps), image)
        for band, image, band_maps in (
            (level[top:end], np.zeros((end - top, 160, 3), np.uint8), maps[top:end])
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
    ("parting", "without_passes"),
    [(HoverParting(), HoverParting(depth=2.0)), (DistanceParting(), DistanceParting(depth=1.0))],
)
def test_a_piece_without_a_deep_pass_is_one_nucleus(parting, without_passes):
    piece = piece_of(1)
    maps = np.clip(noise(3, (*piece.shape, parting.maps), 1.5), 0, 0.9)
    assert parting.part(piece, maps, MICRONS).max() > 1
    np.testing.assert_array_equal(without_passes.part(piece, maps, MICRONS), piece.astype(np.int32))


def test_a_nucleus_that_meets_itself_at_a_corner_only_is_two():
    """Two equal tops on each diagonal of a square, with no pass across."""
    height = np.array([[2.0, 1.0], [1.0, 2.0]])
    parted = part_at_passes(np.ones((2, 2), bool), height, 0.5)
    for number in range(1, parted.max() + 1):
        assert ndimage.label(parted == number)[1] == 1


@pytest.mark.parametrize("seed", range(3))
def test_passes_have_no_sea_level_and_no_unit(seed):
    """Heights below 0 are heights like others, and what lies outside of the piece is none."""
    piece = piece_of(seed)
    # Steps of 1/64, so that nothing is rounded below.
    height = np.rint(64 * noise(seed + 3, piece.shape, 2.0).astype(np.float64)) / 64
    parted = part_at_passes(piece, height, 0.25)
    assert 1 < parted.max() < part_at_passes(piece, height, 0.0).max()
    for other, depth in ((height - 7.5, 0.25), (4 * height, 1.0), (np.where(piece, height, 99.0), 0.25)):
        np.testing.assert_array_equal(part_at_passes(piece, other, depth), parted)


def test_the_depth_of_the_distance_parts_and_its_smoothing_joins():
    piece = np.ones((9, 31), bool)
    maps = np.full((9, 31, 1), 0.2, np.float32)
    maps[4, 5], maps[4, 25], maps[4, 7] = 0.9, 0.7, 0.8
    assert part_by_distance(piece, maps, depth=0.4, smooth_px=0.0).max() == 3
    assert part_by_distance(piece, maps, depth=0.55, smooth_px=0.0).max() == 2
    assert part_by_distance(piece, maps, depth=0.75, smooth_px=0.0).max() == 1
    assert part_by_distance(piece, maps, depth=0.01, smooth_px=1.5).max() == 2


@pytest.mark.parametrize("head", WITH_MAPS)
def test_other_maps_than_the_rule_needs_are_refused(head):
    level, maps = scene(0, head)
    rule = NucleusRule(parting=PARTINGS[head]())
    for wrong in (None, maps[:, :-1], maps[..., :0], maps.astype(np.float32)):
        with pytest.raises(UserError, match="maps"):
            find_nuclei(level, wrong, rule, microns_per_px=MICRONS)
    # By shape no map is looked at.
    by_shape = find_nuclei(level, maps, NucleusRule(), microns_per_px=MICRONS)
    np.testing.assert_array_equal(by_shape, find_nuclei(level, None, NucleusRule(), microns_per_px=MICRONS))


@pytest.mark.parametrize(
    "make",
    [
        lambda: HoverParting(depth=float("nan")),
        lambda: HoverParting(sobel_um=-1.0),
        lambda: HoverParting(smooth_um=-1.0),
        lambda: DistanceParting(depth=1.5),
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
