"""Rows of a `.npy` array, read one after another from a file or from inside a zip, never the array whole.

A row is `array[i]`. Nothing is unpacked to disk and no pickle is ever loaded: an object array is refused
from its header, before a byte of its data is read. The header itself is parsed by `numpy.lib.format`, which
accepts literals only, and is bounded in length.
"""

import contextlib
import dataclasses
import io
import lzma
import math
import pathlib
import zipfile
import zlib
from collections.abc import Generator, Iterator
from typing import BinaryIO

import numpy as np

from nucseg_jax.core.errors import UserError, reason_of

# A release's headers take 128 bytes; numpy's own limit for a header that is to be trusted is 10,000.
_HEADER_LIMIT_BYTES = 10_000
# Larger reads from a zip are slower: zipfile then carries a long undecoded tail from piece to piece.
_PIECE_BYTES = 1 << 17
_OTHER_MAGIC = {
    b"PK\x03\x04": "a zip archive, such as .npz",
    b"\x89HDF": "HDF5 (.h5, .mat)",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"MATLAB": "MATLAB (.mat)",
    b"\x1f\x8b": "gzip",
    b"PAR1": "Parquet",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}
# What zipfile and its decoders raise for bytes that are not what they were.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


@dataclasses.dataclass(frozen=True)
class Member:
    """The place of one `.npy`: a file, or a member of a zip file.

    Attributes:
      path: the file, or the zip.
      inside: the member's name in the zip; empty for a plain file.
    """

    path: pathlib.Path
    inside: str = ""

    def __str__(self) -> str:
        return f"{self.path} > {self.inside}" if self.inside else str(self.path)


@dataclasses.dataclass(frozen=True)
class Header:
    """The header of an array: shape, dtype, and the byte at which its data begins."""

    shape: tuple[int, ...]
    dtype: np.dtype
    data_offset: int

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return self.shape[1:]


@contextlib.contextmanager
def _damage_is_an_error_of(member: Member) -> Iterator[None]:
    """Turns what zipfile, zlib and the system raise for an unreadable file into a `UserError` naming it."""
    try:
        yield
    except _DAMAGED as error:
        raise UserError(
            f"{member} is damaged or cut short: {reason_of(error)}.",
            expected="an intact zip file whose checksums agree",
            advice="copy or download that file again",
        ) from error
    except (NotImplementedError, RuntimeError) as error:  # Unknown compression; encrypted.
        raise UserError(
            f"{member} cannot be read: {error}.",
            expected="a zip file without a password, stored, deflated, bzip2 or lzma",
            advice="unpack it and name the folder instead",
        ) from error
    except OSError as error:
        raise UserError(
            f"{member} cannot be read: {error.strerror or error}.",
            expected="a readable file",
            advice="check that it is still there, its permissions and its disk",
        ) from error


@contextlib.contextmanager
def _opened(member: Member) -> Iterator[tuple[BinaryIO, int]]:
    """The member's bytes as a stream, and how many there should be."""
    if not member.inside:
        with member.path.open("rb") as stream:
            yield stream, member.path.stat().st_size
        return
    with zipfile.ZipFile(member.path) as archive:
        entry = archive.getinfo(member.inside)
        with archive.open(entry) as inflated:
            yield inflated, entry.file_size  # type: ignore[misc]


def _parse_header(stream: BinaryIO, member: Member) -> Header:
    # What the first bytes of a file of another format that was renamed say.
    try:
        magic = stream.read(np.lib.format.MAGIC_LEN)
        for first, name in _OTHER_MAGIC.items():
            if magic.startswith(first):
                raise ValueError(f"its first bytes are those of {name}")
        version = np.lib.format.read_magic(io.BytesIO(magic))
        parse = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if parse is None:
            raise ValueError(f"version {version[0]}.{version[1]} of the format")
        shape, is_fortran, dtype = parse(stream, max_header_size=_HEADER_LIMIT_BYTES)
    except (*_DAMAGED, OSError):
        raise
    # NumPy hands headers to Python's tokenizer and parser, which raise nearly anything.
    except Exception as error:
        raise UserError(
            f"{member} is not a NumPy array: {reason_of(error)}.",
            expected="a .npy file of format 1.0 or 2.0, as numpy.save writes it",
            advice="copy or download that file again, or, if it has another format, save its array with numpy.save",
        ) from error
    if dtype.hasobject:
        raise UserError(
            f"{member} holds Python objects (dtype {dtype}): a pickle, which can run any program when loaded.",
            expected="an array of numbers or of fixed-length strings",
            advice="get the file from the official release, or save it again with a plain dtype",
        )
    if is_fortran and len(shape) > 1:
        raise UserError(
            f"{member} is stored column by column (Fortran order), which cannot be read patch by patch.",
            expected="C order",
            advice="save it again with numpy.save(file, numpy.ascontiguousarray(array))",
        )
    if not shape or any(size < 0 for size in shape) or dtype.itemsize == 0:
        raise UserError(
            f"{member} has the shape {shape} and dtype {dtype}.",
            expected="an array with one row a patch",
            advice="get the file from the official release",
        )
    return Header(shape, dtype, stream.tell())


