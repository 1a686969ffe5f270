import json

import pytest
from hypothesis import given, settings

from nucseg_jax.core.seal import SEAL, bytes_digest, file_digest, sealed, unsealed
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


@pytest.mark.parametrize("name", ["results.json", "metrics.jsonl", "per_image_test.csv"])
def test_other_line_ends_are_no_alteration(tmp_path, name):
    """Git and editors change them; a run resumes from lines that were checked out so."""
    first, lines = b'{"step": 1}\n', b'{"step": 1}\n{"step": 2}\n'
    file = tmp_path / name
    file.write_bytes(lines.replace(b"\n", b"\r\n"))
    assert file_digest(file) == bytes_digest(lines)
    assert file_digest(file, len(first)) == bytes_digest(first)
    file.write_bytes(lines.replace(b"2", b"3"))
    assert file_digest(file) != bytes_digest(lines)


def test_bytes_that_are_no_text_count_as_they_are(tmp_path):
    file = tmp_path / "examples_test.npz"
    file.write_bytes(b"a\r\nb")
    assert file_digest(file) == bytes_digest(b"a\r\nb")


def test_a_seal_that_is_gone_is_missed():
    assert SEAL not in VALUES
    with pytest.raises(ValueError, match="missing"):
        unsealed(VALUES)
