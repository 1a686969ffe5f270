"""A trained model, ready for images: what it sees in one."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.adaptation import adapted_variables, thinned, tiles_an_image
from nucseg_jax.core.arrays import Variables
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.experiment import Experiment
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.images.source import array_source
from nucseg_jax.inference.prediction import Prediction, predict_job
from nucseg_jax.inference.tiling.job import Job, plan_job
from nucseg_jax.inference.tiling.predictor import Predictor, make_predictor
from nucseg_jax.inference.tiling.stain import with_stain
from nucseg_jax.inference.tiling.stream import Failed
from nucseg_jax.inference.tiling.tiles import check_tiles, default_overlap
from nucseg_jax.ops.stain_normalization.stored_target import target_to_json
from nucseg_jax.ops.stain_normalization.target import StainTarget

BATCH_SIZE = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """The best model of a run, ready for images; `load_run` opens one.

    `experiment.model` and `variables` are a linen module and its variables, for anything else.

    Attributes:
      path: the run folder, the model folder or the packed model.
      name: the same for people: a path or URL as it was given, or the name of a model of this installation.
      experiment: its config and parts; of a model folder the fields that no prediction depends on have their defaults.
      info: description of the data set that it was trained on: classes, size and scale of patches.
      rule: the definition of a nucleus where no other is asked for; as it was tuned, if it was.
      checkpoint_step: step of the best checkpoint.
      variables: variables of the model, on the devices; averaged ones where the run has train.ema_decay.
      mesh: all devices.
      stain: what images are normalised to before the model sees them; None without stain normalisation.
      licence: of the weights, its name or first line, as a model folder states it; '' = of a run folder.
    """

    path: pathlib.Path
    name: str
    experiment: Experiment
    info: DatasetInfo
    rule: NucleusRule
    checkpoint_step: int
    variables: Variables
    mesh: Mesh
    licence: str = ""
    stain: StainTarget | None = None
    _predictors: dict[tuple[int, int, int], Predictor] = dataclasses.field(default_factory=dict, repr=False)

    def predict(
        self,
        image: np.ndarray,
        *,
        microns_per_px: float | None = None,
        rule: NucleusRule | None = None,
        tile_px: int | None = None,
        overlap_px: int | None = None,
        batch_size: int = BATCH_SIZE,
        views: int = 1,
    ) -> Prediction:
        """Finds the nuclei of an image of any size that fits into memory.

        A run with eval.stain_normalization sees the image normalised by statistics of the whole of it; all that is
        returned is of the image as it was given.

        The first call with a tile size, a batch size and a number of views compiles the model.

        Args:
          image: [H, W] or [H, W, 1 | 2 | 3 | 4], grey or RGB with or without alpha; uint8, uint16 (full range) or bool.
          microns_per_px: of the image, .05 to 1; None = the model's own, `info.microns_per_px`.
          rule: what counts as a nucleus; None = the run's own, `rule`.
          tile_px, overlap_px: on the model's grid; see `inference.tiling.tiles`. None = as `tiles` has it.
          batch_size: tiles that the devices take together; no result depends on it beyond rounding.
          views: 1; or 8 = the mean over the flips and quarter turns of each tile, which takes eight times as long.

        Returns:
          Probability, nuclei, outlines and measures at the image's own resolution.

        Raises:
          UserError: an image, resolution, tile size or number of views that cannot be used, and why.
        """
        (job,) = self.jobs_of([image], microns_per_px=microns_per_px, tile_px=tile_px, overlap_px=overlap_px)
        predictor = self.predictor(tile_px=job.plan.tile_px, batch_size=batch_size, views=views)
        return predict_job(job, predictor, rule or self.rule, self.info)

    def tiles(self, tile_px: int | None = None, overlap_px: int | None = None) -> tuple[int, int]:
        """Size and overlap of tiles, px on the model's grid.

        Args:
          tile_px: None = the side of the patches that the run was trained on. The paper's models look at the whole tile
            through image pooling, so that another size is another image to them.
          overlap_px: None = 64, or half a tile where that is less.

        Raises:
          UserError: a size or an overlap in which the model cannot be laid over an image.
        """
        tile = self.info.patch_px if tile_px is None else tile_px
        stride = self.experiment.model.encoder.output_stride
        overlap = default_overlap(tile, stride) if overlap_px is None else overlap_px
        check_tiles(tile, overlap, stride)
        return tile, overlap

    def predictor(self, *, tile_px: int, batch_size: int, views: int = 1) -> Predictor:
        """The model as a function of tiles, compiled once for each triple."""
        key = (tile_px, batch_size, views)
        if key not in self._predictors:
            self._predictors[key] = make_predictor(
                self.experiment.model,
                self.variables,
                self.mesh,
                num_classes=self.experiment.config.model.num_classes,
                tile_px=tile_px,
                batch_size=batch_size,
                head=self.experiment.head,
                views=views,
            )
        return self._predictors[key]

    def adapted(
        self,
        images: Iterable[np.ndarray],
        *,
        microns_per_px: float | None = None,
        tile_px: int | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> "Run":
        """Returns the same model with batch-norm statistics of images of another stain or scanner; needs no labels.

        Args:
          images: as in `predict`; those that will be predicted, or others like them.
          microns_per_px, tile_px: as in `predict`.
          batch_size: tiles in a batch, of which the statistics are; rounded up to a multiple of the devices.

        Raises:
          UserError: as in `predict`; or a model without batch norm.
        """
        jobs = self.jobs_of(images, microns_per_px=microns_per_px, tile_px=tile_px)
        return self.adapted_to(jobs, image_count=len(jobs), batch_size=batch_size)

    def jobs_of(
        self,
        images: Iterable[np.ndarray],
        *,
        microns_per_px: float | None = None,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> list[Job]:
        """Lays tiles over images; arguments and errors as in `predict`."""
        tile_px, overlap_px = self.tiles(tile_px, overlap_px)
        jobs = (
            plan_job(
                pathlib.Path("the image"),
                array_source(np.asarray(image)),
                microns_per_px=microns_per_px,
                model_microns_per_px=self.info.microns_per_px,
                tile_px=tile_px,
                overlap_px=overlap_px,
            )
            for image in images
        )
        return [with_stain(job, self.stain) for job in jobs]

    def adapted_to(
        self, jobs: Iterable[Job | Failed], *, image_count: int, batch_size: int = BATCH_SIZE
    ) -> "Run":
        """Returns the same as `adapted` for jobs of images, of which there are about `image_count`."""
        most = tiles_an_image(image_count)
        looked_at = (thinned(job, most) if isinstance(job, Job) else job for job in jobs)
        batch_size = -(-batch_size // self.mesh.size) * self.mesh.size
        config = self.experiment.config.model
        variables = adapted_variables(
            self.experiment.model,
            self.variables,
            self.mesh,
            looked_at,
            momentum=config.batch_norm_momentum,
            unbiased_variance=config.batch_norm_unbiased_variance,
            batch_size=batch_size,
        )
        return dataclasses.replace(self, variables=variables, _predictors={})

    def digest(self) -> str:
        """SHA-256 of the model's config and weights, and of its stain target: of all that its predictions depend on."""
        digest = hashlib.sha256(repr(self.experiment.config.model).encode())
        digest.update(self.experiment.config.train.dtype.encode())
        for leaf in jax.tree.leaves(jax.device_get(self.variables)):
            digest.update(np.ascontiguousarray(leaf).data)
        if self.stain is not None:
            digest.update(repr(target_to_json(self.stain)).encode())
        return digest.hexdigest()
