"""Whole encoders against values that Keras and torchvision gave once; neither is needed here."""

import dataclasses

import jax
import numpy as np
import pytest

from nucseg_jax.models import efficientnet
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.models.preprocessing import CAFFE
from nucseg_jax.models.resnet import RESNET50, RESNET50_V1_5
from nucseg_jax.ops.cpu import depthwise_shifts
from tests.parity.difference import relative_differences
from tests.parity.fixture_samples import INFERENCE_SIZE, NETWORKS, TRAINING_SIZE, fixture_path, sampled
from tests.parity.frozen import frozen_images
from tests.parity.observation import observe_ours
from tests.parity.rows import whole_encoder

TOLERANCE = 1e-4


def differences(network, encoder, variables):
    """Of `encoder` from the fixture of `network`, by name."""
    ours = sampled(
        observe_ours(encoder, variables, frozen_images(*INFERENCE_SIZE), train=False),
        observe_ours(encoder, variables, frozen_images(*TRAINING_SIZE), train=True),
        variables,
    )
    with np.load(fixture_path(network)) as fixture:
        theirs = {name: fixture[name] for name in fixture if name != "reference"}
    return relative_differences(ours, theirs)


# ResNet-50 v1.5 differs from ResNet-50 in strides and epsilon, which its faults below show.
@pytest.mark.parametrize(
    "network",
    [pytest.param(name, marks=pytest.mark.long if name == "resnet50_v1_5" else ()) for name in NETWORKS],
)
def test_taps_and_moving_statistics_are_those_of_the_reference(network):
    found = differences(network, *whole_encoder(network))
    assert max(found.values()) < TOLERANCE, {n: d for n, d in found.items() if d >= TOLERANCE}


RESNET_FAULTS = {
    "stride in the 3x3": ("resnet50", dict(variant=dataclasses.replace(RESNET50, stride_in_3x3=True))),
    "torchvision's epsilon": ("resnet50", dict(variant=dataclasses.replace(RESNET50, epsilon=1e-5))),
    "RGB for BGR": (
        "resnet50",
        dict(
            variant=dataclasses.replace(
                RESNET50, preprocessing=dataclasses.replace(CAFFE, channel_order="RGB")
            )
        ),
    ),
    "stride in the 1x1": (
        "resnet50_v1_5",
        dict(variant=dataclasses.replace(RESNET50_V1_5, stride_in_3x3=False)),
    ),
    "biased variance": ("resnet50_v1_5", dict(moving=MovingStatistics(0.9, unbiased_variance=False))),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", RESNET_FAULTS)
def test_a_fault_in_a_resnet_is_seen(fault):
    network, changes = RESNET_FAULTS[fault]
    encoder, variables = whole_encoder(network)
    worst = max(differences(network, encoder.clone(**changes), variables).values())
    print(f"{fault}: {worst:.1e}")
    assert worst > 2 * TOLERANCE


def pad_the_other_side(extent, taps, stride, dilation, original=depthwise_shifts._same_padding):
    return original(extent, taps, stride, dilation)[::-1]


EFFICIENTNET_FAULTS = {
    "padding on the other side": (depthwise_shifts, "_same_padding", pad_the_other_side),
    "PyTorch's epsilon": (efficientnet, "KERAS_BATCH_NORM_EPSILON", 1e-5),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", EFFICIENTNET_FAULTS)
def test_a_fault_in_an_efficientnet_is_seen(fault, monkeypatch):
    network = "efficientnet_b4"
    encoder, variables = whole_encoder(network)
    monkeypatch.setattr(*EFFICIENTNET_FAULTS[fault])
    jax.clear_caches()
    worst = max(differences(network, encoder, variables).values())
    jax.clear_caches()
    print(f"{fault}: {worst:.1e}")
    assert worst > 2 * TOLERANCE
