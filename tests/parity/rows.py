"""The rows of the encoder table as parity compares them: each whole, with frozen variables."""

from typing import Any

from flax import linen as nn

from nucseg_jax.models.build import ENCODERS, build_encoder
from nucseg_jax.models.layers import MovingStatistics
from tests.parity.frozen_weights import frozen_variables

# The rows that come from PyTorch; all others come from keras.applications.
TORCH_ROWS = tuple(name for name, row in ENCODERS.items() if row.framework == "torch")


def whole_encoder(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """The encoder of that row, its moving statistics following as its framework's do, and variables for it."""
    moving = MovingStatistics(
        momentum=0.9 if name in TORCH_ROWS else 0.99, unbiased_variance=name in TORCH_ROWS
    )
    encoder = build_encoder(name, extent="whole", moving=moving)
    return encoder, frozen_variables(encoder)
