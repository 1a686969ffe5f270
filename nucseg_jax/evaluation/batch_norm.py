"""Batch-norm statistics of the weights as they are, in place of the lagging moving ones.

Moving statistics remember weights of many steps ago. While strong L2 still shrinks the weights they no longer
fit, and a model that trains well scores badly in evaluation.

Means and second central moments of the batches are merged in float64 (Chan, Golub, LeVeque 1983, eq. 2.1): sums of
squares, so that no variance falls below 0, which E[x^2] - E[x]^2 does by rounding wherever a channel hardly varies.
A batch's own moments are the model's, in float32: a variance below some 1e-6 of mean^2 is their rounding.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Array, Variables
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.batch import Batch, Leaf
from nucseg_jax.evaluation.normalized_images import normalized_images
from nucseg_jax.models.frozen_stages import frozen_mask
from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.runtime.mesh import batch_sharded, replicated
from nucseg_jax.runtime.placement import put

# Of a batch norm in the tree `batch_stats`, without its leaf 'mean' or 'var'.
Path = tuple[str, ...]


class BatchMoments(NamedTuple, Generic[Leaf]):
    """One batch's moments at every batch norm that is estimated, on every device or fetched.

    Attributes:
      valid: int32 [], examples that are no padding.
      examples: int32 [], all of them.
      values: {path: int32 []}, n = examples * H * W of that batch norm's input.
      mean: {path: float32 [C]}, mean of the n values of a channel.
      variance: {path: float32 [C]}, their mean squared distance from it (divided by n).
    """

    valid: Leaf
    examples: Leaf
    values: dict[Path, Leaf]
    mean: dict[Path, Leaf]
    variance: dict[Path, Leaf]


StatisticsStep = Callable[[Variables, Batch[jax.Array]], BatchMoments[jax.Array]]


def compile_statistics_step(
    model: nn.Module,
    mesh: Mesh,
    *,
    momentum: float,
    unbiased_variance: bool = False,
    frozen_stages: Sequence[str] = (),
    stain: StainTarget | None = None,
) -> jax.stages.Wrapped:
    """A jitted function from variables and a batch to that batch's `BatchMoments`.

    Args:
      model: a linen module with dropout 0.
      mesh: the batch is split over it; the moments are those of the whole batch.
      momentum: of the model's batch norms, by which the batch's share is told from the moving statistics.
      unbiased_variance: whether the model's moving variances follow n / (n - 1) times the batch's; that factor is
        taken off again.
      frozen_stages: encoder stages whose statistics stay what they are; they have no entry in the result.
      stain: each image is normalised to it before the model sees it; None = the model sees it as it is.
    """
    normalized = normalized_images(stain, mesh)

    def moments(variables: Variables, batch: Batch[jax.Array]) -> BatchMoments[jax.Array]:
        variables = jax.lax.with_sharding_constraint(variables, replicated(mesh))
        # A model without batch norms has none, and nothing is estimated.
        moving = variables.get("batch_stats", {})
        stays = flatten_dict(frozen_mask(moving, frozen_stages))
        norms = sorted({path[:-1] for path, is_frozen in stays.items() if not is_frozen})
        # From statistics of zero, the update leaves (1 - momentum) times those of the batch.
        start = {
            path: leaf if stays[path] else jnp.zeros_like(leaf) for path, leaf in flatten_dict(moving).items()
        }
        values: dict[Path, int] = {}

        def count_values(
            call: Callable[..., object],
            args: tuple[jax.Array, ...],
            kwargs: dict[str, object],
            context: nn.module.InterceptorContext,
        ) -> object:
            if context.method_name == "__call__" and context.module.path in norms:
                values[context.module.path] = args[0].size // args[0].shape[-1]
            return call(*args, **kwargs)

        with nn.intercept_methods(count_values):
            _, changed = model.apply(
                {**variables, "batch_stats": unflatten_dict(start)},
                normalized(batch.image),
                train=True,
                mutable=["batch_stats"],
            )
        updated = flatten_dict(changed.get("batch_stats", {}))

        def variance(norm: Path) -> jax.Array:
            n = values[norm]
            bias = (n - 1) / n if unbiased_variance and n > 1 else 1.0
            of_batch: jax.Array = updated[*norm, "var"] * (bias / (1.0 - momentum))
            return of_batch

        return BatchMoments(
            valid=jnp.sum(batch.valid, dtype=jnp.int32),
            examples=jnp.asarray(batch.valid.size, jnp.int32),
            values={norm: jnp.asarray(values[norm], jnp.int32) for norm in norms},
            mean={norm: updated[*norm, "mean"] / (1.0 - momentum) for norm in norms},
            variance={norm: variance(norm) for norm in norms},
        )

    return jax.jit(moments, in_shardings=(None, batch_sharded(mesh)), out_shardings=replicated(mesh))


class Pooled(NamedTuple):
    """Moments of one channel's values over all batches so far; float64 [C] each.

    Attributes:
      values: n, how many there are, a float.
      mean: their mean.
      squares: the sum of their squared distances from it, never negative.
    """

    values: float
    mean: np.ndarray
    squares: np.ndarray

    def merged(self, other: "Pooled") -> "Pooled":
        """Merges the moments of two sets of values into those of their union."""
        values = self.values + other.values
        apart = other.mean - self.mean
        return Pooled(
            values,
            self.mean + apart * (other.values / values),
            self.squares + other.squares + apart * apart * (self.values * other.values / values),
        )

    def variance(self, *, unbiased: bool) -> np.ndarray:
        """The squares divided by n, or by n - 1 if there are two values and more; float64 [C]."""
        return self.squares / (max(self.values - 1.0, 1.0) if unbiased else self.values)


def reestimate_batch_statistics(
    statistics_step: StatisticsStep,
    variables: Variables,
    batches: Iterable[Batch[jax.Array]],
    *,
    unbiased_variance: bool = False,
) -> Variables:
    """Returns the same variables with the mean and variance of all values that the batches bring to each batch norm.

    A batch counts by how many values it has, so that a smaller last one may follow. Frozen statistics are those of
    `variables`, untouched.

    Args:
      statistics_step: from `compile_statistics_step`.
      variables: of the model.
      batches: at least one, of examples without padding, on the mesh.
      unbiased_variance: divide by n - 1 in place of n, where n counts the values of a channel over ALL batches
        (examples * H * W). Moving statistics follow n / (n - 1) of one batch.

    Raises:
      ValueError: no batch, or padding in one, which would be counted as an example.
      UserError: moments that are not finite.
    """
    pooled: dict[Path, Pooled] = {}
    count = 0
    for moments in _fetched(statistics_step(variables, batch) for batch in batches):
        count += 1
        if moments.valid != moments.examples:
            raise ValueError(
                f"batch {count} has {moments.examples - moments.valid} of {moments.examples} examples of padding;"
                " expected only whole batches, or a smaller last one"
            )
        for norm, values in moments.values.items():
            mean, variance = (np.asarray(x[norm], np.float64) for x in (moments.mean, moments.variance))
            if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
                raise UserError(
                    f"batch {count} of the images that batch-norm statistics are estimated on: mean or variance at"
                    f" {'/'.join(norm)} is not finite",
                    expected="weights whose activations are finite numbers",
                    advice="lower the learning rate, or score with --config.eval.reestimate_batch_norm=False",
                )
            of_batch = Pooled(float(values), mean, float(values) * np.maximum(variance, 0.0))
            pooled[norm] = pooled[norm].merged(of_batch) if norm in pooled else of_batch
    if not count:
        raise ValueError("no batch to estimate statistics from")
    statistics = flatten_dict(variables.get("batch_stats", {}))
    for norm, total in pooled.items():
        found = {"mean": total.mean, "var": total.variance(unbiased=unbiased_variance)}
        for name, value in found.items():
            statistics[*norm, name] = _in_place_of(statistics[*norm, name], value)
    return {**variables, "batch_stats": unflatten_dict(statistics)}


def _fetched(running: Iterable[BatchMoments[jax.Array]]) -> Iterator[BatchMoments[np.ndarray]]:
    """Moments on the host; one batch is under way while the one before is fetched."""
    waiting: BatchMoments[jax.Array] | None = None
    for moments in running:
        if waiting is not None:
            yield jax.device_get(waiting)
        waiting = moments
    if waiting is not None:
        yield jax.device_get(waiting)


def _in_place_of(leaf: Array, value: np.ndarray) -> Array:
    """`value` in the dtype of a leaf, where it lies."""
    value = value.astype(leaf.dtype)
    return put(value, leaf.sharding) if isinstance(leaf, jax.Array) else value
