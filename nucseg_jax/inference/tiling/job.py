"""The work on one image: its pixels, its scale, its tiles, and the row to begin with."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from nucseg_jax.images.resample import ModelView, ToSourceGrid
from nucseg_jax.images.resolution import Resolution, check_resolution, model_size, of_objective, unknown
from nucseg_jax.images.source import Source
from nucseg_jax.inference.output.remarks import Appearance, appearance
from nucseg_jax.inference.tiling.tiles import TilePlan
from nucseg_jax.inference.tiling.tissue import slide_overview, tiles_with, tissue_mask
from nucseg_jax.ops.stain_normalization.target import StainTarget, Statistics

_WHITE = 255


@dataclasses.dataclass(frozen=True, eq=False)
class ImageStain:
    """Stain normalisation of one image.

    Attributes:
      target: what it is brought to.
      of_image: statistics of the image.
    """

    target: StainTarget
    of_image: Statistics

    @property
    def is_usable(self) -> bool:
        """False for an image that is left as it is: it has too little tissue, or one colour alone."""
        return bool(self.of_image.is_usable)

    def apply(self, tile: np.ndarray) -> np.ndarray:
        """Normalises a tile of the image, uint8 [T, T, 3]."""
        return self.target.apply(tile, self.of_image)


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """An image to be predicted.

    Attributes:
      path: names it in messages.
      view: its pixels on both grids.
      resolution: of its full resolution.
      plan: its tiles.
      is_computed: bool [rows, columns], the tiles that are computed; the others count as background.
      ends: rows at full resolution at which the bands end that an earlier start has written.
      first_row: the row of tiles to begin with.
      seen: a slide's appearance, its background included; None where all of the image is computed and seen anyway.
      stain: what tiles go through before the model; None = they are seen as they are.
    """

    path: pathlib.Path
    view: ModelView
    resolution: Resolution
    plan: TilePlan
    is_computed: np.ndarray
    ends: tuple[int, ...] = ()
    first_row: int = 0
    seen: Appearance | None = None
    stain: ImageStain | None = None

    @property
    def rows_done(self) -> int:
        """Rows of pixels, at full resolution, that an earlier start has written."""
        return self.ends[-1] if self.ends else 0

    def read_computed(self, top: int, height: int) -> np.ndarray:
        """Rows at full resolution, uint8 [height, W, 3], white where no tile was computed."""
        source, plan = self.view.source, self.plan
        scale = self.view.height / source.height
        first = max(0, int(top * scale) - plan.tile_px) // plan.stride_px
        last = int((top + height) * scale) // plan.stride_px + 1
        columns = np.flatnonzero(self.is_computed[first:last].any(axis=0))
        if not len(columns):
            return np.full((height, source.width, 3), _WHITE, np.uint8)
        # One span from the first to the last: tissue is rarely in two places so far apart that two would pay.
        scale = source.width / self.view.width
        left = int(columns[0] * plan.stride_px * scale)
        right = min(source.width, int((columns[-1] * plan.stride_px + plan.tile_px) * scale) + 1)
        if (left, right) == (0, source.width):
            return source.read(top, 0, height, source.width)
        rows: np.ndarray = np.full((height, source.width, 3), _WHITE, np.uint8)
        rows[:, left:right] = source.read(top, left, height, right - left)
        return rows


def plan_job(
    path: pathlib.Path,
    source: Source,
    *,
    microns_per_px: float | None,
    model_microns_per_px: float,
    tile_px: int,
    overlap_px: int,
    mpp_from_objective: bool = False,
) -> Job:
    """The whole of an image, every tile of it; reads no pixels.

    Args:
      path: names it.
      source: the image.
      microns_per_px: None = as the file states, or the model's own where it states none.
      model_microns_per_px: of the patches that the model was trained on: its grid.
      tile_px, overlap_px: on the model's grid.
      mpp_from_objective: where the file states an objective and no microns per pixel, take 10 / magnification.

    Raises:
      UserError: a resolution at which nuclei cannot be found.
    """
    resolution = source.resolution or unknown(model_microns_per_px)
    if mpp_from_objective and resolution.is_unknown and source.objective_power is not None:
        resolution = of_objective(source.objective_power)
    if microns_per_px is not None:
        resolution = Resolution(microns_per_px, "--mpp")
    check_resolution(resolution.microns_per_px, model_microns_per_px=model_microns_per_px)
    height, width = model_size(
        source.height, source.width, resolution.microns_per_px, model_microns_per_px=model_microns_per_px
    )
    plan = TilePlan(height, width, tile_px, overlap_px)
    everything: np.ndarray = np.ones((plan.rows, plan.columns), bool)
    return Job(path, ModelView(source, height, width), resolution, plan, everything)


def without_background(job: Job) -> Job:
    """The same for a slide, without the tiles that have no tissue; looks at the whole slide, small."""
    picture = slide_overview(job.view.source)
    if picture is None:
        return job
    is_computed = tiles_with(tissue_mask(picture), job.plan)
    return dataclasses.replace(job, is_computed=is_computed, seen=appearance(picture))


def resumed(job: Job, ends: Sequence[int]) -> Job:
    """The same after bands that end at these rows of pixels, at full resolution."""
    job = dataclasses.replace(job, ends=tuple(ends))
    if not ends:
        return job
    if job.rows_done >= job.view.source.height:
        return dataclasses.replace(job, first_row=job.plan.rows)
    needed = ToSourceGrid(job.view, top=job.rows_done).first_model_row()
    return dataclasses.replace(job, first_row=job.plan.first_row_for(needed))
