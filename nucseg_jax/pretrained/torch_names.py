"""torchvision's names in a ResNet with bottleneck blocks, and the names they have here.

'layer1.0.conv2.weight' -> 'conv2_block1_2_conv/kernel', 'layer1.0.downsample.1.running_var' ->
'conv2_block1_0_bn/var'. timm has the same names.
"""

import re
from collections.abc import Iterable, Mapping

from nucseg_jax.pretrained.stored_array import StoredArray

_CONV = {"weight": "kernel", "bias": "bias"}
_BATCH_NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
_STEM = re.compile(r"(conv|bn)1\.(\w+)")
_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.(?:(conv|bn)(\d)|downsample\.([01]))\.(\w+)")
_NOT_WEIGHTS = re.compile(r"fc\.(weight|bias)|.+\.num_batches_tracked")


def are_torch_names(names: Iterable[str]) -> bool:
    """Whether the names are a PyTorch module's."""
    return any(re.fullmatch(r"[^/]+\.(weight|running_mean)", name) for name in names)


def to_ours(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """Renames to the names here and brings kernels from OIHW to HWIO; what has no name here keeps its own."""
    renamed = {}
    for name, array in arrays.items():
        ours = _ours(name)
        if ours and ours.endswith("/kernel") and len(array.shape) == 4:
            array = array.transposed((2, 3, 1, 0), "kernels from OIHW to HWIO")
        renamed[ours or name] = array
    return renamed


def is_not_used(name: str) -> bool:
    """Whether this is the classifier, or a counter of batches that only PyTorch's training reads."""
    return bool(_NOT_WEIGHTS.fullmatch(name))


def _ours(name: str) -> str | None:
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
