"""ConvNeXt of torchvision and of timm with our variables in it. Needs PyTorch; imported inside tests only."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from nucseg_jax.models.convnext import ConvNeXtVariant

# Field of `Pyramid` by the stage that fills it.
TAPS = {"stride4": 0, "stride8": 1, "stride16": 2, "output": 3}
PLACES = {"conv_dw": "block.0", "norm": "block.2", "mlp_fc1": "block.3", "mlp_fc2": "block.5"}


def torchvision_convnext(
    variant: ConvNeXtVariant, *, output_stride: int = 32, drop_connect: float = 0.0
) -> Any:
    """torchvision's ConvNeXt of these sizes without trained weights."""
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    assert output_stride == 32, "torchvision has no dilation"
    widths = [*variant.features, None]
    blocks = [CNBlockConfig(*row) for row in zip(widths, widths[1:], variant.depths, strict=False)]
    return ConvNeXt(blocks, stochastic_depth_prob=drop_connect)


def timm_convnext(variant: ConvNeXtVariant, *, output_stride: int = 32, drop_connect: float = 0.0) -> Any:
    """timm's ConvNeXt of these sizes without trained weights."""
    from timm.models.convnext import ConvNeXt

    return ConvNeXt(
        depths=variant.depths, dims=variant.features, output_stride=output_stride, drop_path_rate=drop_connect
    )


LIBRARIES = {"torchvision": torchvision_convnext, "timm": timm_convnext}


def published(library: str, name: str) -> Any:
    """The library's own model of an encoder of the table, without trained weights."""
    if library == "timm":
        import timm

        return timm.create_model(name, pretrained=False)
    import torchvision

    return getattr(torchvision.models, name)(weights=None)


def their_name(library: str, layer: str) -> str:
    """'stages_2_blocks_0_mlp_fc1' -> 'stages.2.blocks.0.mlp.fc1', or torchvision's 'features.5.0.block.3'."""
    if stem := re.fullmatch(r"stem_([01])", layer):
        return f"stem.{stem[1]}" if library == "timm" else f"features.0.{stem[1]}"
    stage = re.fullmatch(r"stages_(\d)_(?:downsample_([01])|blocks_(\d+)_(\w+))", layer)
    number, down, block, part = stage.groups()
    if down is not None:
        return (
            f"stages.{number}.downsample.{down}"
            if library == "timm"
            else f"features.{2 * int(number)}.{down}"
        )
    if library == "timm":
        return f"stages.{number}.blocks.{block}.{part.replace('mlp_', 'mlp.')}"
    return f"features.{2 * int(number) + 1}.{block}.{PLACES.get(part, part)}"


def load(library: str, model: Any, params: Mapping[str, Any]) -> None:
    """Puts our parameters into PyTorch's model, strictly; only its classifier is left alone."""
    theirs = model.state_dict()
    state = {}
    for layer, leaves in params.items():
        name = their_name(library, layer)
        for leaf, value in leaves.items():
            if leaf == "gamma":
                key = name.replace("layer_scale", "gamma") if library == "timm" else name
            else:
                key = f"{name}.{'bias' if leaf == 'bias' else 'weight'}"
            if leaf == "kernel":
                value = value.transpose(3, 2, 0, 1)
            state[key] = torch.from_numpy(np.array(value)).reshape(theirs[key].shape)
    missing, unexpected = model.load_state_dict(state, strict=False)
    left = [name for name in missing if not name.startswith(("head.", "classifier."))]
    assert not left, f"nothing was given for {left}"
    assert not unexpected, f"PyTorch has no {unexpected}"


def preprocess(image: np.ndarray) -> Any:
    """Raw RGB to [N, 3, H, W] as the weights want it, by torchvision's own numbers."""
    import torchvision

    recipe = torchvision.models.ConvNeXt_Tiny_Weights.IMAGENET1K_V1.transforms()
    mean, deviation = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (recipe.mean, recipe.std))
    return (torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255.0 - mean) / deviation


def observe(library: str, model: Any, image: np.ndarray) -> dict[str, np.ndarray]:
    """The taps of one pass in inference mode, [N, H, W, C] by field of `Pyramid`."""
    modules, taps = dict(model.named_modules()), {}

    def keep(field: str) -> Any:
        def hook(module: Any, arguments: Any, result: Any) -> None:
            taps[field] = result.detach().permute(0, 2, 3, 1).numpy().copy()

        return hook

    for field, stage in TAPS.items():
        name = f"stages.{stage}" if library == "timm" else f"features.{2 * stage + 1}"
        modules[name].register_forward_hook(keep(field))
    with torch.no_grad():
        model.eval()(preprocess(image))
    return taps


def drop_rates(library: str, model: Any) -> list[float]:
    """Stochastic depth of every block, from the image on."""
    if library == "timm":
        blocks = [block for stage in model.stages for block in stage.blocks]
        return [getattr(block.drop_path, "drop_prob", 0.0) for block in blocks]
    return [module.p for name, module in model.named_modules() if name.endswith("stochastic_depth")]
