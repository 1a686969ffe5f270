"""What is compared of a network: its taps, the result of every batch norm, and the statistics those keep."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from nucseg_jax.models.layers import BatchNorm


class Observation(NamedTuple):
    """One forward pass.

    Attributes:
      taps: the fields of `Pyramid` but `image`, [N, H, W, C] each.
      norms: the result of every batch norm by Keras's name of it, [N, H, W, C] each.
      statistics: after the pass, 'conv1_bn/mean' and 'conv1_bn/var', [C] each.
    """

    taps: dict[str, np.ndarray]
    norms: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]


@functools.partial(jax.jit, static_argnames=("encoder", "train"))
def _forward(encoder: nn.Module, variables: Any, image: jax.Array, *, train: bool) -> Any:
    mutable = ["batch_stats", "intermediates"] if train else ["intermediates"]
    pyramid, updated = encoder.apply(
        variables,
        image,
        train=train,
        mutable=mutable,
        capture_intermediates=lambda module, _: isinstance(module, BatchNorm),
    )
    norms = {name: layer["__call__"][0] for name, layer in updated["intermediates"].items()}
    return pyramid._replace(image=None), norms, updated.get("batch_stats", variables["batch_stats"])


def observe_ours(encoder: nn.Module, variables: Any, image: np.ndarray, *, train: bool) -> Observation:
    """One pass of ours, nothing dropped, by jit."""
    pyramid, norms, statistics = jax.device_get(
        _forward(encoder.without_dropout(), variables, image, train=train)
    )
    taps = {name: tap for name, tap in pyramid._asdict().items() if tap is not None}
    flat = {f"{layer}/{kind}": value for layer, kinds in statistics.items() for kind, value in kinds.items()}
    return Observation(taps, norms, flat)


def statistic_updates(observation: Observation, variables: Any) -> dict[str, np.ndarray]:
    """What a training pass added to each moving statistic of `variables`, by name as in `Observation`."""
    before = variables["batch_stats"]
    updates = {}
    for name, after in observation.statistics.items():
        layer, kind = name.split("/")
        updates[name] = after - before[layer][kind]
    return updates
