"""Hints about a file that does not fit: a guess that saves its user a search."""

import itertools
import math
import re

from nucseg_jax.models.build import ENCODERS
from nucseg_jax.pretrained.match import Match, compare, framework_of
from nucseg_jax.pretrained.relatives import relatives_of
from nucseg_jax.pretrained.stored_array import WeightsFile
from nucseg_jax.pretrained.target import Target, target_of

# A layer inside a model inside the file.
_NESTED = re.compile(
    r"layers/.+/layers/.+|[^/]+/[^/]+/(kernel|gamma)(:0)?|(?!layer\d|downsample)\w+\..*(conv|bn)1\.weight"
)


def hint(file: WeightsFile, match: Match, target: Target) -> str:
    """A clause of advice for a file that does not match."""
    if _is_transposed(match, target):
        return (
            "its kernels look transposed: they should be [height, width, in, out] (torch has [out, in, ...])"
        )
    if any("preact_bn" in name for name in (*match.extra, *file.arrays)):
        return "it looks like a ResNetV2 (batch norm before the convolutions), which is another network"
    if any(_NESTED.fullmatch(name) for name in match.extra):
        return (
            "it looks like a larger model with an encoder inside: save that alone,"
            " model.get_layer('NAME OF THE ENCODER').save('encoder.keras')"
        )
    if other := other_encoder(file, target):
        return f"it looks like {other}: choose --encoder={other}"
    if not match.missing and not match.mis_shaped:
        return (
            "it looks like a larger model that begins with the encoder: save the encoder alone,"
            " keras.Model(model.input, model.get_layer('LAST LAYER').output).save('encoder.keras')"
        )
    if framework_of(file) == "torch":
        relatives = relatives_of(target.encoder)
        return (
            f"it looks like a relative of {relatives.title}, which computes something else: take torchvision's, or"
            f" model.safetensors of {relatives.example}"
        )
    return "name the encoder that the file holds, or take the official file with --source=download"


def other_encoder(file: WeightsFile, target: Target) -> str | None:
    """Returns the encoder of the table, other than the target, that the file matches exactly."""
    framework = framework_of(file)
    # The stem tells networks apart, and is far cheaper to compare than all layers of all encoders.
    stems = _stems(file)
    for name, row in ENCODERS.items():
        if name == target.encoder or row.framework != framework or row.variant.stem not in stems:
            continue
        if compare(file, target_of(name)).is_exact:
            return name
    return None


def _stems(file: WeightsFile) -> set[tuple[int, int]]:
    """Kernel size and channels of every convolution of three channels, in Keras's layout or in PyTorch's."""
    stems = set()
    for array in file.arrays.values():
        if len(array.shape) == 4:
            (height, width, channels, features), (out, into, rows, columns) = array.shape, array.shape
            if (height, channels) == (width, 3):
                stems.add((height, features))
            if (rows, into) == (columns, 3):
                stems.add((rows, out))
    return stems


def _is_transposed(match: Match, target: Target) -> bool:
    """Returns True if all that is wrong is the order of the kernels' axes."""
    if match.missing or match.extra or not match.mis_shaped:
        return False
    expected = target.shapes[match.extent]
    for name in match.mis_shaped:
        given = match.pairs[name].shape
        if len(given) != 4 or math.prod(given) != math.prod(expected[name]):
            return False
        if expected[name] not in set(itertools.permutations(given)):
            return False
    return True
