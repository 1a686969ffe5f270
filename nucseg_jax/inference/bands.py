"""Tiles of one image to bands of probability at its full resolution."""

import numpy as np

from nucseg_jax.images.resample import ToSourceGrid
from nucseg_jax.images.source import RefusedImage
from nucseg_jax.inference.blending import Blender
from nucseg_jax.inference.job import Job
from nucseg_jax.inference.stream import RowEnd, Tile
from nucseg_jax.ops.probability import any_nucleus, levels, lowest_nucleus_level


class Bands:
    """Takes the tiles of a job as they come and gives bands of rows.

    Args:
      job: the image.
      channels: F, foreground classes.
    """

    def __init__(self, job: Job, channels: int):
        self._path = job.path
        self._blender = Blender(job.plan, channels, first_row=job.first_row)
        self._resampler = ToSourceGrid(job.view, top=job.rows_done)
        # What lies above was made by an earlier start; bands that begin too early are cut.
        self._needed_from = self._resampler.first_model_row()

    def add(self, tile: Tile) -> None:
        """Takes a tile after inference.

        Raises:
          RefusedImage: the model gave something else than numbers, which would count as background.
        """
        if not np.isfinite(tile.values).all():
            raise RefusedImage(
                f"{self._path}: the model's probabilities are not numbers",
                expected="0 to 1",
                advice="train the model again, in float32 if it was bfloat16: its weights or activations overflow",
            )
        self._blender.add(tile.column, tile.values)

    def finish_row(self, event: RowEnd) -> tuple[int, np.ndarray]:
        """First row at full resolution, and float32 [h, W, F] from there; h may be 0."""
        top, band = self._blender.finish_row(event.row)
        early = min(max(self._needed_from - top, 0), len(band))
        return self._resampler.push(top + early, band[early:])


def levels_and_classes(band: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Probability of any nucleus in 255ths, uint8 [h, W], and the likeliest class, uint8 [h, W], 1..F.

    The level is `ops.probability.lowest_nucleus_level` or more exactly where the probability > threshold.

    Args:
      band: float32 [h, W, F]; without classes (F = 1) the second is None.
      threshold: 0 <= threshold < 1, compared as a float32.
    """
    probability = any_nucleus(band)
    level = levels(probability, probability > threshold, lowest_nucleus_level(threshold))
    if band.shape[-1] == 1:
        return level, None
    return level, (band.argmax(axis=-1) + 1).astype(np.uint8)
