"""Whole encoders against values that Keras and torchvision gave once; neither is needed here."""

import numpy as np
import pytest

from tests.parity.difference import relative_differences
from tests.parity.fixture_samples import INFERENCE_SIZE, NETWORKS, TRAINING_SIZE, fixture_path, sampled
from tests.parity.frozen import frozen_images
from tests.parity.observation import observe_ours
from tests.parity.rows import whole_encoder

TOLERANCE = 1e-4


@pytest.mark.parametrize("network", NETWORKS)
def test_taps_and_moving_statistics_are_those_of_the_reference(network):
    encoder, variables = whole_encoder(network)
    ours = sampled(
        observe_ours(encoder, variables, frozen_images(*INFERENCE_SIZE), train=False),
        observe_ours(encoder, variables, frozen_images(*TRAINING_SIZE), train=True),
        variables,
    )
    with np.load(fixture_path(network)) as fixture:
        theirs = {name: fixture[name] for name in fixture if name != "reference"}
    differences = relative_differences(ours, theirs)
    assert max(differences.values()) < TOLERANCE, {n: d for n, d in differences.items() if d >= TOLERANCE}
