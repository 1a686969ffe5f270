"""Arrays of NumPy's format with hostile headers and damaged data, plain and in zips."""

import contextlib
import io
import os
import pathlib
import pickle
import struct
import tempfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.npy import Member, read_header, read_whole, rows
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import NUMBERS, damaged

LIMIT_BYTES = 1 << 20
DTYPES = [
    "<f8",
    "|u1",
    "<U13",
    "|S4",
    "|O",
    "<f2",
    ">i4",
    "|V0",
    "<M8[s]",
    "|b1",
    "<c16",
    "(1000000,)<f8",
    "[('a', 'O')]",
]


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


VALID = saved(np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4))


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """A header that a program never wrote, and some data."""
    shape = draw(
        st.one_of(
            st.lists(st.one_of(st.integers(0, 4), st.integers(), NUMBERS), max_size=5).map(tuple),
            st.text(max_size=5),
        )
    )
    header = draw(
        st.one_of(
            st.builds(
                lambda descr, fortran: repr({"descr": descr, "fortran_order": fortran, "shape": shape}),
                st.sampled_from(DTYPES),
                st.sampled_from([False, False, True, "no"]),
            ),
            st.sampled_from(
                [
                    "",
                    "{",
                    "None",
                    "(" * 9_000,
                    "[" * 200 + "]" * 200,
                    "__import__('os').getpid()",
                    "9" * 9_000,
                ]
            ),
            st.text(max_size=60),
        )
    ).encode("latin-1", "replace")
    version = draw(st.sampled_from([(1, 0), (1, 0), (2, 0), (3, 0), (9, 9)]))
    length = draw(st.one_of(st.just(len(header)), st.integers(0, 2**16 - 1)))
    packed = struct.pack("<H" if version == (1, 0) else "<I", length)
    return b"\x93NUMPY" + bytes(version) + packed + header + draw(st.binary(max_size=200))


def read_all(member: Member) -> int:
    header = read_header(member)
    return sum(row.size for row in rows(member)) if header.row_shape else read_whole(member, LIMIT_BYTES).size


@fuzzed(cases=60)
@given(content=st.one_of(hostile(), damaged(VALID)), is_zipped=st.booleans())
def test_an_array_is_read_or_refused(content, is_zipped):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if is_zipped:
            member = Member(folder / "fold_1.zip", "images.npy")
            with zipfile.ZipFile(member.path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(member.inside, content)
        else:
            member = Member(folder / "images.npy")
            member.path.write_bytes(content)
        ends_well("npy arrays", lambda: read_all(member), folder=folder)


@fuzzed(cases=10)
@given(dtype=st.sampled_from(["<f8", "|u1", "<U13"]), length=st.integers(1 << 31, 1 << 44))
def test_a_small_array_that_claims_terabytes_takes_no_memory(dtype, length):
    """The file is as long as its header says: it consists of a hole."""
    with tempfile.TemporaryDirectory() as name:
        member = Member(pathlib.Path(name) / "types.npy")
        header = saved(np.empty(0, dtype)).replace(b"(0,)", b"(%d,)" % length)
        with member.path.open("wb") as file:
            file.write(header)
            file.flush()
            # More than the file system can hold: the file stays shorter than it says.
            with contextlib.suppress(OSError):
                os.truncate(member.path, len(header) + length * np.dtype(dtype).itemsize)
        outcome = ends_well(
            "arrays of terabytes", lambda: read_whole(member, LIMIT_BYTES), folder=member.path.parent
        )
        assert isinstance(outcome, UserError)


def test_the_watch_sees_a_pickle(tmp_path):
    """What the other tests rely on: a reader that unpickled would be found out."""
    content = pickle.dumps(pathlib.Path("x"))
    with pytest.raises(AssertionError, match=r"pickle.find_class"):
        ends_well("", lambda: pickle.loads(content), folder=tmp_path)
