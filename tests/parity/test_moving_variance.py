"""Which variance batch norm follows: TensorFlow's fused kernel and 2.15's layer multiply it by n / (n - 1)."""

import jax
import numpy as np
import pytest

from nucseg_jax.models.layers import BatchNorm, MovingStatistics
from tests.parity.batch_norm_case import EPSILON, FIXTURE, IMAGE, MOMENTUM, VARIABLES
from tests.parity.difference import relative_difference

TOLERANCE = 1e-4


def differences(reference, *, unbiased_variance):
    """Of the result, and of what one step adds to the moving statistics."""
    norm = BatchNorm(MovingStatistics(MOMENTUM, unbiased_variance), epsilon=EPSILON)
    scale, bias, mean, var = (VARIABLES[name] for name in ("scale", "bias", "mean", "var"))
    variables = {"params": dict(scale=scale, bias=bias), "batch_stats": dict(mean=mean, var=var)}
    result, updated = jax.jit(lambda v, x: norm.apply(v, x, train=True, mutable=["batch_stats"]))(
        variables, IMAGE
    )
    ours = dict(result=result, **updated["batch_stats"])
    return {
        name: relative_difference(ours[name] - VARIABLES.get(name, 0.0), values - VARIABLES.get(name, 0.0))
        for name, values in reference.items()
    }


def holds_with_unbiased_variance_only(reference):
    close = differences(reference, unbiased_variance=True)
    assert max(close.values()) < TOLERANCE, close
    assert differences(reference, unbiased_variance=False)["var"] > 0.01
    return max(close.values())


def test_unbiased_is_the_layer_of_tensorflow_2_15():
    with np.load(FIXTURE) as fixture:
        assert str(fixture["reference"]).startswith("TensorFlow 2.15")
        holds_with_unbiased_variance_only({name: fixture[name] for name in ("result", "mean", "var")})


@pytest.mark.parity
def test_unbiased_is_tensorflows_fused_kernel(keras_networks, record):
    tf = keras_networks.tf
    scale, bias, mean, var = (VARIABLES[name] for name in ("scale", "bias", "mean", "var"))
    result, new_mean, new_var = tf.compat.v1.nn.fused_batch_norm(
        IMAGE,
        scale,
        bias,
        mean,
        var,
        epsilon=EPSILON,
        is_training=True,
        exponential_avg_factor=1 - MOMENTUM,
    )[:3]
    worst = holds_with_unbiased_variance_only(
        {"result": result.numpy(), "mean": new_mean.numpy(), "var": new_var.numpy()}
    )
    kernel = f"fused_batch_norm of TensorFlow {tf.__version__}"
    record("BatchNorm", kernel, "moving statistics", "{} x {}x{}".format(*IMAGE.shape), f"{worst:.1e}")
