"""A model on an array in memory: what `Run.predict` gives."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import shapely

from nucseg_jax.core.files import write_text
from nucseg_jax.core.paths import user_path
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.heads.decoding.band import to_band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.inference.nuclei.geojson import class_colors, features
from nucseg_jax.inference.nuclei.measure import Table, measure_nuclei
from nucseg_jax.inference.nuclei.nucleus_stream import NucleusStream
from nucseg_jax.inference.nuclei.outlines import outlines
from nucseg_jax.inference.output.overlay import Overlay
from nucseg_jax.inference.tiling.bands import bands_of
from nucseg_jax.inference.tiling.job import Job
from nucseg_jax.inference.tiling.predictor import Predictor
from nucseg_jax.inference.tiling.stream import infer, read_events
from nucseg_jax.ops.levels import any_nucleus


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """Nuclei of one image, all at the image's own resolution.

    Attributes:
      image: uint8 [H, W, 3], what was looked at.
      probability: float32 [H, W], 0..1, of any nucleus; nuclei lie where it exceeds the rule's threshold.
      classes: uint8 [H, W], 1..C in the order of `info.classes`, the likeliest class whatever its
        probability; None for a model without classes.
      nuclei: uint32 [H, W], 0 background, else the number of a nucleus.
      table: `inference.nuclei.measure.COLUMNS`, arrays [K] of the K nuclei in the order of their numbers;
        `pandas.DataFrame` takes it as it is.
      polygons: K outlines along the edges of pixels; x to the right, y down, px.
      microns_per_px: of the image.
      info: of the data set that the model was trained on: names and colours of classes.
    """

    image: np.ndarray
    probability: np.ndarray
    classes: np.ndarray | None
    nuclei: np.ndarray
    table: Table
    polygons: list[shapely.Polygon]
    microns_per_px: float
    info: DatasetInfo

    @property
    def mask(self) -> np.ndarray:
        """Bool [H, W]: where nuclei are."""
        return self.nuclei > 0

    def overlay(self) -> np.ndarray:
        """uint8 [H, W, 3]: the image with the outlines of its nuclei."""
        height, width = self.nuclei.shape
        drawn = Overlay(height, width, class_colors(self.info), largest_px=max(height, width))
        drawn.add_image(self.image)
        drawn.add_nuclei(self.nuclei, self.table, first=1, top=0)
        return drawn.picture()

    def write_geojson(self, path: str | pathlib.Path) -> None:
        """Writes the outlines as QuPath's detections."""
        path = user_path(path)
        colors = class_colors(self.info)
        lines = [json.loads(line) for line in features(path.stem, self.polygons, self.table, colors)]
        text = json.dumps({"type": "FeatureCollection", "features": lines}, allow_nan=False)
        write_text(path, text + "\n")


def predict_job(job: Job, predictor: Predictor, rule: NucleusRule, info: DatasetInfo) -> Prediction:
    """The nuclei of an image that fits into memory.

    Args:
      job: all of the image.
      predictor: the model, of the job's tile size.
      rule: what counts as a nucleus.
      info: of the data set that the model was trained on.

    Raises:
      RefusedImage: the image cannot be read.
    """
    source, microns = job.view.source, job.resolution.microns_per_px
    events = infer(read_events([job]), predictor)
    values = np.concatenate([values for _, values in bands_of(events, job, predictor.channels)])
    band = to_band(values, rule.threshold, predictor.map_channels)
    image = source.read(0, 0, source.height, source.width)
    found = NucleusStream(rule, microns_per_px=microns, height=source.height).push(band, image)
    where: dict[str, Any] = dict(first=found.first, count=found.new, top=0)
    table = measure_nuclei(
        found.nuclei,
        band=band,
        class_names=info.class_names,
        image=image,
        microns_per_px=microns,
        **where,
    )
    return Prediction(
        image=image,
        probability=any_nucleus(values[..., : predictor.channels - predictor.map_channels]),
        classes=band.classes,
        nuclei=found.nuclei,
        table=table,
        polygons=outlines(found.nuclei, **where),
        microns_per_px=microns,
        info=info,
    )
