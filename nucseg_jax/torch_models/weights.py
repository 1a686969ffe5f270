"""The package's variables in a PyTorch model, one to one by name, and parameters by Keras's counting rule."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

# The package's leaf by PyTorch's, for each kind of layer.
_CONVOLUTION = {"weight": ("params", "kernel"), "bias": ("params", "bias")}
_NORM = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}


def names(model: Any) -> Iterator[tuple[str, str]]:
    """Yields PyTorch's and the package's name of every array: 'head.weight', 'params/head/kernel'."""
    from torch import nn

    kinds = {
        (nn.Conv2d, nn.ConvTranspose2d): _CONVOLUTION,
        (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm): _NORM,
    }
    parameters = {name for name, _ in model.named_parameters()}
    for theirs in model.state_dict():
        path, _, leaf = theirs.rpartition(".")
        layer = model.get_submodule(path)
        leaves = next((leaves for kind, leaves in kinds.items() if isinstance(layer, kind)), {})
        # What is no layer of PyTorch's carries the package's names.
        kept = ("params" if theirs in parameters else "constants", leaf)
        collection, ours = leaves.get(leaf, kept)
        yield theirs, f"{collection}/{path.replace('.', '/')}/{ours}"


def load_variables(model: Any, variables: Mapping[str, Any]) -> None:
    """Copies all variables into the model, whose dtype stays.

    Args:
      model: of `segmenter.build_torch_segmenter`.
      variables: flat, by names such as 'params/head/kernel'.

    Raises:
      ValueError: names or shapes differ; lists what is missing, what is too much and what has another shape.
    """
    import torch

    state = model.state_dict()
    translation = {ours: theirs for theirs, ours in names(model)}
    given = {name: as_torch(value) for name, value in variables.items()}
    shapes = {ours: tuple(state[theirs].shape) for ours, theirs in translation.items()}
    faults = {
        "missing": sorted(translation.keys() - given.keys()),
        "unexpected": sorted(given.keys() - translation.keys()),
        "of another shape": [
            f"{name} {tuple(given[name].shape)}, expected {shapes[name]}"
            for name in sorted(translation.keys() & given.keys())
            if tuple(given[name].shape) != shapes[name]
        ],
    }
    if any(faults.values()):
        found = "; ".join(f"{fault}: {', '.join(listed)}" for fault, listed in faults.items() if listed)
        raise ValueError(f"the variables are not those of the PyTorch model: {found}")
    with torch.no_grad():
        for ours, theirs in translation.items():
            state[theirs].copy_(given[ours])


def as_torch(value: Any) -> Any:
    """Returns an array in PyTorch's layout: a kernel's last two axes come first, those of a transposed one too."""
    import torch

    array = np.array(value)
    # [k, k, C, D] -> [D, C, k, k]; a depthwise [k, k, 1, C] -> [C, 1, k, k]; a transposed [k, k, D, C] -> [C, D, k, k].
    return torch.from_numpy(array.transpose(3, 2, 0, 1).copy() if array.ndim == 4 else array)


def as_numpy(value: Any) -> np.ndarray:
    """Returns the inverse of `as_torch`."""
    array: np.ndarray = value.detach().cpu().numpy()
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def count_parameters(model: Any) -> dict[str, int]:
    """Counts trainable, moving (of batch norms) and constant (of preprocessing) values, as the package counts."""
    counts = dict.fromkeys(("params", "batch_stats", "constants"), 0)
    state = model.state_dict()
    for theirs, ours in names(model):
        counts[ours.split("/")[0]] += state[theirs].numel()
    return {"trainable": counts["params"], "moving": counts["batch_stats"], "constant": counts["constants"]}
