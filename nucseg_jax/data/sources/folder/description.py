"""dataset.yaml: what its owner writes down about a folder of images. All of it is optional.

name: ovary
microns_per_px: 0.25
classes: [tumour, lymphocyte, other]      # in the order of label numbers; or {tumour: "#c80000", ...}
unclassified: other                       # the class of nuclei without one
labels: instances                         # instances, mask, classes or auto: what rasters hold
groups: {a: patient1, b: patient2}        # or groups.csv
licence: CC BY 4.0
citation: ...
"""

import dataclasses
import math
import pathlib
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, get_args

import yaml

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import read_file
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.data.dataset_info import PALETTE, NucleusClass
from nucseg_jax.data.labels.annotation import LabelKind
from nucseg_jax.data.sources.folder.layout import DESCRIPTION as FILE_NAME
from nucseg_jax.images.resolution import COARSEST, FINEST

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LARGEST_BYTES = 1 << 20
_LONGEST_SHOWN = 80


@dataclasses.dataclass(frozen=True)
class Description:
    """Values of a dataset.yaml.

    Attributes:
      name: '' = not given.
      microns_per_px: of the images; None = not given.
      classes: None = not given; () = nuclei without classes, whatever the labels carry.
      unclassified: name of the class of nuclei without one; '' = there is none.
      labels: what raster labels hold.
      groups: group by image, as written.
      licence, citation: '' = not given.
    """

    name: str = ""
    microns_per_px: float | None = None
    classes: tuple[NucleusClass, ...] | None = None
    unclassified: str = ""
    labels: LabelKind = "auto"
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
    licence: str = ""
    citation: str = ""


def read_description(folder: pathlib.Path) -> Description:
    """Reads the dataset.yaml of a folder; all values not given where there is none.

    Raises:
      UserError: it cannot be read, or holds a key or a value that is not understood.
    """
    path = folder / FILE_NAME
    if not path.exists() and not path.is_symlink():
        return Description()
    values = _read(path)
    fields = [field.name for field in dataclasses.fields(Description)]
    readers: dict[str, Callable[[object], object]] = {
        "microns_per_px": _microns,
        "classes": _classes,
        "labels": _kind,
        "groups": _groups,
    }
    read: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(key, str) or key not in fields:
            raise UserError(
                f"{path}: {_shown(key)} is no key of it{did_you_mean(str(key), fields)}",
                expected="one of " + ", ".join(fields),
            )
        try:
            read[key] = readers.get(key, _text)(value)
        except UserError as error:
            raise UserError(f"{path}: {key}: {error}") from None
    description = Description(**read)
    names = [each.name for each in description.classes or ()]
    if description.unclassified and description.classes is not None and description.unclassified not in names:
        raise UserError(
            f"{path}: unclassified is {_shown(description.unclassified)}, which is no class"
            f"{did_you_mean(description.unclassified, names)}",
            expected=f"one of {', '.join(names) or 'the classes, of which there are none'}",
        )
    return description


class _TextLoader(yaml.BaseLoader):
    """Leaves every scalar as it is written: a class may be called `no`, an image `007`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """Refuses a key that stands there twice, of which YAML would keep the last."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{_shown(key.value)} stands there twice", key.start_mark
                )
            seen.add(key.value)
        mapping: dict[Hashable, object] = super().construct_mapping(node, deep)
        return mapping


def _read(path: pathlib.Path) -> dict[object, object]:
    try:
        content = read_file(path)
        if len(content) > _LARGEST_BYTES:
            raise ValueError(f"it has {len(content):,} bytes, at most {_LARGEST_BYTES:,} are read")
        values = yaml.load(content.decode("utf-8-sig"), Loader=_TextLoader)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path} cannot be read: {where}{error.problem}", expected="YAML") from None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}", expected="YAML") from error
    if values in (None, ""):
        return {}
    if not isinstance(values, dict):
        raise UserError(
            f"{path} holds {_kind_of(values)}",
            expected="lines of the form `key: value`, such as `name: ovary`",
        )
    return values


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise UserError(f"it is {_kind_of(value)}", expected="text")
    return value.strip()


def _microns(value: object) -> float:
    try:
        number = float(_text(value))
    except ValueError:
        number = math.nan
    if not FINEST <= number <= COARSEST:
        raise UserError(
            f"it is {_shown(value)}", expected=f"a number from {FINEST:g} to {COARSEST:g}, such as 0.25"
        )
    return number


def _kind(value: object) -> LabelKind:
    kinds: tuple[LabelKind, ...] = get_args(LabelKind)
    for kind in kinds:
        if value == kind:
            return kind
    raise UserError(
        f"it is {_shown(value)}{did_you_mean(str(value)[:_LONGEST_SHOWN], kinds)}",
        expected="one of " + ", ".join(kinds),
    )


def _classes(value: object) -> tuple[NucleusClass, ...]:
    if isinstance(value, list):
        value = dict.fromkeys(_listed_once(value), "")
    if not isinstance(value, dict):
        raise UserError(
            f"it is {_kind_of(value)}", expected="a list of names, or a mapping of names to colours '#rrggbb'"
        )
    classes = []
    for index, (name, colour) in enumerate(value.items()):
        if not name.strip():
            raise UserError("a class has no name")
        classes.append(NucleusClass(name.strip(), _colour(name, colour, index)))
    return tuple(classes)


def _listed_once(values: list[object]) -> list[str]:
    names = [_text(value) for value in values]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{_shown(repeated[0])} stands there twice", expected="each class once")
    return names


def _colour(name: str, value: object, index: int) -> tuple[int, int, int]:
    if value == "":
        return PALETTE[index % len(PALETTE)]
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise UserError(f"the colour of {_shown(name)} is {_shown(value)}", expected="'#rrggbb', in quotes")
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)


def _groups(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise UserError(
            f"it is {_kind_of(value)}", expected="a mapping of images to groups, such as {a: patient1}"
        )
    groups = {image: _text(group) for image, group in value.items()}
    for image, group in groups.items():
        if not group:
            raise UserError(f"{_shown(image)} has no group")
    return groups


def _kind_of(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else _shown(value)


def _shown(value: object) -> str:
    return repr(value)[:_LONGEST_SHOWN] if isinstance(value, str) else _kind_of(value)
