"""Declarations of config fields: default, meaning, range or choices, and what a field affects, in one place.

>>> @dataclasses.dataclass(frozen=True)
... class Train:
...     "Training."
...     lr: float = field(1e-4, "Learning rate of Adam.", above=0, phrase="learning rate {:g}")
...     feed: Literal["auto", "host"] = field("auto", "Where patches wait.", affects="program")
>>> [(declared.name, declared.choices) for declared in declared_fields("train", Train)]
[('train.lr', ()), ('train.feed', ('auto', 'host'))]
>>> declared_fields("train", Train)[0].fault(0.0)
Fault(found='train.lr is 0.0', expected='a positive number')
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, TypeGuard, TypeVar

from nucseg_jax.core.nearest import did_you_mean, did_you_mean_field

Section = TypeVar("Section")
# What a field can hold.
FieldValue: TypeAlias = str | bool | int | float | tuple[int, ...]

Affects = Literal["model", "start", "chance", "results", "data", "program", "nothing"]
# What each value of `Affects` means; the reference page shows it.
EFFECTS: dict[Affects, str] = {
    "model": "the network: weights of another value do not fit",
    "start": "the weights that training starts from",
    "chance": "a seed: repeats of a run differ by it",
    "results": "any other number that a run computes",
    "data": "the patches: a run is resumed if digests of data and split show that they are the same",
    "program": "the compiled program, and results by rounding alone",
    "nothing": "no number that a run computes without it: folders, checks, pictures, times, logs, further scores",
}
# Effects that a resumed run may have; of `data`, digests are compared.
EFFECTS_OF_NO_RESULT: tuple[Affects, ...] = ("data", "program", "nothing")
# The longest text of a value in a message.
_LONGEST_VALUE = 200


class Fault(NamedTuple):
    """A value that a field cannot have.

    Attributes:
      found: names the field and its value.
      expected: the values that it can have.
    """

    found: str
    expected: str


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers that a field can have; None = no bound.

    Attributes:
      at_least, at_most: bounds that belong to the range.
      above, below: bounds that do not.
      multiple_of: the number divides every value.
      or_equals: a value outside of the range that is allowed too, such as 0 for 'none'.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    multiple_of: int | None = None
    or_equals: float | None = None

    def __contains__(self, number: float) -> bool:
        if self.or_equals is not None and number == self.or_equals:
            return True
        # A whole number beyond the largest float is finite too.
        return (
            (isinstance(number, int) or math.isfinite(number))
            and (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
            and (self.multiple_of is None or number % self.multiple_of == 0)
        )

    def __str__(self) -> str:
        """Describes the range.

        >>> print(Range(at_least=0, at_most=1), Range(at_least=1, or_equals=0), Range(above=0), sep="; ")
        0 to 1; 0, or at least 1; a positive number
        >>> print(Range(above=0, below=1), Range(at_least=0, below=1), Range(at_least=32, multiple_of=32), sep="; ")
        a number between 0 and 1; at least 0 and below 1; a multiple of 32, at least 32
        """
        if self.above is not None and self.below is not None:
            text = f"a number between {self.above} and {self.below}"
        elif self.at_least is not None and self.at_most is not None:
            text = f"{self.at_least} to {self.at_most}"
        else:
            bounds = [
                f"{word} {bound}"
                for word, bound in (
                    ("at least", self.at_least),
                    ("above", self.above),
                    ("at most", self.at_most),
                    ("below", self.below),
                )
                if bound is not None
            ]
            text = "a positive number" if bounds == ["above 0"] else " and ".join(bounds)
        if self.multiple_of is not None:
            text = ", ".join(part for part in (f"a multiple of {self.multiple_of}", text) if part)
        if self.or_equals is not None:
            text = f"{self.or_equals}, or {text}"
        return text or "a finite number"


@dataclasses.dataclass(frozen=True)
class Declared:
    """The declaration of a config field.

    Attributes:
      name: 'section.field'.
      kind: type of its value: str, bool, int, float or a tuple of int.
      default: its value where nothing else is given.
      doc: meaning, unit and source.
      range: numbers that it can have.
      choices: values that it can have; empty = any of its kind.
      affects: see `Affects`.
      is_per_model: each of the paper's models has its own value, so that it does not distinguish two models.
      was_added: runs of earlier versions lack it; they ran with the default.
      is_required: an empty text is refused.
      loss_term: name of the loss that it weighs; '' = it is no weight of a loss.
      phrase: a value in words, for names of runs.
    """

    name: str
    kind: type
    default: FieldValue
    doc: str
    range: Range
    choices: tuple[FieldValue, ...]
    affects: Affects
    is_per_model: bool
    was_added: bool
    is_required: bool
    loss_term: str
    phrase: Callable[..., str] | None

    @property
    def section(self) -> str:
        """Name of the section: 'train' of 'train.lr'."""
        return self.name.partition(".")[0]

    @property
    def key(self) -> str:
        """Name within the section: 'lr' of 'train.lr'."""
        return self.name.partition(".")[2]

    @property
    def may_change_on_resume(self) -> bool:
        """A run may be resumed with another value: no result depends on it, or a digest is compared."""
        return self.affects in EFFECTS_OF_NO_RESULT

    @property
    def type_text(self) -> str:
        """The type of its values in words, such as 'a whole number'."""
        texts = {str: "a text", bool: "True or False", int: "a whole number", float: "a number"}
        return texts.get(self.kind, "a list of whole numbers")

    @property
    def allowed(self) -> str:
        """The values that it can have, in words: choices, a range, or the type."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        if self.is_required:
            return "a text that is not empty"
        return self.type_text if self.range == Range() else str(self.range)

    def converted(self, value: object) -> FieldValue:
        """Returns a value as the field's type: whole numbers as floats, lists as tuples.

        Raises:
          TypeError: a value of another type, such as True for a whole number.
        """
        if self.kind is float and isinstance(value, int | float) and type(value) in (int, float):
            try:
                return float(value)
            except OverflowError:
                return math.inf if value > 0 else -math.inf
        if isinstance(self.kind, types.GenericAlias):
            if isinstance(value, list | tuple) and all(type(item) is int for item in value):
                return tuple(value)
        elif isinstance(value, str | bool | int | float) and type(value) is self.kind:
            return value
        raise TypeError(f"{self.name} is {_shown(value)}, expected {self.type_text}")

    def fault(self, value: FieldValue) -> Fault | None:
        """Returns what is wrong with a value of the field's type; None where it is allowed."""
        if self.choices and value not in self.choices:
            near = (
                did_you_mean(value[:_LONGEST_VALUE], map(str, self.choices)) if isinstance(value, str) else ""
            )
            return Fault(f"{self.name} is {_shown(value)}{near}", self.allowed)
        if self.is_required and not value:
            return Fault(f"{self.name} is empty", self.allowed)
        if self.kind in (int, float) and isinstance(value, int | float) and value not in self.range:
            return Fault(f"{self.name} is {_shown(value)}", str(self.range))
        return None

    def phrased(self, value: FieldValue) -> str:
        """Returns a value in words, such as 'L2 0.02'; by the field's name where no phrase is declared or fits it."""
        try:
            if self.phrase is not None:
                return self.phrase(value)
        except (KeyError, ValueError, TypeError):
            pass
        return f"{self.name} {value:g}" if isinstance(value, float) else f"{self.name} {value}"


