"""PyTorch's names and layouts, and those that they have here.

The names below are torchvision's in a ResNet with bottleneck blocks; those of other families have files of their own.
'layer1.0.conv2.weight' -> 'conv2_block1_2_conv/kernel', 'layer1.0.downsample.1.running_var' ->
'conv2_block1_0_bn/var'. timm has the same names.
"""

import re
from collections.abc import Iterable, Mapping

from nucseg_jax.pretrained import convnext_names
from nucseg_jax.pretrained.stored_array import StoredArray

_CONV = {"weight": "kernel", "bias": "bias"}
_BATCH_NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
_STEM = re.compile(r"(conv|bn)1\.(\w+)")
_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.(?:(conv|bn)(\d)|downsample\.([01]))\.(\w+)")
_NOT_WEIGHTS = re.compile(r"fc\.(weight|bias)|.+\.num_batches_tracked")


def are_torch_names(names: Iterable[str]) -> bool:
    """Returns True if the names are a PyTorch module's."""
    return any(re.fullmatch(r"[^/]+\.(weight|running_mean)", name) for name in names)


def to_ours(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """Renames to the names here and brings arrays to the layouts here; what has no name here keeps its own."""
    renamed = {}
    for name, array in arrays.items():
        # No name is one of two families.
        ours = _of_resnet(name) or convnext_names.ours(name)
        renamed[ours or name] = _in_our_layout(array, ours) if ours else array
    return renamed


def _in_our_layout(array: StoredArray, ours: str) -> StoredArray:
    if ours.endswith("/kernel") and len(array.shape) == 4:
        return array.transposed((2, 3, 1, 0), "kernels from OIHW to HWIO")
    if ours.endswith("/kernel") and len(array.shape) == 2:
        # A linear layer at every pixel is a 1x1 convolution.
        conversion = "linear layers from [out, in] to [1, 1, in, out]"
        return array.transposed((1, 0), conversion).reshaped((1, 1, *array.shape[::-1]), conversion)
    if ours.endswith("/gamma") and array.shape[1:] == (1, 1):
        return array.reshaped(array.shape[:1], "layer scales from [C, 1, 1] to [C]")
    return array


def is_not_used(name: str) -> bool:
    """Returns True for the classifier, or a counter of batches that only PyTorch's training reads."""
    return bool(_NOT_WEIGHTS.fullmatch(name)) or convnext_names.is_classifier(name)


def _of_resnet(name: str) -> str | None:
    if stem := _STEM.fullmatch(name):
        kind, layer, variable = stem[1], "conv1", stem[2]
    elif block := _BLOCK.fullmatch(name):
        kind = block[3] or ("conv" if block[5] == "0" else "bn")
        layer = f"conv{int(block[1]) + 1}_block{int(block[2]) + 1}_{block[4] or 0}"
        variable = block[6]
    else:
        return None
    leaf = (_CONV if kind == "conv" else _BATCH_NORM).get(variable)
    return leaf and f"{layer}_{kind}/{leaf}"
