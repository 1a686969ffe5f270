"""A model over a whole split: every patch once, exact counts."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from nucseg_jax.data.batch import Batch
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.ops.counts import count_pixels
from nucseg_jax.ops.probability import nucleus_probability, predicted_label
from nucseg_jax.training.mesh import batch_sharded, put_batch, replicated

Loss = Callable[[jax.Array, jax.Array], jax.Array]
CountStep = Callable[[dict[str, Any], Batch], tuple[jax.Array, jax.Array]]


def compile_count_step(
    model: nn.Module, loss: Loss, mesh: Mesh, *, batch_statistics: bool = False
) -> CountStep:
    """A jitted function from variables and a batch to counts int32 [N, K, 4] and loss float32 [N].

    Args:
      model: a linen module, `apply(variables, image, train=...)` to logits.
      loss: `loss(logits, label) -> [N]`, per image.
      mesh: the batch is split over its axis 'data'.
      batch_statistics: normalise with the statistics of the batch at hand instead of the moving ones; the
        model must then have dropout 0. The result depends on the batch size: a diagnosis, not a score.
    """

    def count_step(variables: dict[str, Any], batch: Batch) -> tuple[jax.Array, jax.Array]:
        if batch_statistics:
            logits, _ = model.apply(variables, batch.image, train=True, mutable=["batch_stats"])
        else:
            logits = model.apply(variables, batch.image, train=False)
        return count_pixels(logits, batch.label), loss(logits, batch.label)

    sharded = batch_sharded(mesh)
    return jax.jit(count_step, in_shardings=(replicated(mesh), sharded), out_shardings=(sharded, sharded))


def compile_prediction_step(model: nn.Module, mesh: Mesh) -> jax.stages.Wrapped:
    """A jitted function from variables and a batch to what the model sees of nuclei.

    Returns:
      (variables, batch) -> probability of any nucleus, float32 [N, H, W], and the mask that is scored, bool
      [N, H, W].
    """

    def predict(variables: dict[str, Any], batch: Batch) -> tuple[jax.Array, jax.Array]:
        logits = model.apply(variables, batch.image, train=False)
        return nucleus_probability(logits), predicted_label(logits) > 0

    sharded = batch_sharded(mesh)
    return jax.jit(predict, in_shardings=(replicated(mesh), sharded), out_shardings=(sharded, sharded))


def evaluate(
    count_step: CountStep, variables: dict[str, Any], batches: Iterable[Batch], mesh: Mesh
) -> Counts:
    """Runs `count_step` over all batches and gathers the counts of the valid examples on the host.

    One batch is always under way while the one before is fetched.
    """
    gathered = Counts.empty()
    waiting: tuple[Batch, tuple[jax.Array, jax.Array]] | None = None
    parts = []
    for batch in batches:
        running = (batch, count_step(variables, put_batch(batch, mesh)))
        if waiting is not None:
            parts.append(_fetch(*waiting))
        waiting = running
    if waiting is not None:
        parts.append(_fetch(*waiting))
    for part in parts:
        gathered = gathered.merge(part)
    return gathered


def _fetch(batch: Batch, result: tuple[jax.Array, jax.Array]) -> Counts:
    counts, loss = jax.device_get(result)
    return Counts.from_batch(
        counts=counts, loss=loss, index=batch.index, tissue=batch.tissue, valid=batch.valid
    )
