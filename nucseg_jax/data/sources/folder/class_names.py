"""Classes of a data set: those that are declared, or those whose names the labels carry; nothing is passed over."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.data.dataset_info import NUCLEUS, PALETTE, NucleusClass
from nucseg_jax.data.sources.folder.layout import listed, require_one_line
from nucseg_jax.data.sources.folder.survey import Surveyed

GivenClass = str | int | None


@dataclasses.dataclass(frozen=True)
class ClassTable:
    """Classes of a data set and how labels give them.

    Attributes:
      classes: in the order of label numbers; () = nuclei without classes.
      number: label number by class as a label gives it, as `Annotation.draw` takes it; empty = all nuclei are 1.
      described: sentences for a person.
    """

    classes: tuple[NucleusClass, ...]
    number: Mapping[GivenClass, int]
    described: tuple[str, ...]


def class_table(
    surveyed: Sequence[Surveyed],
    declared: tuple[NucleusClass, ...] | None,
    unclassified: str,
    *,
    declared_in: str = "dataset.yaml",
) -> ClassTable:
    """Decides the classes of a data set.

    Args:
      surveyed: all images.
      declared: None = not declared: the names that labels carry, sorted; () = nuclei without classes, whatever they
        carry.
      unclassified: the class of nuclei without one; '' = there may be none where others have one.
      declared_in: where classes are declared, for people.

    Raises:
      UserError: a class that is not declared, a nucleus without a class among others, numbers without names, or a name
        of several lines; the message names the file.
    """
    found = {each for image in surveyed for each in image.class_counts}
    if declared is None:
        _refuse_numbers(surveyed, found)
        names = {each for each in found if isinstance(each, str) and not is_any_nucleus(each)}
        if unclassified:
            names.add(unclassified)
        declared = tuple(
            NucleusClass(name, PALETTE[index % len(PALETTE)]) for index, name in enumerate(sorted(names))
        )
        told = "names that the labels carry, sorted; `classes` in dataset.yaml gives them another order and colours"
    else:
        told = declared_in
    for named in declared:
        require_one_line(named.name, "a class")
    if not declared:
        ignored = sorted(str(each) for each in found if each is not None and not is_any_nucleus(each))
        note = (
            (f"classes of the labels are left out, as dataset.yaml asks: {listed(ignored)}",)
            if ignored
            else ()
        )
        return ClassTable((), {}, ("nuclei without classes", *note))
    number = _numbers(surveyed, found, tuple(each.name for each in declared), unclassified)
    counts: Counter[int] = Counter()
    for image in surveyed:
        for each, count in image.class_counts.items():
            counts[number[each]] += count
    each_told = [
        f"{index} {each.name} ({counted(counts[index], 'nucleus')})"
        for index, each in enumerate(declared, start=1)
    ]
    lines = [f"{counted(len(declared), 'class')} ({told}): {', '.join(each_told)}"]
    without = sum(count for image in surveyed for each, count in image.class_counts.items() if _is_none(each))
    if without:
        lines.append(f"{counted(without, 'nucleus')} without a class: {unclassified}, as dataset.yaml asks")
    return ClassTable(declared, number, tuple(lines))


def is_any_nucleus(each: GivenClass) -> bool:
    """Returns True for a class that names any nucleus, as outlines of a model without classes have it."""
    return isinstance(each, str) and NucleusClass(each, (0, 0, 0)).column == NUCLEUS


def _is_none(each: GivenClass) -> bool:
    return each is None or is_any_nucleus(each)


def _numbers(
    surveyed: Sequence[Surveyed], found: set[GivenClass], names: Sequence[str], unclassified: str
) -> dict[GivenClass, int]:
    number: dict[GivenClass, int] = {}
    for each in found:
        if _is_none(each):
            if not unclassified:
                raise UserError(
                    f"{_where(surveyed, each)} without a class, in a data set with the classes {listed(names)}",
                    expected="a class for each nucleus",
                    advice="classify them, or name a class for them in dataset.yaml: `unclassified: other`",
                )
            number[each] = names.index(unclassified) + 1
        elif isinstance(each, str):
            if each not in names:
                raise UserError(
                    f"{_where(surveyed, each)} of the class {each[:80]!r}, which dataset.yaml does not"
                    f" declare{did_you_mean(each[:80], names)}",
                    expected="one of " + ", ".join(names),
                )
            number[each] = names.index(each) + 1
        elif isinstance(each, int):
            if not 1 <= each <= len(names):
                raise UserError(
                    f"{_where(surveyed, each)} of the class {each}, and dataset.yaml declares"
                    f" {counted(len(names), 'class')}",
                    expected=f"1 to {len(names)}",
                )
            number[each] = each
    return number


def _refuse_numbers(surveyed: Sequence[Surveyed], found: set[GivenClass]) -> None:
    numbers = sorted(each for each in found if isinstance(each, int))
    if numbers:
        raise UserError(
            f"{_where(surveyed, numbers[0])} of the class {numbers[0]}; the labels hold the class numbers"
            f" {', '.join(map(str, numbers))} without names",
            expected="names in dataset.yaml, in the order of the numbers",
            advice="write `classes: [NAME, NAME]` into it, or `classes: []` for nuclei without classes",
        )


def _where(surveyed: Sequence[Surveyed], given: GivenClass) -> str:
    """The first file with nuclei of a class, and how many."""
    image = next(image for image in surveyed if given in image.class_counts)
    return f"{image.files.label}: {counted(image.class_counts[given], 'nucleus')}"
