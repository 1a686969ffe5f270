"""Re-estimated statistics are the population's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.data.batch import Batch
from nucseg_jax.evaluation.batch_norm import compile_statistics_step, reestimate_batch_statistics
from nucseg_jax.training.mesh import make_mesh
from nucseg_jax.training.placement import put_batch


class OneNorm(nn.Module):
    """Its only statistics are those of the image."""

    momentum: float

    @nn.compact
    def __call__(self, image, *, train):
        norm = nn.BatchNorm(use_running_average=not train, momentum=self.momentum, name="norm")
        return norm(image.astype(jnp.float32))


def batches(count, N=8):
    rng = np.random.default_rng(0)
    for number in range(count):
        # Means that differ from batch to batch: their variance is part of the population's.
        image = rng.integers(20 * number, 20 * number + 40, (N, 4, 4, 3)).astype(np.uint8)
        numbers = np.zeros(N, np.int32)
        yield Batch(image=image, label=image[..., 0], valid=np.ones(N, bool), index=numbers, tissue=numbers)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("momentum", [0.9, 0.99])
def test_they_are_mean_and_variance_of_all_pixels_together(devices, momentum):
    mesh = make_mesh(devices)
    model = OneNorm(momentum)
    variables = model.init(jax.random.key(0), np.zeros((1, 4, 4, 3), np.uint8), train=False)
    step = compile_statistics_step(model, mesh, momentum=momentum)
    placed = (put_batch(batch, mesh) for batch in batches(5))
    found = reestimate_batch_statistics(step, variables, placed)["batch_stats"]["norm"]
    pixels = np.concatenate([batch.image for batch in batches(5)]).reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(found["mean"], pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["var"], pixels.var(0), rtol=1e-4)


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="no batch"):
        reestimate_batch_statistics(None, {}, [])