def read_header(member: Member) -> Header:
    """Reads and checks the header of an array, and that as many bytes follow as it promises.

    Args:
      member: where the array lies.

    Returns:
      The header.

    Raises:
      UserError: the file is missing, damaged, not a `.npy` of format 1.0 or 2.0, holds Python objects, is in
        Fortran order, has no rows' axis, or is shorter or longer than its header states.
    """
    with _damage_is_an_error_of(member), _opened(member) as (stream, size_bytes):
        header = _parse_header(stream, member)
    promised_bytes = header.data_offset + math.prod(header.shape) * header.dtype.itemsize
    if size_bytes != promised_bytes:
        comparison = "shorter" if size_bytes < promised_bytes else "longer"
        raise UserError(
            f"{member} is {size_bytes:,} bytes long, {comparison} than its header states (shape {header.shape},"
            f" {header.dtype}).",
            expected=f"{promised_bytes:,} bytes",
            advice="copy or download that file again",
        )
    return header


def rows(member: Member) -> Generator[np.ndarray, None, None]:
    """Yields `array[0]`, `array[1]`, ... of a stored array; memory for one row is all that it takes.

    The last row of a zip member is yielded only once the member's checksum was found to agree.

    Args:
      member: where the array lies.

    Yields:
      The rows, of the stored dtype and in order. Every row is a view of ONE buffer that the next row
      overwrites: copy what is to be kept.

    Raises:
      UserError: as `read_header`, and where the data end early or do not agree with the zip's checksum.
    """
    header = read_header(member)
    row = np.empty(header.row_shape, header.dtype)
    row_bytes = row.reshape(-1).view(np.uint8).data
    # Only what is read is guarded, not what the caller does with a row between two reads.
    with contextlib.ExitStack() as stack:
        with _damage_is_an_error_of(member):
            stream, _ = stack.enter_context(_opened(member))
            _parse_header(stream, member)
        for _ in range(header.shape[0]):
            with _damage_is_an_error_of(member):
                _fill(row_bytes, stream)  # zipfile compares the checksum as it gives the last byte.
            yield row


def read_whole(member: Member, limit_bytes: int) -> np.ndarray:
    """Reads a small array entirely.

    Args:
      member: where the array lies.
      limit_bytes: the most that its data may take.

    Returns:
      The array, of the stored dtype and shape.

    Raises:
      UserError: as `rows`, and where the array is larger than `limit_bytes`.
    """
    header = read_header(member)
    size_bytes = math.prod(header.shape) * header.dtype.itemsize
    if size_bytes > limit_bytes:
        raise UserError(
            f"{member} takes {size_bytes:,} bytes (shape {header.shape}, {header.dtype}).",
            expected=f"at most {limit_bytes:,} bytes",
            advice="get the file from the official release",
        )
    array = np.empty(header.shape, header.dtype)
    with _damage_is_an_error_of(member), _opened(member) as (stream, _):
        _parse_header(stream, member)
        _fill(array.reshape(-1).view(np.uint8).data, stream)
    return array


def _fill(buffer: memoryview, stream: BinaryIO) -> None:
    """Reads exactly as many bytes as the buffer holds."""
    filled = 0
    while filled < len(buffer):
        read = stream.readinto(buffer[filled : filled + _PIECE_BYTES])  # type: ignore[attr-defined]
        if not read:
            raise EOFError(f"the data end {len(buffer) - filled:,} bytes too early")
        filled += read