def _is_mapping(values: object) -> TypeGuard[Mapping[str, object]]:
    """Tells what can be read as a mapping is, such as a ConfigDict, which is none by its type."""
    return hasattr(values, "items")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def field(
    default: FieldValue,
    doc: str,
    *,
    affects: Affects = "results",
    is_per_model: bool = False,
    was_added: bool = False,
    is_required: bool = False,
    loss_term: str = "",
    phrase: str | Callable[..., str] | None = None,
    **limits: float,
) -> Any:
    """Declares a field of a config section; choices are those of a `Literal` annotation.

    Args:
      default: value where nothing else is given.
      doc: meaning, unit and source, in one or a few sentences.
      affects, is_per_model, was_added, is_required, loss_term: see `Declared`.
      phrase: a format string such as "L2 {:g}", or a function from the value to the phrase.
      **limits: fields of `Range`.
    """
    details = dict(
        default=default,
        doc=doc,
        range=Range(**limits),  # type: ignore[arg-type]
        affects=affects,
        is_per_model=is_per_model,
        was_added=was_added,
        is_required=is_required,
        loss_term=loss_term,
        phrase=phrase.format if isinstance(phrase, str) else phrase,
    )
    return dataclasses.field(default=default, metadata=details)


def declared_fields(section_name: str, section: type) -> tuple[Declared, ...]:
    """Returns the declarations of a section, a dataclass whose every field is made by `field`."""
    hints = typing.get_type_hints(section)
    declared = []
    for item in dataclasses.fields(section):
        hint = hints[item.name]
        choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
        kind = type(choices[0]) if choices else hint
        declared.append(
            Declared(
                name=f"{section_name}.{item.name}",
                kind=kind,
                choices=choices,
                **item.metadata,
            )
        )
    return tuple(declared)


def read_section(
    name: str, section: type[Section], values: object, known: Iterable[str] = ()
) -> tuple[Section | None, list[Fault]]:
    """Reads a section and checks each of its fields.

    Args:
      name: of the section.
      section: a dataclass whose every field is made by `field`.
      values: a mapping such as a ConfigDict or a dict of JSON values.
      known: 'section.field' of every field of the config, to name those that a misspelt one may mean.

    Returns:
      The section and no fault; or None, and a fault for every missing, unknown, wrongly typed and disallowed field.
    """
    if not _is_mapping(values):
        return None, [Fault(f"section {name!r} is missing", "a section of fields")]
    declared = {item.key: item for item in declared_fields(name, section)}
    faults = [
        Fault(f"unknown field {name}.{key}{did_you_mean_field(f'{name}.{key}', known)}", f"fields of {name}")
        for key in values
        if key not in declared
    ]
    read = {}
    for key, item in declared.items():
        if key not in values and not item.was_added:
            faults.append(Fault(f"field {item.name} is missing", item.allowed))
            continue
        value = values.get(key, item.default)
        try:
            read[key] = item.converted(value)
        except TypeError:
            faults.append(Fault(f"{item.name} is {_shown(value)}", item.type_text))
            continue
        fault = item.fault(read[key])
        if fault is not None:
            faults.append(fault)
    return (None if faults else section(**read)), faults
