"""Damaged copies of bytes and of JSON values."""

import json
from typing import Any

from hypothesis import strategies as st

# What parsers trip over: the ends of ranges of counts and offsets, in all widths.
_EXTREMES = [
    value
    for width in (1, 2, 4, 8)
    for number in (0, 1, (1 << 8 * width) - 1, (1 << 8 * width - 1) - 1, 1 << 8 * width - 1)
    for value in (number.to_bytes(width, "little"), number.to_bytes(width, "big"))
]
# Headers and indices lie at the ends of files.
_END_BYTES = 600

NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([2**31, 2**63, -(2**63), 10**400, 1e308, -1e308, 5e-324]),
    st.floats(),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A copy with one to three faults: bits, extreme numbers, random bytes, parts cut out, doubled, or the end gone."""
    damaged = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        size = len(damaged)
        place = draw(
            st.one_of(
                st.integers(0, min(size, _END_BYTES)),
                st.integers(max(0, size - _END_BYTES), size),
                st.integers(0, size),
            )
        )
        kind = draw(st.sampled_from(["bit", "extreme", "bytes", "cut", "remove", "double", "insert"]))
        length = draw(st.integers(1, 64))
        if kind == "bit" and place < size:
            damaged[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "extreme":
            value = draw(st.sampled_from(_EXTREMES))
            damaged[place : place + len(value)] = value
        elif kind == "bytes":
            damaged[place : place + length] = draw(st.binary(min_size=length, max_size=length))
        elif kind == "cut":
            del damaged[place:]
        elif kind == "remove":
            del damaged[place : place + length]
        elif kind == "double":
            damaged[place:place] = damaged[place : place + length]
        elif kind == "insert":
            damaged[place:place] = draw(st.binary(max_size=length))
    return bytes(damaged)


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """A copy of a JSON value with one to three values changed, replaced, removed or added anywhere in it."""
    copy = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        inner = copy
        while isinstance(inner, dict | list) and inner:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            key = draw(st.sampled_from(keys))
            if not isinstance(inner[key], dict | list) or not inner[key] or draw(st.integers(0, 9)) == 0:
                kind = draw(st.sampled_from(["like", "like", "replace", "replace", "remove", "add"]))
                if kind == "like" and isinstance(inner[key], int | float):
                    inner[key] = type(inner[key])(draw(st.sampled_from([0, 1, 2, 8, 0.5])))
                elif kind == "remove":
                    del inner[key]
                elif kind == "add" and isinstance(inner, dict):
                    inner[draw(st.text(max_size=8))] = draw(JSON)
                else:
                    inner[key] = draw(JSON)
                break
            inner = inner[key]
    return copy
