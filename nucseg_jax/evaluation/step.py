"""The evaluation step: a batch to its counts, losses and predicted probabilities, on every device."""

from collections.abc import Callable, Iterator
from typing import Generic

import jax
import numpy as np
from flax import linen as nn
from flax import struct
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.data.batch import Batch, Leaf
from nucseg_jax.data.batches import evaluation_batches
from nucseg_jax.data.patch_store import PatchStore
from nucseg_jax.data.void import annotated_px, nucleus_px
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.heads.table import HEADS
from nucseg_jax.ops.counts import count_pixels
from nucseg_jax.ops.objective import Objective
from nucseg_jax.ops.probability import nucleus_level, predicted_label
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


EvaluationStep = Callable[[Variables, Batch[jax.Array]], EvaluatedBatch[jax.Array]]


def compile_evaluation_step(
    model: nn.Module,
    objective: Objective,
    mesh: Mesh,
    *,
    head: Head = HEADS["none"],
    batch_statistics: bool = False,
    has_void: bool = False,
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
    """

    def evaluation_step(variables: Variables, batch: Batch[jax.Array]) -> EvaluatedBatch[jax.Array]:
        variables = jax.lax.with_sharding_constraint(variables, replicated(mesh))
        if batch_statistics:
            outputs, _ = model.apply(
                variables, batch.image, train=True, mutable=["batch_stats"], method="outputs"
            )
        else:
            outputs = model.apply(variables, batch.image, train=False, method="outputs")
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
        )

    return jax.jit(evaluation_step, in_shardings=(None, batch_sharded(mesh)), out_shardings=replicated(mesh))


def placed_batches(
    patches: PatchStore, rows: np.ndarray, *, batch_size: int, mesh: Mesh
) -> Iterator[Batch[jax.Array]]:
    """Yields `evaluation_batches` on the mesh; every process reads what its own devices hold."""
    held = held_examples(mesh, batch_size)
    for batch in evaluation_batches(patches, rows, batch_size=batch_size, held=held):
        yield put_batch(batch, mesh, batch_size=batch_size)
