"""The package's variables in a PyTorch model, one to one by name, and parameters by Keras's counting rule."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.torch_models.efficientnet import Normalization
from benchmarks.torch_models.layers import BatchNorm

# The package's leaf by PyTorch's, for each kind of layer.
CONVOLUTION = {"weight": ("params", "kernel"), "bias": ("params", "bias")}
BATCH_NORM = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}
CONSTANTS = {name: ("constants", name) for name in ("mean", "variance", "count")}
LAYERS = {
    nn.Conv2d: CONVOLUTION,
    nn.ConvTranspose2d: CONVOLUTION,
    BatchNorm: BATCH_NORM,
    Normalization: CONSTANTS,
}


def names(model: nn.Module) -> Iterator[tuple[str, str]]:
    """PyTorch's and the package's name of every array: 'head.weight', 'params/head/kernel'."""
    for path, layer in model.named_modules():
        for kind, leaves in LAYERS.items():
            if isinstance(layer, kind):
                for theirs, (collection, ours) in leaves.items():
                    if getattr(layer, theirs) is not None:
                        yield f"{path}.{theirs}", f"{collection}/{path.replace('.', '/')}/{ours}"


def load_variables(model: nn.Module, variables: Mapping[str, Any]) -> None:
    """Copies all variables into the model, whose dtype stays.

    Args:
      model: a model of this folder.
      variables: flat, by names such as 'params/head/kernel'.

    Raises:
      ValueError: names or shapes differ, on either side.
    """
    translation = dict(names(model))
    if set(translation.values()) != set(variables):
        differing = sorted(set(translation.values()) ^ set(variables))
        raise ValueError(f"only one of the two models has {', '.join(differing)}")
    state = {theirs: as_torch(variables[ours]) for theirs, ours in translation.items()}
    expected = {name: array.shape for name, array in model.state_dict().items()}
    for name in state.keys() & expected.keys():
        if state[name].shape != expected[name]:
            raise ValueError(f"{name} is {tuple(expected[name])}, it was given {tuple(state[name].shape)}")
    model.load_state_dict(state, strict=True)


def as_torch(value: Any) -> torch.Tensor:
    """An array in PyTorch's layout: a kernel's last two axes come first, those of a transposed one too."""
    array = np.array(value)
    # [k, k, C, D] -> [D, C, k, k]; a depthwise [k, k, 1, C] -> [C, 1, k, k]; a transposed [k, k, D, C] -> [C, D, k, k].
    return torch.from_numpy(array.transpose(3, 2, 0, 1).copy() if array.ndim == 4 else array)


def as_numpy(value: torch.Tensor) -> np.ndarray:
    """The inverse of `as_torch`."""
    array = value.detach().cpu().numpy()
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Trainable, moving (batch norm's statistics) and constant (Keras's Normalization layer), as the package counts."""
    counts = dict.fromkeys(("params", "batch_stats", "constants"), 0)
    state = model.state_dict()
    for theirs, ours in names(model):
        counts[ours.split("/")[0]] += state[theirs].numel()
    if sum(counts.values()) != sum(array.numel() for array in state.values()):
        raise ValueError("the model has arrays that belong to no known layer")
    return {"trainable": counts["params"], "moving": counts["batch_stats"], "constant": counts["constants"]}
