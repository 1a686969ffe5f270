"""The evaluation step: a batch to its counts, losses and predicted probabilities, on every device."""

from collections.abc import Callable, Iterator
from typing import Generic

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import struct
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.data.batch import Batch, Leaf
from nucseg_jax.data.batches import evaluation_batches
from nucseg_jax.data.patch_store import PatchStore
from nucseg_jax.data.void import annotated_px, nucleus_px
from nucseg_jax.evaluation.normalized_images import normalized_images
from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.quantize import nearest_class_levels, nearest_map_levels
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.heads.table import HEADS
from nucseg_jax.models.views import OutputsFunction, compile_mean_of_views
from nucseg_jax.ops.counts import count_pixels
from nucseg_jax.ops.objective import Objective
from nucseg_jax.ops.outputs import Outputs
from nucseg_jax.ops.probability import foreground_probability, nucleus_level, predicted_label
from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.runtime.mesh import batch_sharded, replicated
from nucseg_jax.runtime.placement import held_examples, put_batch


class EvaluatedBatch(struct.PyTreeNode, Generic[Leaf]):
    """A batch as a model sees it, on every device and so in every process; or fetched to the host.

    Attributes:
      valid, index, group: the batch's own.
      truth: bool [N, H, W], where its label is any nucleus.
      valid_px: bool [N, H, W], which pixels are annotated; None = all. No count, loss or level has another pixel in it.
      counts: int32 [N, K, 4], see `ops.counts`.
      losses: {name: float32 [N]}, the objective's terms.
      level: uint8 [N, H, W], the probability of any nucleus in 255ths; above 127 exactly where `nucleus`.
      nucleus: bool [N, H, W], the mask that is scored; None where it was not fetched.
      instance: uint16 [N, H, W], the batch's own; None where nuclei are not scored, like all that follows.
      label: uint8 [N, H, W], the batch's own.
      classes: uint8 [N, H, W], the likeliest class, 1..C; None without classes too.
      maps: int8 [N, H, W, M], of the instance head, see `heads.decoding.quantize.map_levels`; None without one too.
      class_levels: uint8 [N, H, W, C], probability of each class in 255ths; None without head or classes too.
    """

    valid: Leaf
    index: Leaf
    group: Leaf
    truth: Leaf
    valid_px: Leaf | None
    counts: Leaf
    losses: dict[str, Leaf]
    level: Leaf
    nucleus: Leaf | None
    instance: Leaf | None = None
    label: Leaf | None = None
    classes: Leaf | None = None
    maps: Leaf | None = None
    class_levels: Leaf | None = None

    def masks_alone(self) -> "EvaluatedBatch[Leaf]":
        """Returns the batch without what only nuclei are scored from."""
        alone: EvaluatedBatch[Leaf] = self.replace(
            instance=None, label=None, classes=None, maps=None, class_levels=None
        )
        return alone

    def band(self) -> Band:
        """Returns the outputs that nuclei are found in, of a batch on the host."""
        return Band(self.level, self.classes, self.maps, self.class_levels)  # type: ignore[arg-type]


EvaluationStep = Callable[[Variables, Batch[jax.Array]], EvaluatedBatch[jax.Array]]


def compile_evaluation_step(
    model: nn.Module,
    objective: Objective,
    mesh: Mesh,
    *,
    head: Head = HEADS["none"],
    batch_statistics: bool = False,
    has_void: bool = False,
    stain: StainTarget | None = None,
) -> jax.stages.Wrapped:
    """Returns a jitted function from variables and a batch to an `EvaluatedBatch`.

    Args:
      model: a linen module, `apply(variables, image, train=...)` to logits.
      objective: whose terms are computed for each image.
      mesh: the batch is split over it.
      head: the model's; with maps, batches must have instance ids.
      batch_statistics: normalise with the statistics of the batch at hand instead of the moving ones; the
        model must then have dropout 0. The result depends on the batch size: a diagnosis, not a score.
      has_void: whether labels have pixels that nobody annotated; see `data.void`.
      stain: each image is normalised to it before the model sees it; None = the model sees it as it is.
    """
    outputs_of = _outputs_of(model, mesh, batch_statistics=batch_statistics)
    normalized = normalized_images(stain, mesh)
    evaluated = _evaluated(objective, head, has_void=has_void)

    def evaluation_step(variables: Variables, batch: Batch[jax.Array]) -> EvaluatedBatch[jax.Array]:
        return evaluated(batch, outputs_of(variables, normalized(batch.image)))

    return jax.jit(evaluation_step, in_shardings=(None, batch_sharded(mesh)), out_shardings=replicated(mesh))


