"""Batch-norm statistics of the weights as they are, in place of the lagging moving ones.

Moving statistics remember weights of many steps ago. While strong L2 still shrinks the weights they no longer
fit, and a model that trains well scores badly in evaluation.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh

from nucseg_jax.data.batch import Batch
from nucseg_jax.training.mesh import batch_sharded, replicated
from nucseg_jax.training.transfer import frozen_mask


def compile_statistics_step(
    model: nn.Module, mesh: Mesh, *, momentum: float, frozen_stages: Sequence[str] = ()
) -> jax.stages.Wrapped:
    """A jitted function from variables and a batch to that batch's means and variances.

    Args:
      model: a linen module with dropout 0.
      mesh: the batch is split over it; the statistics are those of the whole batch.
      momentum: of the model's batch norms, by which the batch's share is told from the moving statistics.
      frozen_stages: encoder stages whose statistics stay what they are.

    Returns:
      (variables, batch) -> a tree like `batch_stats`.
    """

    def statistics(variables: dict[str, Any], batch: Batch) -> Any:
        variables = jax.lax.with_sharding_constraint(variables, replicated(mesh))
        frozen = frozen_mask(variables["batch_stats"], frozen_stages)
        # From statistics of zero, the update leaves (1 - momentum) times those of the batch.
        start = jax.tree.map(
            lambda leaf, stays: leaf if stays else jnp.zeros_like(leaf), variables["batch_stats"], frozen
        )
        _, updated = model.apply(
            {**variables, "batch_stats": start}, batch.image, train=True, mutable=["batch_stats"]
        )
        return jax.tree.map(
            lambda moved, stays: moved if stays else moved / (1.0 - momentum), updated["batch_stats"], frozen
        )

    return jax.jit(statistics, in_shardings=(None, batch_sharded(mesh)), out_shardings=replicated(mesh))


def reestimate_batch_statistics(
    statistics_step: jax.stages.Wrapped, variables: dict[str, Any], batches: Iterable[Batch]
) -> dict[str, Any]:
    """The same variables with statistics pooled over all batches.

    The pooled mean is the mean of means; the pooled variance that of all values together: the mean variance
    plus the variance of the means. All batches must have the same size.

    Args:
      statistics_step: from `compile_statistics_step`.
      variables: of the model.
      batches: at least one, of training examples, on the mesh.

    Raises:
      ValueError: no batch.
    """
    total, count = None, 0
    for batch in batches:
        statistics = flatten_dict(statistics_step(variables, batch))
        moments = {
            path: value if path[-1] == "mean" else value + jnp.square(statistics[*path[:-1], "mean"])
            for path, value in statistics.items()
        }
        total = moments if total is None else jax.tree.map(jnp.add, total, moments)
        count += 1
    if total is None:
        raise ValueError("no batch to estimate statistics from")
    mean = {path: value / count for path, value in total.items()}
    pooled = {
        path: value if path[-1] == "mean" else value - jnp.square(mean[*path[:-1], "mean"])
        for path, value in mean.items()
    }
    return {**variables, "batch_stats": unflatten_dict(pooled)}
