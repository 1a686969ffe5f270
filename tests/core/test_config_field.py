"""Declarations of fields: ranges, types, faults, and sections that are read by them."""

import dataclasses
import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucseg_jax.core.config_field import Fault, Range, declared_fields, field, read_section
from tests.fuzz.cases import fuzzed


@dataclasses.dataclass(frozen=True)
class Sample:
    """One field of each type."""

    name: str = field("run", "A text.", is_required=True)
    kind: Literal["slow", "fast", "faster"] = field("slow", "A choice.", affects="program")
    is_on: bool = field(False, "A switch.")
    count: int = field(
        4, "A number.", at_least=2, at_most=64, multiple_of=2, was_added=True, phrase="{} of them"
    )
    rate: float = field(0.5, "A rate.", above=0, below=1, phrase="rate {:g}")
    gamma: float = field(2.0, "An exponent.", at_least=1, or_equals=0)
    free: float = field(0.0, "Any finite number.")
    depths: tuple[int, ...] = field((), "Whole numbers.", affects="model")


FIELDS = {item.key: item for item in declared_fields("sample", Sample)}
KNOWN = [item.name for item in FIELDS.values()]


def read(**changes):
    values = {**dataclasses.asdict(Sample()), **changes}
    return read_section(
        "sample", Sample, {key: value for key, value in values.items() if value is not None}, KNOWN
    )


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "text"),
    [
        ({"at_least": 0, "at_most": 1}, [0, 0.5, 1], [-1e-9, 1.0000001], "0 to 1"),
        ({"above": 0, "below": 1}, [1e-9, 0.999], [0, 1, -1, 2], "a number between 0 and 1"),
        ({"above": 0}, [1e-300, 1e300], [0, -1], "a positive number"),
        ({"above": 1}, [1.5], [1], "above 1"),
        ({"above": 0, "at_most": 4}, [4, 0.1], [0, 4.1], "above 0 and at most 4"),
        ({"at_least": 1, "or_equals": 0}, [0, 1, 7], [0.5, -1], "0, or at least 1"),
        ({"at_least": 32, "multiple_of": 32}, [32, 96], [0, 48, -32], "a multiple of 32, at least 32"),
        ({"multiple_of": 2}, [-2, 0, 4], [1], "a multiple of 2"),
        ({}, [-1e300, 0, 10**400], [], "a finite number"),
    ],
)
def test_a_range_holds_its_bounds_and_says_so(limits, inside, outside, text):
    allowed = Range(**limits)
    assert all(number in allowed for number in inside)
    assert not any(number in allowed for number in (*outside, math.nan, math.inf, -math.inf))
    assert str(allowed) == text


def test_no_number_but_finite_ones_is_in_a_range_whatever_else_it_allows():
    for number in (math.nan, math.inf, -math.inf):
        assert FIELDS["free"].fault(number) == Fault(f"sample.free is {number}", "a finite number")
        assert FIELDS["gamma"].fault(number) is not None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("rate", 1, 1.0),
        ("rate", -0.0, 0.0),
        ("count", 6, 6),
        ("depths", [1, 2], (1, 2)),
        ("depths", (3,), (3,)),
        ("depths", [], ()),
        ("is_on", True, True),
        ("kind", "fast", "fast"),
    ],
)
def test_values_become_those_of_the_fields_type(key, value, expected):
    converted = FIELDS[key].converted(value)
    assert (type(converted), converted) == (type(expected), expected)


def test_whole_numbers_beyond_the_largest_float_are_none_that_a_field_can_have():
    for number, converted in ((10**400, math.inf), (-(10**400), -math.inf)):
        assert FIELDS["free"].converted(number) == converted
        assert FIELDS["free"].fault(converted) is not None


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("rate", True, "a number"),
        ("rate", "0.5", "a number"),
        ("count", 2.0, "a whole number"),
        ("count", True, "a whole number"),
        ("is_on", 1, "True or False"),
        ("kind", 3, "a text"),
        ("name", None, "a text"),
        ("depths", [1, True], "a list of whole numbers"),
        ("depths", [1, 2.0], "a list of whole numbers"),
        ("depths", "12", "a list of whole numbers"),
    ],
)
def test_values_of_another_type_are_refused_in_words(key, value, text):
    with pytest.raises(TypeError, match=f"sample.{key} is .*, expected {text}$"):
        FIELDS[key].converted(value)


def test_a_misspelt_choice_is_answered_with_the_nearest():
    assert FIELDS["kind"].fault("fats") == Fault(
        "sample.kind is 'fats'; did you mean fast or faster?", "one of slow, fast, faster"
    )
    long = FIELDS["kind"].fault("x" * 100_000)
    assert len(long.found) < 300


def test_every_fault_of_a_section_is_found_together():
    section, faults = read(
        name="", kind="medium", is_on=None, count=3, rate="high", gamma=0.5, depth=(), depths=[0.5]
    )
    assert section is None
    assert faults == [
        Fault("unknown field sample.depth; did you mean sample.depths?", "fields of sample"),
        Fault("sample.name is empty", "a text that is not empty"),
        Fault("sample.kind is 'medium'", "one of slow, fast, faster"),
        Fault("field sample.is_on is missing", "True or False"),
        Fault("sample.count is 3", "a multiple of 2, 2 to 64"),
        Fault("sample.rate is 'high'", "a number"),
        Fault("sample.gamma is 0.5", "0, or at least 1"),
        Fault("sample.depths is [0.5]", "a list of whole numbers"),
    ]


def test_a_field_that_was_added_later_has_its_default_where_it_is_missing():
    section, faults = read(count=None, rate=1e-3, depths=[2])
    assert (section, faults) == (Sample(rate=1e-3, depths=(2,)), [])


@pytest.mark.parametrize("values", [None, [], 3, "rate"])
def test_a_section_that_is_none_is_one_fault(values):
    assert read_section("sample", Sample, values) == (
        None,
        [Fault("section 'sample' is missing", "a section of fields")],
    )


def test_phrases_are_the_declared_ones_or_name_the_field():
    told = [FIELDS[key].phrased(value) for key, value in (("rate", 0.25), ("count", 4), ("free", 0.1 + 0.2))]
    assert told == ["rate 0.25", "4 of them", "sample.free 0.3"]
    # A value of another version, for which the phrase does not fit.
    assert FIELDS["rate"].phrased("high") == "sample.rate high"
    assert FIELDS["kind"].phrased("fast") == "sample.kind fast"


def test_only_fields_that_no_result_depends_on_may_change_on_resume():
    assert {key for key, item in FIELDS.items() if item.may_change_on_resume} == {"kind"}


@fuzzed(cases=200)
@given(
    values=st.dictionaries(
        st.sampled_from([*FIELDS, "other"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers()),
    )
)
def test_any_values_are_a_section_within_its_ranges_or_faults(values):
    section, faults = read_section("sample", Sample, values, KNOWN)
    assert (section is None) == bool(faults)
    if section is not None:
        for key, item in FIELDS.items():
            assert item.fault(getattr(section, key)) is None
            assert item.converted(getattr(section, key)) == getattr(section, key)
