"""Every encoder row against the library it is named after: taps, all batch norms, moving statistics, in float32."""

import pytest

from nucseg_jax.models.build import ENCODERS
from tests.parity.difference import relative_differences
from tests.parity.frozen import frozen_images
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
