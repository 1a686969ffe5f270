"""A data set's description: the names, colours, sizes and scale that all that follows from it needs.

It lies as `dataset.json` beside the records and in every run folder:

    {"format": 1, "name": "ovary", "classes": [{"name": "tumour", "color": [200, 0, 0]}, ...],
     "groups": ["patient1", "patient2"], "group_noun": "group", "divisions": ["train", "test"], "patch_px": 256,
     "microns_per_px": 0.25, "has_void": true, "licence": "", "citation": ""}
"""

import dataclasses
import pathlib
import re
import unicodedata
from typing import NamedTuple

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import write_json
from nucseg_jax.core.strict_json import Json, JsonObject, read_json

FILE_NAME = "dataset.json"
# The label of pixels that nobody annotated: they count nowhere, in training and in scores.
VOID_LABEL = 255
LARGEST_CLASS_COUNT = VOID_LABEL - 1
# What counts and columns call all nuclei together; no class may have this name.
NUCLEUS = "nucleus"
# For classes whose colour nobody chose: told apart on purple tissue, also by people who see no red or no green.
PALETTE = (
    (200, 0, 0), (30, 160, 230), (240, 228, 66), (0, 158, 115), (204, 121, 167), (230, 159, 0), (50, 50, 50),
    (86, 60, 200),
)  # fmt: skip
_FORMAT = 1
_NOUN = re.compile(r"[a-z]+")
# Columns and keys that stand beside the word for a group, in tables of counts and in results.json.
_TAKEN_NOUNS = (
    "index",
    "fold",
    "row",
    "image",
    "top",
    "left",
    "micro",
    "classes",
    "loss",
    "pooled",
    "patches",
    "nuclei",
)


