"""One batch norm of a few values, where n / (n - 1) shows: 60 values a channel. NumPy alone, for old TensorFlow."""

import pathlib

from tests.parity.frozen import uniform

FIXTURE = pathlib.Path(__file__).parent / "fixtures" / "batch_norm_tensorflow_2_15.npz"
EPSILON, MOMENTUM = 1e-3, 0.99
IMAGE = uniform("batch norm image", (3, 4, 5, 8), -1.0, 3.0)
VARIABLES = {name: uniform(f"batch norm {name}", (8,), 0.5, 1.5) for name in ("scale", "bias", "mean", "var")}