def compile_evaluation_of_views(
    model: nn.Module,
    objective: Objective,
    mesh: Mesh,
    *,
    head: Head = HEADS["none"],
    batch_statistics: bool = False,
    has_void: bool = False,
    stain: StainTarget | None = None,
) -> EvaluationStep:
    """Returns a step of the mean outputs over the eight symmetries of each image, see `models.views`.

    Arguments as in `compile_evaluation_step`; every view has its own batch statistics, and an image is normalised once.
    """
    image_sharding = batch_sharded(mesh).image
    normalized = (
        normalized_images(None, mesh)
        if stain is None
        else jax.jit(
            normalized_images(stain, mesh), in_shardings=image_sharding, out_shardings=image_sharding
        )
    )
    mean_of_views = compile_mean_of_views(
        _outputs_of(model, mesh, batch_statistics=batch_statistics),
        head,
        image_sharding,
    )
    evaluated = jax.jit(
        _evaluated(objective, head, has_void=has_void),
        in_shardings=(batch_sharded(mesh), None),
        out_shardings=replicated(mesh),
    )

    def evaluation_step(variables: Variables, batch: Batch[jax.Array]) -> EvaluatedBatch[jax.Array]:
        of_batch: EvaluatedBatch[jax.Array] = evaluated(
            batch, mean_of_views(variables, normalized(batch.image))
        )
        return of_batch

    return evaluation_step


def _outputs_of(model: nn.Module, mesh: Mesh, *, batch_statistics: bool) -> OutputsFunction:
    def outputs_of(variables: Variables, image: jax.Array) -> Outputs:
        variables = jax.lax.with_sharding_constraint(variables, replicated(mesh))
        if batch_statistics:
            outputs, _ = model.apply(variables, image, train=True, mutable=["batch_stats"], method="outputs")
        else:
            outputs = model.apply(variables, image, train=False, method="outputs")
        found: Outputs = outputs
        return found

    return outputs_of


def _evaluated(
    objective: Objective, head: Head, *, has_void: bool
) -> Callable[[Batch[jax.Array], Outputs], EvaluatedBatch[jax.Array]]:
    def evaluated(batch: Batch[jax.Array], outputs: Outputs) -> EvaluatedBatch[jax.Array]:
        logits = outputs.logits
        valid_px = annotated_px(batch.label, has_void=has_void)
        return EvaluatedBatch(
            valid=batch.valid,
            index=batch.index,
            group=batch.group,
            truth=nucleus_px(batch.label, valid_px),
            valid_px=valid_px,
            counts=count_pixels(logits, batch.label, valid_px),
            losses=objective.values(outputs, batch.label, valid_px, head.target_maps(batch.instance)),
            level=nucleus_level(logits),
            nucleus=predicted_label(logits) > 0,
            **(_of_nuclei(batch, outputs) if batch.instance is not None else {}),
        )

    return evaluated


def _of_nuclei(batch: Batch[jax.Array], outputs: Outputs) -> dict[str, jax.Array | None]:
    """Returns outputs and truth of nuclei; a map that is not a number is 0, as such a logit is background."""
    maps, probability = outputs.maps, foreground_probability(outputs.logits)
    has_classes = probability.shape[-1] > 1
    return {
        "instance": batch.instance,
        "label": batch.label,
        "classes": (jnp.argmax(probability, axis=-1) + 1).astype(jnp.uint8) if has_classes else None,
        "maps": None if maps is None else nearest_map_levels(jnp.nan_to_num(maps)),
        "class_levels": None
        if maps is None or not has_classes
        else nearest_class_levels(jnp.nan_to_num(probability)),
    }


def placed_batches(
    patches: PatchStore, rows: np.ndarray, *, batch_size: int, mesh: Mesh
) -> Iterator[Batch[jax.Array]]:
    """Yields `evaluation_batches` on the mesh; every process reads what its own devices hold."""
    held = held_examples(mesh, batch_size)
    for batch in evaluation_batches(patches, rows, batch_size=batch_size, held=held):
        yield put_batch(batch, mesh, batch_size=batch_size)
