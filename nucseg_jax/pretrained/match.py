"""Matches the arrays of a file with the values of an encoder: strictly, all faults in one error."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import NoReturn

from nucseg_jax.core.errors import UserError
from nucseg_jax.models.build import ENCODERS
from nucseg_jax.models.interfaces import Framework
from nucseg_jax.models.pyramid import Extent
from nucseg_jax.pretrained import keras_names, torch_names
from nucseg_jax.pretrained.stored_array import StoredArray, WeightsFile
from nucseg_jax.pretrained.target import FRAMEWORK_TITLES, Target

# How the networks of two frameworks differ, by the family that both have.
_DIFFERENCES = {
    "resnet": " Their ResNets are two networks: Keras's (v1) have the stride of a stage in its first 1x1 convolution, a"
    " bias in every convolution and BGR input; torchvision's (v1.5) the stride in the 3x3, no biases, other padding,"
    " another epsilon and RGB input.",
}
# Lists in messages end here, with a count of the rest.
SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Match:
    """The match of a file and an encoder.

    Attributes:
      extent: how much of the encoder the file holds.
      pairs: array of the file by the name here, axes in the order that they have here.
      defaults: values that may be missing and are: they keep what they start from.
      not_used: names in the file of what encoders have no place for (classifiers and the like).
      missing: names here that the file lacks.
      extra: names in the file of what is not part of this encoder.
      mis_shaped: names here of arrays with another shape.
    """

    extent: Extent
    pairs: Mapping[str, StoredArray]
    defaults: tuple[str, ...]
    not_used: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    mis_shaped: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        """True if nothing is missing, extra or mis-shaped."""
        return not (self.missing or self.extra or self.mis_shaped)


def framework_of(file: WeightsFile) -> Framework:
    """Whose names the file has."""
    return "torch" if torch_names.are_torch_names(file.arrays) else "keras"


def compare(file: WeightsFile, target: Target) -> Match:
    """Compares names and shapes; reads no array."""
    if framework_of(file) == "torch":
        arrays = torch_names.to_ours(file.arrays)
        not_used = {name for name in arrays if torch_names.is_not_used(name)}
    else:
        named: Mapping[str, StoredArray] = file.arrays
        if keras_names.has_counters(named):
            named = keras_names.names_from_counters(named, target.shapes["whole"])
        arrays = keras_names.to_ours(named)
        not_used = {name for name, array in arrays.items() if keras_names.is_classifier(name, array)}
    whole, cut = target.shapes["whole"], target.shapes["cut"]
    extent: Extent = "whole" if any(name in whole and name not in cut for name in arrays) else "cut"
    expected = target.shapes[extent]
    constants = {name for name in expected if target.collections[name] == "constants"}
    # A file without the layer is one of bare weights; with a part of it, it is damaged.
    defaults = set() if constants & arrays.keys() else constants
    return Match(
        extent=extent,
        pairs={name: arrays[name] for name in expected if name in arrays},
        defaults=tuple(sorted(defaults)),
        not_used=tuple(sorted(arrays[name].name for name in not_used)) + file.also,
        missing=tuple(name for name in expected if name not in arrays and name not in defaults),
        extra=tuple(arrays[name].name for name in arrays if name not in expected and name not in not_used),
        mis_shaped=tuple(
            name for name, shape in expected.items() if name in arrays and arrays[name].shape != shape
        ),
    )


def refuse_framework(file: WeightsFile, source: pathlib.Path, target: Target, other: str | None) -> NoReturn:
    """Refuses weights that have the names of a framework whose network is not this encoder.

    Args:
      file: its framework is not the target's.
      source: the file's path, for the message.
      target: the encoder.
      other: the encoder of the table that the file matches, if there is one.

    Raises:
      UserError: always.
    """
    framework = framework_of(file)
    family = ENCODERS[target.encoder].family
    example = next(iter(file.arrays))
    found = (
        f"{source} has {FRAMEWORK_TITLES[framework]}'s names ({example}, ...), and {target.encoder} is built as"
        f" {FRAMEWORK_TITLES[target.framework]} builds it."
    )
    if family == "efficientnet" and "conv_stem.weight" in file.arrays:
        raise UserError(
            found
            + " timm's efficientnet and tf_efficientnet have the same names and shapes but pad differently,"
            " and the file does not say which of them it is.",
            expected="Keras's file",
            advice="use --source=download, or save keras.applications.EfficientNet... with model.save('NAME.keras')",
        )
    siblings = [name for name, row in ENCODERS.items() if (row.family, row.framework) == (family, framework)]
    if other is not None:
        choice = f"it looks like {other}: choose --encoder={other}, or"
    elif siblings:
        choice = f"choose --encoder={siblings[0]} if the file holds that network, or"
    else:
        choice = "take"
    raise UserError(
        found + (_DIFFERENCES.get(family, "") if siblings else ""),
        expected=f"weights from {FRAMEWORK_TITLES[target.framework]}",
        advice=f"{choice} another file (--source=download fetches one)",
    )


def fault_text(match: Match, source: pathlib.Path, target: Target) -> str:
    """All that keeps the file from being the encoder, each list cut short."""
    expected = target.shapes[match.extent]
    lines = [f"{source} is not {target.encoder} ({match.extent})."]
    if match.missing:
        lines.append(f"Missing ({len(match.missing):,}): {shortened(by_layer(match.missing))}.")
    if match.extra:
        lines.append(f"Not part of it ({len(match.extra):,}): {shortened(by_layer(match.extra))}.")
    if match.mis_shaped:
        shapes = [
            f"{name} {match.pairs[name].shape} instead of {expected[name]}"
            for name in sorted(match.mis_shaped)
        ]
        lines.append(f"Of another shape ({len(shapes):,}): {shortened(shapes)}.")
    return "\n".join(lines)


def by_layer(names: Iterable[str]) -> list[str]:
    """One entry a layer: ['a/bias', 'a/kernel', 'b.weight'] -> ['a/{bias,kernel}', 'b.weight']."""
    layers: dict[str, list[str]] = {}
    for name in sorted(names):
        end = max(name.rfind("/"), name.rfind(".")) + 1
        layers.setdefault(name[:end], []).append(name[end:])
    return [
        f"{layer}{{{','.join(ends)}}}" if len(ends) > 1 else layer + ends[0] for layer, ends in layers.items()
    ]


def shortened(names: Iterable[str]) -> str:
    """A list for a message: its first dozen, and how many more there are."""
    names = list(names)
    more = f", and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
