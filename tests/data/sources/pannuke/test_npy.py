import os
import pathlib
import zipfile

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import npy


def as_member(
    folder: pathlib.Path, content: bytes, *, zipped: bool, method: int = zipfile.ZIP_DEFLATED
) -> npy.Member:
    if not zipped:
        (folder / "a.npy").write_bytes(content)
        return npy.Member(folder / "a.npy")
    with zipfile.ZipFile(folder / "a.zip", "w", method) as archive:
        archive.writestr("in/a.npy", content)
    return npy.Member(folder / "a.zip", "in/a.npy")


def npy_bytes(folder: pathlib.Path, array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    with (folder / "made").open("wb") as file:
        np.lib.format.write_array(file, array, version=version)
    return (folder / "made").read_bytes()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "u1", "<i8"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_rows_are_those_of_the_array(tmp_path, zipped, dtype, version):
    array = np.random.default_rng(0).integers(0, 200, [5, 70, 300, 2]).astype(dtype)
    member = as_member(tmp_path, npy_bytes(tmp_path, array, version), zipped=zipped)
    read = [row.copy() for row in npy.rows(member)]
    assert len(read) == 5
    for row, expected in zip(read, array, strict=True):
        np.testing.assert_array_equal(row, expected)
        assert row.dtype == array.dtype
    np.testing.assert_array_equal(npy.read_whole(member, array.nbytes), array)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_is_refused_before_it_is_run(tmp_path, zipped):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pickle-was-run"),)

    array = np.empty(1, object)
    array[0] = Trap()
    content = npy_bytes(tmp_path, array)
    member = as_member(tmp_path, content, zipped=zipped)
    for read in (npy.read_header, lambda m: list(npy.rows(m)), lambda m: npy.read_whole(m, 10**6)):
        with pytest.raises(UserError, match="Python objects"):
            read(member)
    assert not (tmp_path / "pickle-was-run").exists()
    with (tmp_path / "made").open("rb") as file:  # The trap works: loading it as a pickle does run it.
        np.lib.format.read_array(file, allow_pickle=True)
    assert (tmp_path / "pickle-was-run").exists()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:-1], "shorter than its header states"),
        (lambda content: content + b"\0", "longer than its header states"),
        (lambda content: content[:20], "not a NumPy array"),
        (lambda content: b"", "not a NumPy array"),
        (lambda content: b"PK" + content, "not a NumPy array"),
        (lambda content: content.replace(b"\x93NUMPY\x01", b"\x93NUMPY\x03"), "not a NumPy array"),
        (lambda content: content.replace(b"(4, 3)", b"(-4,3)"), "has the shape"),
        (lambda content: content.replace(b"(4, 3)", b"      "), "not a NumPy array"),
    ],
)
def test_a_spoilt_file_is_named_with_what_is_wrong(tmp_path, zipped, spoil, message):
    content = npy_bytes(tmp_path, np.arange(12.0).reshape(4, 3))
    member = as_member(tmp_path, spoil(content), zipped=zipped)
    with pytest.raises(UserError, match=message) as caught:
        list(npy.rows(member))
    assert str(member) in str(caught.value)
    assert "What to do" in str(caught.value)


def test_fortran_order_rowless_and_overlong_headers_are_refused(tmp_path):
    for array, message in (
        (np.asfortranarray(np.ones([3, 4])), "Fortran"),
        (np.array(3.0), "has the shape"),
        (
            np.zeros(1, [(f"a_rather_long_name_of_a_field_{i}", "f8") for i in range(400)]),
            "not a NumPy array",
        ),
    ):
        member = as_member(tmp_path, npy_bytes(tmp_path, array, (2, 0)), zipped=False)
        with pytest.raises(UserError, match=message):
            npy.read_header(member)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_one_changed_byte_in_a_zip_is_found_before_the_last_row(tmp_path, method):
    array = np.random.default_rng(0).integers(0, 256, [4, 1000]).astype(np.uint8)
    member = as_member(tmp_path, npy_bytes(tmp_path, array), zipped=True, method=method)
    content = bytearray(member.path.read_bytes())
    content[len(content) // 2] ^= 1
    member.path.write_bytes(content)
    read = []
    with pytest.raises(UserError, match=r"a\.zip > in/a\.npy is damaged"):
        read.extend(row.copy() for row in npy.rows(member))
    assert len(read) < 4


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path):
    member = as_member(tmp_path, npy_bytes(tmp_path, np.zeros([4, 1 << 18])), zipped=False)
    rows = npy.rows(member)
    next(rows)
    os.truncate(member.path, 1 << 21)
    with pytest.raises(UserError, match="too early"):
        list(rows)


def test_an_encrypted_member_and_a_missing_file_are_named(tmp_path):
    member = as_member(tmp_path, npy_bytes(tmp_path, np.zeros(3)), zipped=True)
    content = bytearray(member.path.read_bytes())
    content[6] |= 1  # The flag of encryption, in the member's own header ...
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # ... and in the directory.
    member.path.write_bytes(content)
    with pytest.raises(UserError, match=r"(?s)password.*without a password"):
        npy.read_header(member)
    with pytest.raises(UserError, match="No such file"):
        npy.read_header(npy.Member(tmp_path / "gone.npy"))


def test_read_whole_keeps_to_its_limit(tmp_path):
    member = as_member(tmp_path, npy_bytes(tmp_path, np.zeros(100)), zipped=False)
    with pytest.raises(UserError, match="800 bytes"):
        npy.read_whole(member, 799)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"PK\x03\x04" + bytes(100), r"a zip archive, such as \.npz"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"II*\x00" + bytes(100), "TIFF"),
        (b"\x80\x04\x95" + bytes(100), "a pickle"),
    ],
)
def test_a_file_of_another_format_under_this_name_is_named(tmp_path, content, name):
    path = tmp_path / "images.npy"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"images\.npy is not a NumPy array: .*{name}"):
        npy.read_header(npy.Member(path))
