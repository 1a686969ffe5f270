"""What a frozen fixture holds: from two passes through a whole reference encoder, the same random values each time."""

import pathlib
from typing import Any

import numpy as np

from tests.parity.frozen import integers
from tests.parity.observation import Observation, statistic_updates

FOLDER = pathlib.Path(__file__).parent / "fixtures"
NETWORKS = ("resnet50", "resnet50_v1_5", "efficientnet_b4")
# N, H, W of inference, odd, and of training, even: a stride pads the two differently.
INFERENCE_SIZE = (2, 99, 131)
TRAINING_SIZE = (4, 96, 96)
VALUES_PER_TAP = 1500
VALUES_PER_STATISTIC = 8


def fixture_path(network: str) -> pathlib.Path:
    """Where the fixture of an encoder row lies."""
    return FOLDER / f"{network}.npz"


def sampled(inference: Observation, training: Observation, variables: Any) -> dict[str, np.ndarray]:
    """float32 values by name, such as inference/stride2 [1500] and update/conv1_bn/mean [8]."""
    samples = {}
    for mode, observation in (("inference", inference), ("training", training)):
        for tap, values in observation.taps.items():
            samples[f"{mode}/{tap}"] = _pick(f"{mode}/{tap}", values, VALUES_PER_TAP)
    for statistic, values in statistic_updates(training, variables).items():
        samples[f"update/{statistic}"] = _pick(statistic, values, VALUES_PER_STATISTIC)
    return samples


def _pick(name: str, values: np.ndarray, count: int) -> np.ndarray:
    return np.ravel(values)[integers(f"sample of {name}", count, 0, values.size)].astype(np.float32)
