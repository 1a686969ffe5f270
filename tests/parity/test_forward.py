"""Every encoder row against the library it is named after: taps, all batch norms, moving statistics, in float32."""

import jax
import numpy as np
import pytest

from nucseg_jax.models.layers import BatchNorm, MovingStatistics
from nucseg_jax.models.tables import ENCODERS
from tests.parity.difference import relative_differences
from tests.parity.frozen import frozen_images, uniform
from tests.parity.observation import observe_ours, statistic_updates
from tests.parity.rows import TORCH_ROWS, whole_encoder

TOLERANCE = 1e-4
KERAS_ROWS = [name for name in ENCODERS if name not in TORCH_ROWS]
# N, H, W. Odd sizes show on which side a stride pads.
SIZES = [(2, 128, 128), (2, 160, 224), (2, 131, 197), (1, 512, 512)]
# For the networks that the paper does not use.
TWO_SIZES = [(2, 128, 128), (1, 131, 197)]
# 5 x 5 x 4 values a channel in the deepest map.
TRAINING_SIZE = (4, 160, 160)

pytestmark = pytest.mark.parity


def keras_cases():
    for name in KERAS_ROWS:
        for size in SIZES if name in ("resnet50", "efficientnet_b4") else TWO_SIZES:
            yield name, size


def shape_of(size):
    return "{} x {}x{}".format(*size)


def compare(ours, theirs):
    """Holds taps and batch norms to the tolerance; the largest difference over taps."""
    taps = relative_differences(ours.taps, theirs.taps)
    norms = relative_differences(ours.norms, theirs.norms)
    assert max(taps.values()) < TOLERANCE, taps
    assert max(norms.values()) < TOLERANCE, {name: d for name, d in norms.items() if d >= TOLERANCE}
    return max(taps.values())


def compare_updates(ours, theirs, variables):
    """Holds what the step added to each moving statistic, relative to the largest addition in its tensor."""
    updates = relative_differences(statistic_updates(ours, variables), statistic_updates(theirs, variables))
    assert max(updates.values()) < TOLERANCE, {name: d for name, d in updates.items() if d >= TOLERANCE}
    return max(updates.values())


@pytest.mark.parametrize(("name", "size"), list(keras_cases()))
def test_inference_is_keras(name, size, keras_networks, record):
    encoder, variables = whole_encoder(name)
    image = frozen_images(*size)
    theirs = keras_networks.observe(name, encoder, variables, image, train=False)
    worst = compare(observe_ours(encoder, variables, image, train=False), theirs)
    record(name, keras_networks.VERSION, "inference", shape_of(size), f"{worst:.1e}")


@pytest.mark.parametrize("name", KERAS_ROWS)
def test_training_is_keras(name, keras_networks, record):
    encoder, variables = whole_encoder(name)
    image = frozen_images(*TRAINING_SIZE)
    theirs = keras_networks.observe(name, encoder, variables, image, train=True)
    ours = observe_ours(encoder, variables, image, train=True)
    worst = compare(ours, theirs)
    record(name, keras_networks.VERSION, "training", shape_of(TRAINING_SIZE), f"{worst:.1e}")
    worst = compare_updates(ours, theirs, variables)
    record(name, keras_networks.VERSION, "moving statistics", shape_of(TRAINING_SIZE), f"{worst:.1e}")


@pytest.mark.parametrize("library", ["torchvision", "timm"])
@pytest.mark.parametrize("size", SIZES)
def test_inference_is_torch(library, size, torch_networks, record):
    pytest.importorskip(library, reason=f"{library} is not installed", exc_type=ImportError)
    encoder, variables = whole_encoder("resnet50_v1_5")
    image = frozen_images(*size)
    theirs = torch_networks.observe(library, variables, image, train=False)
    worst = compare(observe_ours(encoder, variables, image, train=False), theirs)
    record("resnet50_v1_5", torch_networks.version(library), "inference", shape_of(size), f"{worst:.1e}")


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_training_is_torch(library, torch_networks, record):
    pytest.importorskip(library, reason=f"{library} is not installed", exc_type=ImportError)
    encoder, variables = whole_encoder("resnet50_v1_5")
    image = frozen_images(*TRAINING_SIZE)
    theirs = torch_networks.observe(library, variables, image, train=True)
    ours = observe_ours(encoder, variables, image, train=True)
    version = torch_networks.version(library)
    worst = compare(ours, theirs)
    record("resnet50_v1_5", version, "training", shape_of(TRAINING_SIZE), f"{worst:.1e}")
    worst = compare_updates(ours, theirs, variables)
    record("resnet50_v1_5", version, "moving statistics", shape_of(TRAINING_SIZE), f"{worst:.1e}")


def test_unbiased_moving_variance_is_that_of_tensorflows_fused_kernel(record):
    """The kernel that TensorFlow 2.15's BatchNormalization runs."""
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed", exc_type=ImportError)
    image = uniform("fused image", (3, 4, 5, 8), -1.0, 3.0)
    scale, offset, mean, var = (uniform(f"fused {kind}", (8,), 0.5, 1.5) for kind in ("g", "b", "m", "v"))
    result, new_mean, new_var = tf.compat.v1.nn.fused_batch_norm(
        image, scale, offset, mean, var, epsilon=1e-3, is_training=True, exponential_avg_factor=0.01
    )[:3]
    norm = BatchNorm(moving=MovingStatistics(0.99, unbiased_variance=True))
    variables = {"params": dict(scale=scale, bias=offset), "batch_stats": dict(mean=mean, var=var)}
    ours, updated = jax.jit(lambda v, x: norm.apply(v, x, train=True, mutable=["batch_stats"]))(
        variables, image
    )
    statistics = updated["batch_stats"]
    differences = relative_differences(
        {"result": ours, "mean": statistics["mean"] - mean, "var": statistics["var"] - var},
        {"result": result.numpy(), "mean": new_mean.numpy() - mean, "var": new_var.numpy() - var},
    )
    assert max(differences.values()) < TOLERANCE, differences
    # The batch has 60 values a channel: the biased variance would be off by one part in 60.
    biased = 0.01 * (np.var(image, axis=(0, 1, 2)) - var)
    assert np.abs(biased - (new_var.numpy() - var)).max() > 10 * TOLERANCE * np.abs(biased).max()
    record(
        "BatchNorm",
        f"fused_batch_norm, TensorFlow {tf.__version__}",
        "moving statistics",
        "3 x 4x5",
        f"{max(differences.values()):.1e}",
    )
