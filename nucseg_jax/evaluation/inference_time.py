"""Seconds an image of inference, from uint8 images on the device to masks on the device (the paper's Table 5)."""

import time

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.ops.probability import predicted_label
from nucseg_jax.runtime.mesh import batch_sharded, examples_devices, replicated
from nucseg_jax.runtime.placement import put

BATCH_SIZES = (1, 8)
_WARM_UP_CALLS = 2
_LEAST_CALLS = 5
_LEAST_S = 1.0


def time_inference(
    model: nn.Module, variables: Variables, image: np.ndarray, mesh: Mesh
) -> list[dict[str, float | int]]:
    """Times calls one after the other, each waited for, after compilation and warm-up.

    Args:
      model: a linen module, `apply(variables, image, train=False)` to logits.
      variables: of the model, on the mesh.
      image: uint8 [P, H, W, 3], P >= 1; repeated until a batch is full.
      mesh: a batch is split over its devices; sizes that it does not divide are left out.

    Returns:
      One entry a batch size: `batch_size`, `ms_per_image` (median over calls), `p10_ms`, `p90_ms` (also an image)
      and `repeats`.
    """
    sharded = batch_sharded(mesh).image
    variables = jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(variables)

    def infer(variables: Variables, image: jax.Array) -> jax.Array:
        logits = model.apply(variables, image, train=False)
        assert not isinstance(logits, tuple), "variables come with the logits only where some may change"
        return predicted_label(logits).astype(np.uint8)

    compiled = jax.jit(infer, in_shardings=(replicated(mesh), sharded), out_shardings=sharded)
    entries: list[dict[str, float | int]] = []
    for batch_size in BATCH_SIZES:
        if batch_size % examples_devices(mesh):
            continue
        batch = put(np.resize(image, (batch_size, *image.shape[1:])), sharded)
        for _ in range(_WARM_UP_CALLS):
            jax.block_until_ready(compiled(variables, batch))
        seconds: list[float] = []
        # Clocks differ, and processes must make the same calls.
        least_s = _LEAST_S if jax.process_count() == 1 else 0.0
        while len(seconds) < _LEAST_CALLS or sum(seconds) < least_s:
            begin = time.perf_counter()
            jax.block_until_ready(compiled(variables, batch))
            seconds.append(time.perf_counter() - begin)
        p10, median, p90 = np.percentile(np.array(seconds) * 1e3 / batch_size, [10, 50, 90])
        entries.append(
            {
                "batch_size": batch_size,
                "ms_per_image": round(float(median), 3),
                "p10_ms": round(float(p10), 3),
                "p90_ms": round(float(p90), 3),
                "repeats": len(seconds),
            }
        )
    return entries