class NucleusClass(NamedTuple):
    """A class of nuclei: its name as people write it, and the colour it is drawn in, RGB 0..255."""

    name: str
    color: tuple[int, int, int]

    @property
    def column(self) -> str:
        """The name in columns of tables: lower case, every other character a letter, a digit or '_'.

        A sign at the end of a word is written out, since it is all that parts two classes of a marker.

        >>> [NucleusClass(name, (0, 0, 0)).column for name in ("Spindle-shaped", "CD3+", "CD3- T cell")]
        ['spindle_shaped', 'cd3_positive', 'cd3_negative_t_cell']
        """
        name = unicodedata.normalize("NFC", self.name.lower())
        for sign, word in ((r"\+", " positive"), (r"[-\N{MINUS SIGN}]", " negative")):
            name = re.sub(rf"(?<=\w){sign}(?!\w)", word, name)
        return re.sub(r"[\W_]+", "_", name).strip("_")


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Describes a data set.

    Attributes:
      name: names it to people.
      classes: in the order of labels: label 1 is the first, label 0 is background; () = nuclei without classes.
      groups: names of what patches are grouped by (tissue, patient, slide); a patch has a position in this list.
      group_noun: the word for one of them, lower-case letters; names the column of tables and the convention of scores
        that averages over groups. 'tissue' in PanNuke, 'group' elsewhere.
      divisions: names of the parts that its authors divided it into, such as ('train', 'test'); () = none.
      patch_px: side of a patch.
      microns_per_px: of the patches.
      has_void: whether pixels exist whose label is `VOID_LABEL`.
      licence, citation: of the data, as text; '' = unknown.
    """

    name: str
    classes: tuple[NucleusClass, ...] = ()
    groups: tuple[str, ...] = ()
    group_noun: str = "group"
    divisions: tuple[str, ...] = ()
    patch_px: int = 256
    microns_per_px: float = 0.25
    has_void: bool = False
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        columns = [NUCLEUS, *(each.column for each in self.classes)]
        repeated = sorted({column for column in columns if columns.count(column) > 1 or not column})
        if repeated:
            raise UserError(
                f"the classes {', '.join(map(repr, self.class_names))} have no distinct names in tables: {repeated}",
                expected=f"names that differ in letters and digits, none of them {NUCLEUS!r}",
            )
        if len(self.classes) > LARGEST_CLASS_COUNT:
            raise UserError(
                f"there are {counted(len(self.classes), 'class')}", expected=f"at most {LARGEST_CLASS_COUNT}"
            )
        if len(set(self.groups)) < len(self.groups):
            raise UserError("two groups of the data set have the same name", expected="a name for each group")
        if not _NOUN.fullmatch(self.group_noun) or self.group_noun in _TAKEN_NOUNS:
            raise UserError(
                f"the word for a group is {self.group_noun!r}",
                expected=f"lower-case letters, and none of {', '.join(_TAKEN_NOUNS)}",
            )
        if self.patch_px < 1 or not 0.01 <= self.microns_per_px <= 10:
            raise UserError(
                f"patches are {self.patch_px} px of {self.microns_per_px} microns",
                expected="at least 1 px, of 0.01 to 10 microns",
            )
        for color in (each.color for each in self.classes):
            if len(color) != 3 or not all(type(value) is int and 0 <= value <= 255 for value in color):
                raise UserError(f"{color} is no colour", expected="three whole numbers 0..255")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of labels."""
        return tuple(each.name for each in self.classes)

    @property
    def bytes_per_patch(self) -> int:
        """Memory of a patch's image, label and group."""
        return self.patch_px * self.patch_px * 4 + 4

    def counted_names(self, num_classes: int) -> tuple[str, ...]:
        """Column names of what a model's pixels are counted for: `nucleus`, then each class if the model has classes.

        Args:
          num_classes: logits a pixel: 1, or background and every class.

        Raises:
          UserError: another number.
        """
        self.require_num_classes(num_classes)
        return (NUCLEUS, *(each.column for each in self.classes)) if num_classes > 1 else (NUCLEUS,)

    def require_num_classes(self, num_classes: int) -> None:
        """Raises UserError unless a model with so many logits can be trained and scored on this data set."""
        if num_classes == 1 or num_classes == len(self.classes) + 1 > 1:
            return
        if not self.classes:
            raise UserError(
                f"model.num_classes is {num_classes}, and the nuclei of the data set {self.name!r} have no classes",
                expected="1",
                advice="set --config.model.num_classes=1",
            )
        raise UserError(
            f"model.num_classes is {num_classes}, and the data set {self.name!r} has the classes"
            f" {', '.join(self.class_names)}",
            expected=f"1 (nucleus or not), or {len(self.classes) + 1} (background and each class)",
            advice=f"set --config.model.num_classes={len(self.classes) + 1}",
        )

    def as_json(self) -> dict[str, Json]:
        """JSON values, the inverse of `from_json`."""
        values = dataclasses.asdict(self)
        values["classes"] = [{"name": each.name, "color": list(each.color)} for each in self.classes]
        return {"format": _FORMAT, **{name: _listed(value) for name, value in values.items()}}

    @classmethod
    def from_json(cls, values: JsonObject) -> "DatasetInfo":
        """Reads what `as_json` gives.

        Raises:
          ValueError, KeyError, TypeError, UserError: it is none.
        """
        if values["format"] != _FORMAT:
            raise ValueError(f"it has the format {values['format']!r}, this version reads {_FORMAT}")
        kinds = {
            "name": str,
            "group_noun": str,
            "patch_px": int,
            "has_void": bool,
            "licence": str,
            "citation": str,
        }
        read = {name: values[name] for name in kinds}
        for name, kind in kinds.items():
            if type(read[name]) is not kind:
                raise ValueError(f"{name} is {read[name]!r}, expected {kind.__name__}")
        for name in ("groups", "divisions"):
            if not all(isinstance(each, str) for each in values[name]):
                raise ValueError(f"{name} are not all text")
            read[name] = tuple(values[name])
        classes = tuple(NucleusClass(str(each["name"]), tuple(each["color"])) for each in values["classes"])
        return cls(**read, classes=classes, microns_per_px=float(values["microns_per_px"]))

    def write(self, folder: pathlib.Path) -> None:
        """Writes `dataset.json` into a folder."""
        write_json(folder / FILE_NAME, self.as_json())


def read_info(folder: pathlib.Path) -> DatasetInfo | None:
    """Reads the `dataset.json` of a folder; None where there is none.

    Raises:
      UserError: it is damaged.
    """
    path = folder / FILE_NAME
    try:
        return DatasetInfo.from_json(read_json(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(
            f"{path} cannot be read: {reason_of(error)}",
            expected="the description of a data set, as `prepare` wrote it",
            advice="restore the file from a copy, or prepare the data set again",
        ) from error


def _listed(value: Json) -> Json:
    return list(value) if isinstance(value, tuple) else value
