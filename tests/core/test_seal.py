import json

import pytest
from hypothesis import given, settings

from nucseg_jax.core.seal import SEAL, sealed, unsealed
from nucseg_jax.core.strict_json import parse_json
from tests.fuzz.damage import altered

VALUES = {
    "step": 8,
    "scores": {"8": 0.1, "16": 1e-300},
    "config": {"model": {"width": 0.25, "depths": [1, 2]}},
}


def test_a_seal_survives_a_file_and_the_order_of_names():
    read = parse_json(json.dumps(dict(reversed(sealed(VALUES).items())), indent=1).encode())
    assert unsealed(read) == VALUES


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(altered(sealed(VALUES)))
def test_whatever_differs_is_seen(values):
    text = json.dumps(values)
    try:
        found = unsealed(parse_json(text.encode()))
    except (ValueError, AttributeError):
        return
    assert json.dumps(found, sort_keys=True) == json.dumps(VALUES, sort_keys=True)


def test_a_seal_that_is_gone_is_missed():
    assert SEAL not in VALUES
    with pytest.raises(ValueError, match="missing"):
        unsealed(VALUES)
