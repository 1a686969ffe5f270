"""A trained run, opened: its best model, and what it sees in an image."""

import dataclasses
import functools
import hashlib
import pathlib
import sys
import warnings

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.experiment import Experiment, read_experiment_file
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.stored_rule import rule_from_json
from nucseg_jax.images.source import array_source
from nucseg_jax.inference.prediction import Prediction, predict_job
from nucseg_jax.inference.tiling.job import plan_job
from nucseg_jax.inference.tiling.predictor import Predictor, make_predictor
from nucseg_jax.inference.tiling.tiles import check_tiles, default_overlap
from nucseg_jax.run_folder.check import best_checkpoint, require_config
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.training.checkpoint import abstract_like, restore_checkpoint

BATCH_SIZE = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """The best model of a run, ready for images; `load_run` opens one.

    `experiment.model` and `variables` are a linen module and its variables, for anything else.

    Attributes:
      path: the run folder.
      experiment: its config and parts.
      info: description of the data set that it was trained on: classes, size and scale of patches.
      checkpoint_step: step of the best checkpoint.
      variables: variables of the model, on the devices; averaged ones where the run has train.ema_decay.
      mesh: all devices.
    """

    path: pathlib.Path
    experiment: Experiment
    info: DatasetInfo
    checkpoint_step: int
    variables: Variables
    mesh: Mesh
    _predictors: dict[tuple[int, int, int], Predictor] = dataclasses.field(default_factory=dict, repr=False)

    @functools.cached_property
    def rule(self) -> NucleusRule:
        """The definition of a nucleus where no other is asked for; with an instance head as it was tuned."""
        return rule_of(RunFolder(self.path), self.experiment)

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
        tile_px, overlap_px = self.tiles(tile_px, overlap_px)
        job = plan_job(
            pathlib.Path("the image"),
            array_source(np.asarray(image)),
            microns_per_px=microns_per_px,
            model_microns_per_px=self.info.microns_per_px,
            tile_px=tile_px,
            overlap_px=overlap_px,
        )
        predictor = self.predictor(tile_px=tile_px, batch_size=batch_size, views=views)
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

    def digest(self) -> str:
        """SHA-256 of the model's config and weights: of all that its predictions depend on."""
        digest = hashlib.sha256(repr(self.experiment.config.model).encode())
        digest.update(self.experiment.config.train.dtype.encode())
        for leaf in jax.tree.leaves(jax.device_get(self.variables)):
            digest.update(np.ascontiguousarray(leaf).data)
        return digest.hexdigest()


def load_run(path: str | pathlib.Path) -> Run:
    """Opens a run folder: its config and its best checkpoint, on all devices.

    Batch norm's statistics are the checkpoint's moving ones. A run that was scored with re-estimated ones, which no
    checkpoint holds, gives a UserWarning: its scores are not those of this model.

    Args:
      path: the --workdir of `launch.py train`.

    Raises:
      UserError: no run, or none with a validated checkpoint.
    """
    folder = RunFolder(user_path(path))
    require_config(folder)
    experiment = read_experiment_file(folder.config)
    info = folder.read_info()
    info.require_num_classes(experiment.config.model.num_classes)
    mesh = make_mesh()
    step, variables = best_variables(experiment, folder, mesh)
    if experiment.config.eval.reestimate_batch_norm:
        warnings.warn(
            f"{folder.path} was selected and scored with re-estimated batch-norm statistics"
            " (eval.reestimate_batch_norm); predictions have the checkpoint's moving ones, which results.json does not"
            f" score. To score them: {PROGRAM} evaluate with the run's --config and"
            " --config.eval.reestimate_batch_norm=False",
            stacklevel=2,
        )
    return Run(folder.path, experiment, info, step, variables, mesh)


def rule_of(folder: RunFolder, experiment: Experiment) -> NucleusRule:
    """Returns what counts as a nucleus to a run: as it was tuned, or the default where it was not.

    Raises:
      UserError: the stored rule is damaged, or was altered since the run ended.
    """
    stored = folder.read_nucleus_rule()
    if stored is None:
        return experiment.default_rule
    try:
        return rule_from_json(stored["rule"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{folder.nucleus_rule} is damaged: {reason_of(error)}", expected="the file that train wrote"
        ) from None


def best_variables(experiment: Experiment, folder: RunFolder, mesh: Mesh) -> tuple[int, Variables]:
    """Step and variables of a run's best checkpoint: those that it was validated with, averages where it has them.

    What is altered and changes nothing is named on standard error.

    Args:
      experiment: of the run, with its own model.
      folder: the run.
      mesh: where the variables go.

    Raises:
      UserError: there is none yet, the best is gone or damaged, or config.json or split.json are not those it was
        trained with.
    """
    require_config(folder)
    folder.read_splits()
    best, notes = best_checkpoint(folder)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    like = experiment.abstract_state(experiment.static_arguments(steps_per_epoch=1))
    state, _ = restore_checkpoint(best.path, abstract_like(like, mesh))
    return best.record.step, state.evaluated_variables
