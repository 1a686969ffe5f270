"""Stains of an image that is read by tiles: measured over all of it, the same for every tile, and never shown."""

import dataclasses
import pathlib

import numpy as np
import pytest

from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.images.source import array_source
from nucseg_jax.inference.output.remarks import NOT_NORMALIZED
from nucseg_jax.inference.tiling import stain
from nucseg_jax.inference.tiling.job import plan_job
from nucseg_jax.inference.tiling.stain import with_stain
from nucseg_jax.inference.tiling.stream import Tile, read_events
from nucseg_jax.ops.stain_normalization.target import METHODS, pooled_target

TILE_PX, OVERLAP_PX = 64, 32


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Three painted patches side by side with glass below, uint8 [170, 330, 3]."""
    field = np.concatenate([paint_patch(0, 1, index).image[:120, :110] for index in range(3)], axis=1)
    return np.concatenate([field, np.full((50, 330, 3), 255, np.uint8)])


def job(image: np.ndarray, microns: float | None = None):
    return plan_job(
        pathlib.Path("an image"),
        array_source(image),
        microns_per_px=microns,
        model_microns_per_px=0.25,
        tile_px=TILE_PX,
        overlap_px=OVERLAP_PX,
    )


def target_of(method, image):
    return pooled_target(method, [255 - (255 - image) // 2], 1)


def tiles(a_job) -> list[np.ndarray]:
    return [event.values for event in read_events([a_job]) if isinstance(event, Tile)]


@pytest.mark.parametrize("method", METHODS)
def test_tiles_are_those_of_the_image_normalised_as_a_whole(method, image):
    target = target_of(method, image)
    normalised = with_stain(job(image), target)
    whole = target.apply(image, target.statistics_of(image))
    for found, expected, original in zip(
        tiles(normalised), tiles(job(whole)), tiles(job(image)), strict=True
    ):
        # The pixels are the same in another order: sums are rounded elsewhere.
        assert np.abs(found.astype(int) - expected).max() <= 1
        assert (original == 255).all() or np.abs(found.astype(int) - original).max() > 5
    np.testing.assert_array_equal(normalised.read_computed(0, 170), image)


def test_what_is_measured_of_a_large_image_is_bounded_and_the_same_each_time(image, monkeypatch):
    reads = []

    def counted(a_job):
        source = a_job.view.source

        def read(*region):
            reads.append(region)
            return source.read(*region)

        view = dataclasses.replace(a_job.view, source=dataclasses.replace(source, read=read))
        return dataclasses.replace(a_job, view=view)

    monkeypatch.setattr(stain, "_MEASURED_PX", 6 * 32 * 32)
    target = target_of("reinhard", image)
    first, again = (with_stain(counted(job(image)), target).stain.of_image for _ in range(2))
    assert len(reads) == 12
    assert reads[:6] == reads[6:]
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    # From many rows and columns.
    assert len({top for top, *_ in reads}) > 2
    assert len({left for _, left, *_ in reads}) > 2


def test_on_the_models_grid_and_only_where_tiles_are_computed(image):
    target = target_of("macenko", image)
    coarse = with_stain(job(image, microns=0.125), target).stain.of_image
    fine = with_stain(job(image), target).stain.of_image
    # Averaged over neighbours, stains are paler.
    assert (coarse.strengths < fine.strengths).all()
    a_job = job(image)
    is_computed = np.zeros_like(a_job.is_computed)
    is_computed[0, 0] = True
    corner = with_stain(dataclasses.replace(a_job, is_computed=is_computed), target).stain.of_image
    np.testing.assert_allclose(corner.vectors, target.statistics_of(image[:32, :32]).vectors, atol=1e-9)


def test_without_a_target_or_a_tile_nothing_is_read(image):
    a_job = job(image)
    assert with_stain(a_job, None) is a_job
    no_tile = dataclasses.replace(a_job, is_computed=np.zeros_like(a_job.is_computed))
    assert with_stain(no_tile, target_of("reinhard", image)) is no_tile


def test_a_blank_image_is_seen_as_it_is(image):
    blank = np.full((100, 100, 3), 250, np.uint8)
    a_job = with_stain(job(blank), target_of("reinhard", image))
    assert not a_job.stain.is_usable
    assert all((tile == 250).all() for tile in tiles(a_job))
    assert "not normalised" in NOT_NORMALIZED
