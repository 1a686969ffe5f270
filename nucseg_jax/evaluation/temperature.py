"""The temperature that fits a model's probabilities to a split best, by one pass over it.

It minimises the negative log-likelihood of "nucleus or not" over all annotated pixels (Guo et al. 2017, section 4.2;
natural logarithm), which is convex in 1 / T for one logit. The loss is summed at every temperature of a fine grid at
once, and a parabola through the lowest three gives the minimum between them.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.void import annotated_px, nucleus_px
from nucseg_jax.evaluation.normalized_images import normalized_images
from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.runtime.mesh import batch_sharded, replicated

# .1 to 10 in steps of 5 %; 1, no temperature, is one of them.
GRID: np.ndarray = np.exp(np.linspace(-np.log(10.0), np.log(10.0), 97))


@dataclasses.dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
      value: T, by which logits are divided.
      loss_before: mean negative log-likelihood of a pixel at T = 1.
      loss_after: at the grid's temperature nearest to `value`.
      pixels: over which it is the mean.
    """

    value: float
    loss_before: float
    loss_after: float
    pixels: int

    def entry(self) -> dict[str, float]:
        """Returns it as JSON values."""
        return {
            "temperature": self.value,
            "negative_log_likelihood_before": self.loss_before,
            "negative_log_likelihood_after": self.loss_after,
            "pixels": self.pixels,
        }


def compile_temperature_step(
    model: nn.Module, mesh: Mesh, *, has_void: bool = False, stain: StainTarget | None = None
) -> jax.stages.Wrapped:
    """Returns a jitted function from variables and a batch to what `fit_temperature` adds up.

    Args:
      model: a `models.segmenter.Segmenter`.
      mesh: the batch is split over it.
      has_void: labels have pixels that nobody annotated.
      stain: each image is normalised to it before the model sees it; None = the model sees it as it is.

    Returns:
      A function that returns float32 [97], the mean loss of the batch's pixels at each temperature of `GRID`, and
      int32 [], the count of those pixels.
    """
    normalized = normalized_images(stain, mesh)

    def temperature_step(variables: Variables, batch: Batch[jax.Array]) -> tuple[jax.Array, jax.Array]:
        variables = jax.lax.with_sharding_constraint(variables, replicated(mesh))
        outputs: Any = model.apply(variables, normalized(batch.image), train=False, method="outputs")
        valid_px = annotated_px(batch.label, has_void=has_void)
        truth = nucleus_px(batch.label, valid_px)
        counted = jnp.broadcast_to(batch.valid[:, None, None], truth.shape)
        if valid_px is not None:
            counted = counted & valid_px
        pixels = jnp.sum(counted, dtype=jnp.int32)

        def mean_loss(temperature: jax.Array) -> jax.Array:
            of_pixel = nucleus_log_loss(outputs.nucleus / temperature, truth)
            return jnp.sum(jnp.where(counted, of_pixel, 0.0)) / jnp.maximum(pixels, 1)

        return jax.lax.map(mean_loss, jnp.asarray(GRID, jnp.float32)), pixels

    return jax.jit(temperature_step, in_shardings=(None, batch_sharded(mesh)), out_shardings=replicated(mesh))


def nucleus_log_loss(logits: jax.Array, truth: jax.Array) -> jax.Array:
    """Computes the negative log-likelihood of "nucleus or not" of each pixel.

    Args:
      logits: floating [N, H, W, C], C = 1, or background first.
      truth: bool [N, H, W].

    Returns:
      The dtype of the logits, [N, H, W].
    """
    first = logits[..., 0]
    log_odds = first if logits.shape[-1] == 1 else jax.nn.logsumexp(logits[..., 1:], axis=-1) - first
    return jax.nn.softplus(jnp.where(truth, -log_odds, log_odds))


def fit_temperature(
    step: jax.stages.Wrapped, variables: Variables, batches: Iterable[Batch[jax.Array]]
) -> Temperature | None:
    """Fits the temperature on all pixels of some batches.

    Args:
      step: from `compile_temperature_step`.
      variables: of the model.
      batches: on the mesh.

    Returns:
      None where nothing can be fitted: no annotated pixel, logits that are not finite, or a loss that is lowest at an
      end of the grid, as where all pixels are of one kind or a model knows nothing.
    """
    total: np.ndarray = np.zeros(len(GRID), np.float64)
    count = 0
    for batch in batches:
        mean, pixels = jax.device_get(step(variables, batch))
        total += mean.astype(np.float64) * int(pixels)
        count += int(pixels)
    loss = total / max(count, 1)
    lowest = int(np.argmin(loss))
    if not count or not np.isfinite(loss).all() or lowest in (0, len(GRID) - 1):
        return None
    before, at, after = loss[lowest - 1 : lowest + 2]
    curvature = before - 2 * at + after
    shift = 0.5 * (before - after) / curvature if curvature > 0 else 0.0
    spacing = np.log(GRID[1] / GRID[0])
    return Temperature(
        value=float(GRID[lowest] * np.exp(shift * spacing)),
        loss_before=float(loss[len(GRID) // 2]),
        loss_after=float(at),
        pixels=count,
    )
