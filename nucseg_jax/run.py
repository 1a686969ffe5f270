"""A trained model, opened from a run folder or a model folder, and what it sees in an image."""

import dataclasses
import hashlib
import math
import pathlib
import sys
import warnings
from collections.abc import Iterable

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.adaptation import adapted_variables, thinned, tiles_an_image
from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.experiment import Experiment, read_experiment, read_experiment_file
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.stored_rule import rule_from_json
from nucseg_jax.images.source import array_source
from nucseg_jax.inference.prediction import Prediction, predict_job
from nucseg_jax.inference.tiling.job import Job, plan_job
from nucseg_jax.inference.tiling.predictor import Predictor, make_predictor
from nucseg_jax.inference.tiling.stain import with_stain
from nucseg_jax.inference.tiling.stream import Failed
from nucseg_jax.inference.tiling.tiles import check_tiles, default_overlap
from nucseg_jax.model_folder.facts import first_line
from nucseg_jax.model_folder.folder import is_model_folder, read_model_folder, require_some_model
from nucseg_jax.model_folder.named import find_model
from nucseg_jax.models.initial import abstract_variables
from nucseg_jax.models.temperature import with_temperature
from nucseg_jax.ops.stain_normalization.stored_target import target_from_json, target_to_json
from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.run_folder.check import best_checkpoint, require_config
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_state
from nucseg_jax.training.checkpoint import abstract_like, restore_checkpoint

BATCH_SIZE = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """The best model of a run, ready for images; `load_run` opens one.

    `experiment.model` and `variables` are a linen module and its variables, for anything else.

    Attributes:
      path: the run folder or the model folder.
      name: the same for people: a path as it was given, or the name of a model of this installation.
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


def load_run(source: str | pathlib.Path) -> Run:
    """Opens a trained model on all devices: of a run folder, of a model folder, or one that this installation has.

    Args:
      source: the --workdir of `launch.py train`, the --out of `export --format=folder`, or the name of one here. A
        `pathlib.Path`, and a text with a separator, is always a path.

    Raises:
      UserError: no such run, model folder or name; a name that is a folder here too; a folder that is damaged, or a run
        without a validated checkpoint.
    """
    path, name = find_model(source)
    require_some_model(path)
    return open_model_folder(path, name) if is_model_folder(path) else open_run_folder(path, name)


def open_run_folder(path: pathlib.Path, name: str) -> Run:
    """Opens a run folder: its config and its best checkpoint.

    Batch norm's statistics are the checkpoint's moving ones. A run that was scored with re-estimated ones, which no
    checkpoint holds, gives a UserWarning: its scores are not those of this model.

    Args:
      path: the --workdir of `launch.py train`.
      name: of it for people.

    Raises:
      UserError: no run, or none with a validated checkpoint.
    """
    folder = RunFolder(path)
    require_config(folder)
    experiment = read_experiment_file(folder.config)
    info = folder.read_info()
    info.require_num_classes(experiment.config.model.num_classes)
    rule = rule_of(folder, experiment)
    mesh = make_mesh()
    step, variables = scored_variables(experiment, folder, mesh)
    if experiment.config.eval.reestimate_batch_norm:
        warnings.warn(
            f"{folder.path} was selected and scored with re-estimated batch-norm statistics"
            " (eval.reestimate_batch_norm); predictions have the checkpoint's moving ones, which results.json does not"
            f" score. To score them: {PROGRAM} evaluate with the run's --config and"
            " --config.eval.reestimate_batch_norm=False",
            stacklevel=3,
        )
    stain = stain_of(folder, experiment)
    return Run(path, name, experiment, info, rule, step, variables, mesh, stain=stain)


def open_model_folder(path: pathlib.Path, name: str) -> Run:
    """Opens a model folder: its facts and its weights.

    Args:
      path: the --out of `export --format=folder`.
      name: of the model for people.

    Raises:
      UserError: a file is missing, damaged or altered, or of a later version.
    """
    folder = read_model_folder(path)
    facts = folder.facts
    experiment = read_experiment(facts.config)
    facts.info.require_num_classes(experiment.config.model.num_classes)
    mesh = make_mesh()
    variables = put_state(folder.read_variables(abstract_variables(experiment.model)), mesh)
    return Run(
        path,
        name,
        experiment,
        facts.info,
        facts.rule,
        facts.checkpoint_step,
        variables,
        mesh,
        licence=first_line(facts.licence),
        stain=facts.stain,
    )


def rule_of(folder: RunFolder, experiment: Experiment) -> NucleusRule:
    """Returns what counts as a nucleus to a run: as it was tuned, or the default where it was not.

    Raises:
      UserError: the stored rule is damaged, or was altered since the run ended.
    """
    stored = folder.read_fitted(folder.nucleus_rule)
    if stored is None:
        return experiment.default_rule
    try:
        return rule_from_json(stored["rule"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{folder.nucleus_rule} is damaged: {reason_of(error)}", expected="the file that train wrote"
        ) from None


def scored_variables(experiment: Experiment, folder: RunFolder, mesh: Mesh) -> tuple[int, Variables]:
    """Step and variables that scores and predictions are made with: the best ones, calibrated with eval.calibrate.

    Args:
      experiment: of the run, with the settings of evaluation that were asked for.
      folder: the run.
      mesh: where the variables go.

    Raises:
      UserError: as `best_variables`; or a temperature is asked for, and the run has none or a damaged one.
    """
    step, variables = best_variables(experiment, folder, mesh)
    if experiment.config.eval.calibrate:
        variables = with_temperature(variables, temperature_of(folder), experiment.model.map_channels)
    return step, variables


def temperature_of(folder: RunFolder) -> float:
    """Returns the temperature that was fitted when training ended.

    Raises:
      UserError: there is none, or it is damaged, or was altered since the run ended.
    """
    stored = folder.read_fitted(folder.temperature)
    if stored is None:
        raise UserError(
            f"{folder.path} has no temperature: eval.calibrate is on, and it was not when this training ended, or the"
            " training has not ended",
            expected=f"a finished run with {folder.temperature.name}",
            advice="score with --config.eval.calibrate=False, or train with --config.eval.calibrate=True",
        )
    try:
        value = float(stored["temperature"])
        if not 0 < value < math.inf:
            raise ValueError(f"the temperature is {value}")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder.temperature} is damaged: {reason_of(error)}", expected="the file that train wrote"
        ) from None
    return value


def stain_of(folder: RunFolder, experiment: Experiment) -> StainTarget | None:
    """Returns what a run's images are normalised to, as it was measured when the run began; None without.

    Args:
      folder: of the run.
      experiment: with the run's own config.

    Raises:
      UserError: the stored target is missing or damaged, or was altered since the run began.
    """
    method = experiment.config.eval.stain_normalization
    if method == "none":
        return None
    stored = folder.read_stain()
    if stored is None:
        raise UserError(
            f"{folder.stain} is missing, and the run's eval.stain_normalization is {method}",
            expected="the file that train wrote",
            advice="restore it from a copy",
        )
    target = target_from_json(stored)
    if target.method != method:
        raise UserError(
            f"{folder.stain} is of {target.method}, and the run's eval.stain_normalization is {method}",
            expected="the file that train wrote",
            advice="restore it from a copy",
        )
    return target


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
