"""From the tiles of one image to bands of a model's outputs at its full resolution."""

from collections.abc import Iterable, Iterator

import numpy as np

from nucseg_jax.images.resample import ToSourceGrid
from nucseg_jax.images.source import RefusedImage
from nucseg_jax.inference.tiling.blending import Blender
from nucseg_jax.inference.tiling.job import Job
from nucseg_jax.inference.tiling.stream import Event, Failed, RowEnd, Tile


def bands_of(events: Iterable[Event], job: Job, channels: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blends the tiles of a job into bands of rows, as the tiles come.

    Args:
      events: of this job after inference, Begin left out or not.
      job: the image.
      channels: F + M, foreground classes and maps.

    Yields:
      For each row of tiles the band's first row at full resolution, and float32 [h, W, F + M] from there; h may be 0.

    Raises:
      RefusedImage: the image cannot be read further, or the model gave something else than numbers, which would count
        as background.
    """
    blender = Blender(job.plan, channels, first_row=job.first_row)
    resampler = ToSourceGrid(job.view, top=job.rows_done)
    # An earlier start wrote what lies above; bands that begin too early are cut.
    needed_from = resampler.first_model_row()
    for event in events:
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Tile):
            if not np.isfinite(event.values).all():
                raise RefusedImage(
                    f"{job.path}: the model's outputs are not numbers",
                    expected="probabilities of 0 to 1 and finite maps",
                    advice="train the model again, in float32 if it was bfloat16: its weights or activations overflow",
                )
            blender.add(event.column, event.values)
        elif isinstance(event, RowEnd):
            top, band = blender.finish_row(event.row)
            early = min(max(needed_from - top, 0), len(band))
            yield resampler.push(top + early, band[early:])
