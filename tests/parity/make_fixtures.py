"""Writes tests/parity/fixtures from the reference libraries: `python -m tests.parity.make_fixtures`.

Needs the extra `parity`. Weights and images are not stored: whoever needs them draws them anew (`frozen.py`).
"""

import numpy as np

from nucseg_jax.core.files import atomic_write
from tests.parity import keras_networks, torch_networks
from tests.parity.fixture_samples import (
    FOLDER,
    INFERENCE_SIZE,
    NETWORKS,
    TRAINING_SIZE,
    fixture_path,
    sampled,
)
from tests.parity.frozen import frozen_images
from tests.parity.rows import TORCH_ROWS, whole_encoder


def write_fixture(network: str) -> None:
    """Runs the reference in both modes and keeps what `sampled` chooses, with the library's version."""
    encoder, variables = whole_encoder(network)
    passes = ((frozen_images(*INFERENCE_SIZE), False), (frozen_images(*TRAINING_SIZE), True))
    if network in TORCH_ROWS:
        version = torch_networks.version("torchvision")
        observed = [
            torch_networks.observe("torchvision", variables, image, train=train) for image, train in passes
        ]
    else:
        version = keras_networks.VERSION
        observed = [
            keras_networks.observe(network, encoder, variables, image, train=train) for image, train in passes
        ]
    samples = sampled(*observed, variables)
    with atomic_write(fixture_path(network)) as path, path.open("wb") as file:
        np.savez_compressed(file, reference=np.array(version), **samples)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for row in NETWORKS:
        write_fixture(row)
        print(f"{fixture_path(row)}: {fixture_path(row).stat().st_size / 1e3:.0f} kB")
