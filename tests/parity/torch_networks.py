"""ResNet-50 of torchvision and of timm with our variables in it. Needs PyTorch; imported inside tests only."""

import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from tests.parity.observation import Observation

BATCH_NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
CONV = {"weight": "kernel"}
# PyTorch's name of the layers of a block by the number Keras's names have.
BLOCK_LAYERS = {"0": ("downsample.0", "downsample.1"), **{n: (f"conv{n}", f"bn{n}") for n in "123"}}


def torchvision_resnet50() -> Any:
    """torchvision.models.resnet50 without trained weights."""
    import torchvision

    return torchvision.models.resnet50(weights=None)


def timm_resnet50() -> Any:
    """timm's resnet50 without trained weights."""
    import timm

    return timm.create_model("resnet50", pretrained=False)


LIBRARIES: dict[str, Callable[[], Any]] = {"torchvision": torchvision_resnet50, "timm": timm_resnet50}


def version(library: str) -> str:
    """'torchvision 0.28.0'."""
    return f"{library} {importlib.metadata.version(library).split('+')[0]}"


def torch_name(layer: str) -> str:
    """'conv4_block6_2_bn' -> 'layer3.5.bn2', 'conv1_conv' -> 'conv1'."""
    if layer in ("conv1_conv", "conv1_bn"):
        return {"conv1_conv": "conv1", "conv1_bn": "bn1"}[layer]
    stage, block, number, kind = layer.split("_")
    conv, norm = BLOCK_LAYERS[number]
    prefix = f"layer{int(stage.removeprefix('conv')) - 1}.{int(block.removeprefix('block')) - 1}"
    return f"{prefix}.{norm if kind == 'bn' else conv}"


def load(model: Any, variables: Mapping[str, Any]) -> None:
    """Puts our collections into PyTorch's model, strictly; only its classifier and step counts are left alone."""
    state = {}
    for layer in variables["params"]:
        ours = {**variables["params"][layer], **variables["batch_stats"].get(layer, {})}
        names = BATCH_NORM if layer.endswith("_bn") else CONV
        for theirs, leaf in names.items():
            value = ours.pop(leaf)
            if leaf == "kernel":
                value = value.transpose(3, 2, 0, 1)
            state[f"{torch_name(layer)}.{theirs}"] = torch.from_numpy(np.array(value))
        assert not ours, f"PyTorch's {layer} has no {sorted(ours)}"
    missing, unexpected = model.load_state_dict(state, strict=False)
    left = [name for name in missing if not name.startswith("fc.") and "num_batches_tracked" not in name]
    assert not left, f"nothing was given for {left}"
    assert not unexpected, f"PyTorch has no {unexpected}"


def preprocess(image: np.ndarray) -> Any:
    """Raw RGB to [N, 3, H, W] as torchvision's weights want it, by torchvision's own numbers."""
    import torchvision

    recipe = torchvision.models.ResNet50_Weights.IMAGENET1K_V2.transforms()
    mean, deviation = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (recipe.mean, recipe.std))
    return (torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255.0 - mean) / deviation


def observe(library: str, variables: Mapping[str, Any], image: np.ndarray, *, train: bool) -> Observation:
    """One pass of a library's ResNet-50 with our variables."""
    model = LIBRARIES[library]()
    load(model, variables)
    model.train(train)
    layers = sorted(variables["batch_stats"])
    modules = dict(model.named_modules())
    # bn1 is read before the ReLU that works in place on its result.
    results: dict[str, np.ndarray] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: Any, arguments: Any, result: Any) -> None:
            results[name] = result.detach().permute(0, 2, 3, 1).numpy().copy()

        return hook

    for layer in layers:
        modules[torch_name(layer)].register_forward_hook(keep(layer))
    taps = {
        "stride4_low_level": "layer1.1",
        "stride4": "layer1.2",
        "stride8": "layer2.3",
        "stride16": "layer3.5",
        "output": "layer4.2",
    }
    for field, module in taps.items():
        modules[module].register_forward_hook(keep(field))
    # The ReLU after bn1: where it enters the pooling.
    modules["maxpool"].register_forward_hook(
        lambda module, arguments, result: keep("stride2")(module, None, arguments[0])
    )
    with torch.no_grad():
        model(preprocess(image))
    statistics = {}
    for layer in layers:
        norm = modules[torch_name(layer)]
        statistics[f"{layer}/mean"] = norm.running_mean.numpy()
        statistics[f"{layer}/var"] = norm.running_var.numpy()
    return Observation(
        taps={field: results[field] for field in ("stride2", *taps)},
        norms={layer: results[layer] for layer in layers},
        statistics=statistics,
    )
