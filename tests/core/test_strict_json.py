import json
import math

import pytest

from nucseg_jax.core.strict_json import MAX_DEPTH, parse_json


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"step": 1e999}', "1e999 is too large"),
        ("[-1e400]", "too large"),
        (str(2**63), "too large"),
        ("-" + "9" * 5000, "too large"),
        ("[" * 100_000, "nested"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested"),
        ('{"dice": 0.1, "dice": 0.9}', "twice"),
        ('"\\ud800"', "surrogates"),
        ("", "Expecting value"),
        ("\xff", "utf-8"),
    ],
)
def test_what_is_not_understood_is_one_kind_of_error(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(text.encode("latin-1"))


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, -2.5e-7, None, True, "\U0001f52c \u00e9"], "b": {}},
        2**63 - 1,
        -(2**63) + 1,
        0.1,
        json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH),
    ],
)
def test_everything_else_comes_back(value):
    for ascii_only in (True, False):
        assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


def test_missing_numbers_of_other_programs_are_nan_if_allowed():
    content = b'{"a": NaN, "b": [Infinity, -Infinity, 1.5]}'
    value = parse_json(content, allow_nan=True)
    assert math.isnan(value["a"])
    assert [math.isnan(each) for each in value["b"]] == [True, True, False]
    with pytest.raises(ValueError, match="NaN is not JSON"):
        parse_json(content)
    with pytest.raises(ValueError, match="too large"):
        parse_json(b"[1e999]", allow_nan=True)
