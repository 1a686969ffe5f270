"""What a file that does not fit might be: a guess that saves its user a search."""

import itertools
import math
import re

from nucseg_jax.models.build import ENCODERS
from nucseg_jax.pretrained.match import Match, compare, framework_of
from nucseg_jax.pretrained.stored_array import WeightsFile
from nucseg_jax.pretrained.target import Target, target_of

# A layer inside a model inside the file.
_NESTED = re.compile(
    r"layers/.+/layers/.+|[^/]+/[^/]+/(kernel|gamma)(:0)?|(?!layer\d|downsample)\w+\..*(conv|bn)1\.weight"
)


def hint(file: WeightsFile, match: Match, target: Target) -> str:
    """A clause of advice for a file that does not match."""
    if _is_transposed(match, target):
        return "its kernels look transposed: they are wanted as [height, width, in, out] (torch has [out, in, ...])"
    if any("preact_bn" in name for name in (*match.extra, *file.arrays)):
        return "it looks like a ResNetV2 (batch norm before the convolutions), which is another network"
    if any(_NESTED.fullmatch(name) for name in match.extra):
        return (
            "it looks like a larger model with an encoder inside: save that alone,"
            " model.get_layer('NAME OF THE ENCODER').save('encoder.keras')"
        )
    if other := _other_encoder(file, target):
        return f"it looks like {other}: choose --encoder={other}"
    if not match.missing and not match.mis_shaped:
        return (
            "it looks like a larger model that begins with the encoder: save the encoder alone,"
            " keras.Model(model.input, model.get_layer('LAST LAYER').output).save('encoder.keras')"
        )
    if framework_of(file) == "torch":
        return (
            "it looks like a relative of ResNet-50 (timm has many: resnet50d, seresnet50, ...), which computes"
            " something else: take torchvision's, or model.safetensors of timm/resnet50.tv_in1k"
        )
    return "name the encoder that the file holds, or take the official file with --source=download"


def _other_encoder(file: WeightsFile, target: Target) -> str | None:
    """The encoder of the table that the file matches exactly."""
    framework = framework_of(file)
    stems = {array.shape[-1] for array in file.arrays.values() if array.shape[:-1] == (3, 3, 3)}
    # The stem tells families apart, and is far cheaper to compare than all layers of all encoders.
    is_efficientnet = bool(stems)
    for name, (_, variant) in ENCODERS.items():
        if name == target.encoder or name.startswith("efficientnet") != is_efficientnet:
            continue
        if is_efficientnet and variant.stem_features not in stems:
            continue
        other = target_of(name)
        if other.framework == framework and compare(file, other).is_exact:
            return name
    return None


def _is_transposed(match: Match, target: Target) -> bool:
    """Whether all that is wrong is the order of the kernels' axes."""
    if match.missing or match.extra or not match.mis_shaped:
        return False
    wanted = target.shapes[match.extent]
    for name in match.mis_shaped:
        given = match.pairs[name].shape
        if len(given) != 4 or math.prod(given) != math.prod(wanted[name]):
            return False
        if wanted[name] not in set(itertools.permutations(given)):
            return False
    return True
