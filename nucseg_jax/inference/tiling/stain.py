"""Stain normalisation of an image that is read by tiles: measured once, over all of it, and applied to each tile."""

import dataclasses

import numpy as np

from nucseg_jax.inference.tiling.job import ImageStain, Job
from nucseg_jax.inference.tiling.tiles import spread_tiles
from nucseg_jax.ops.stain_normalization.target import StainTarget

# Pixels that an image is measured on, so that a slide need not be read twice.
_MEASURED_PX = 1 << 22


def with_stain(job: Job, target: StainTarget | None) -> Job:
    """The same with each tile normalised by statistics of the image; reads up to `_MEASURED_PX` of it.

    On the model's grid, as the target was measured: a slide's overview has no nuclei left, and paler stains. Of an
    image with more pixels squares are read that are spread evenly over the tiles with tissue, the same ones each time.

    Args:
      job: with the tiles that are computed.
      target: None = tiles go to the model as they are.

    Raises:
      RefusedImage: the image cannot be read.
    """
    plan = job.plan
    if target is None or not job.is_computed.any():
        return job
    measured = spread_tiles(job.is_computed, max(1, _MEASURED_PX // plan.stride_px**2))
    pixels = []
    for row, column in np.argwhere(measured).tolist():
        # What a tile does not share with the next one; the last ones reach to the image's end.
        top, left = row * plan.stride_px, column * plan.stride_px
        bottom = plan.height if row == plan.rows - 1 else top + plan.stride_px
        right = plan.width if column == plan.columns - 1 else left + plan.stride_px
        pixels.append(job.view.read(top, left, bottom - top, right - left).reshape(-1, 3))
    of_image = target.statistics_of(np.concatenate(pixels)[None])
    return dataclasses.replace(job, stain=ImageStain(target, of_image))
