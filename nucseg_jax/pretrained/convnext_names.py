"""timm's and torchvision's names in a ConvNeXt, and the names they have here: timm's with underscores.

'stages.2.blocks.0.mlp.fc1.weight' (timm) and 'features.5.0.block.3.weight' (torchvision) ->
'stages_2_blocks_0_mlp_fc1/kernel'.
"""

import re

_NORM = {"weight": "scale", "bias": "bias"}
_CONV = {"weight": "kernel", "bias": "bias"}
_TIMM = re.compile(
    r"(?P<stem>stem\.[01])\.(?P<stem_leaf>\w+)"
    r"|stages\.(?P<stage>\d+)\.(?:(?P<down>downsample\.[01])|blocks\.(?P<block>\d+)\.(?P<layer>conv_dw|norm|mlp\.fc[12]))"
    r"\.(?P<leaf>\w+)"
)
_TIMM_GAMMA = re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.gamma")
# torchvision numbers the stem, the stages and the downsampling between them in one sequence: 0, 1, 2, ...
_TORCHVISION = re.compile(
    r"features\.(?P<part>\d+)\.(?P<index>\d+)\.(?:block\.(?P<place>[0235])\.)?(?P<leaf>weight|bias|layer_scale)"
)
_PLACES = {"0": "conv_dw", "2": "norm", "3": "mlp_fc1", "5": "mlp_fc2"}
_CLASSIFIER = re.compile(r"(head\.(norm|fc)|classifier\.[02])\.(weight|bias)")


def ours(name: str) -> str | None:
    """The name here of what timm or torchvision call `name`; None for what is no part of a ConvNeXt encoder.

    >>> ours("stages.2.blocks.0.gamma"), ours("features.5.0.layer_scale")
    ('stages_2_blocks_0_layer_scale/gamma', 'stages_2_blocks_0_layer_scale/gamma')
    >>> ours("features.4.1.weight"), ours("features.4.0.weight")
    ('stages_2_downsample_1/kernel', 'stages_2_downsample_0/scale')
    """
    return _of_timm(name) or _of_torchvision(name)


def is_classifier(name: str) -> bool:
    """Tells whether this is a part that the encoder ends before: the norm behind the last stage is one."""
    return bool(_CLASSIFIER.fullmatch(name))


def _of_timm(name: str) -> str | None:
    if gamma := _TIMM_GAMMA.fullmatch(name):
        return f"stages_{gamma[1]}_blocks_{gamma[2]}_layer_scale/gamma"
    match = _TIMM.fullmatch(name)
    if match is None:
        return None
    if match["stem"]:
        return _leaf(match["stem"], match["stem_leaf"], is_norm=match["stem"] == "stem.1")
    if match["down"]:
        layer, is_norm = match["down"], match["down"] == "downsample.0"
    else:
        layer, is_norm = f"blocks.{match['block']}.{match['layer']}", match["layer"] == "norm"
    return _leaf(f"stages.{match['stage']}.{layer}", match["leaf"], is_norm=is_norm)


def _of_torchvision(name: str) -> str | None:
    match = _TORCHVISION.fullmatch(name)
    if match is None:
        return None
    part, index, place, leaf = int(match["part"]), match["index"], match["place"], match["leaf"]
    if part % 2:
        block = f"stages_{part // 2}_blocks_{index}"
        if leaf == "layer_scale":
            return None if place else f"{block}_layer_scale/gamma"
        return _leaf(f"{block}_{_PLACES[place]}", leaf, is_norm=place == "2") if place else None
    if place or index not in "01":
        return None
    # The stem is a convolution and a norm, downsampling a norm and a convolution.
    layer = f"stages_{part // 2}_downsample_{index}" if part else f"stem_{index}"
    return _leaf(layer, leaf, is_norm=index == ("0" if part else "1"))


def _leaf(layer: str, leaf: str, *, is_norm: bool) -> str | None:
    found = (_NORM if is_norm else _CONV).get(leaf)
    return found and f"{layer.replace('.', '_')}/{found}"
