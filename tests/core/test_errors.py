import pytest

from nucseg_jax.core.errors import reason_of


def test_a_reason_is_one_short_line_whatever_was_read():
    """The error of a decoder carries all the bytes that it was given."""
    content = b"\xff" * 100_000
    with pytest.raises(UnicodeDecodeError) as caught:
        content.decode("utf-8")
    assert "can't decode byte 0xff in position 0" in reason_of(caught.value)
    assert len(reason_of(ValueError("x" * 100_000))) < 1_000
    assert reason_of(ValueError("\n two \n lines")) == "two"
