"""Opens a file of weights, whatever kind it is. The kind is told by the content; a suffix may lie."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import is_full_disk
from nucseg_jax.pretrained.hdf5 import open_hdf5
from nucseg_jax.pretrained.keras_archive import CONFIG, WEIGHTS, open_keras_archive
from nucseg_jax.pretrained.npz import SUFFIX, open_npz
from nucseg_jax.pretrained.safetensors_file import open_safetensors
from nucseg_jax.pretrained.stored_array import StoredArray, WeightsFile
from nucseg_jax.pretrained.torch_pickle import open_torch_pickle

KINDS = "Keras .h5, .weights.h5 or .keras, NumPy .npz with Keras's names, torchvision .pth, timm .safetensors"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


@contextlib.contextmanager
def open_weights(source: pathlib.Path) -> Iterator[WeightsFile]:
    """Opens a file of weights; its arrays can be read until the block ends.

    Args:
      source: a file of one of `KINDS`.

    Yields:
      Its arrays by name, none of them read.

    Raises:
      UserError: there is no such file, it is of no kind, it is damaged or cut short (then or when an array is
        read), or it would have to run code.
    """
    opener = _opener(source)
    with contextlib.ExitStack() as stack:
        with _damage_is_an_error_of(source):
            file = stack.enter_context(opener(source))
        if not file.arrays:
            raise UserError(f"{source} ({file.kind}) holds no arrays.", expected="the weights of an encoder")
        guarded = {name: _guarded(array, source) for name, array in file.arrays.items()}
        yield dataclasses.replace(file, arrays=guarded)


def sha256(source: pathlib.Path) -> str:
    """The file's SHA-256 in hexadecimal.

    Raises:
      UserError: it cannot be read.
    """
    with _damage_is_an_error_of(source), source.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _opener(source: pathlib.Path) -> Callable[[pathlib.Path], AbstractContextManager[WeightsFile]]:
    if not source.exists():
        raise UserError(f"{source} is not there.", expected=f"a file: {KINDS}; or `download`")
    if not source.is_file():
        raise UserError(
            f"{source} is {'a folder' if source.is_dir() else 'no file'}.",
            expected=f"one file: {KINDS}",
            advice="name the file inside it; Keras's folders of the SavedModel kind cannot be read:"
            " save with model.save('NAME.keras')",
        )
    with _damage_is_an_error_of(source):
        with source.open("rb") as opened:
            start = opened.read(16)
        if start.startswith(_HDF5):
            return open_hdf5
        if start.startswith(_ZIP):
            with zipfile.ZipFile(source) as archive:
                names = set(archive.namelist())
            if {CONFIG, WEIGHTS} <= names:
                return open_keras_archive
            if any(name.endswith("/data.pkl") for name in names):
                return open_torch_pickle
            if any(name.endswith(SUFFIX) for name in names):
                return open_npz
        # A safetensors file begins with the length of its header, eight bytes, and the header, which is JSON.
        elif start[8:9] == b"{":
            return open_safetensors
        elif start.startswith(_PICKLE):
            return open_torch_pickle
    size_bytes = source.stat().st_size
    begins = f"; it begins with {start!r}" if size_bytes else ""
    raise UserError(
        f"{source} is no file of weights of a known kind ({size_bytes:,} bytes{begins}).", expected=KINDS
    )


def _guarded(array: StoredArray, source: pathlib.Path) -> StoredArray:
    def read() -> np.ndarray:
        with _damage_is_an_error_of(source):
            return array.read()

    return dataclasses.replace(array, read=read)


@contextlib.contextmanager
def _damage_is_an_error_of(source: pathlib.Path) -> Iterator[None]:
    """Turns whatever h5py, zipfile, safetensors and torch raise on broken bytes into a `UserError`.

    That is nearly every type of exception there is, so all are taken; only a call into those libraries may
    stand inside.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if is_full_disk(error):
            raise UserError(
                f"The disk for temporary files is full; {source} could not be unpacked.",
                advice="free some space, or set TMPDIR to a folder on another disk",
            ) from error
        if isinstance(error, OSError) and error.errno and error.filename:
            raise UserError(
                f"{source} cannot be read: {os.strerror(error.errno)}.", expected="a readable file"
            ) from error
        raise UserError(
            f"{source} is damaged or cut short: {reason_of(error)}.",
            expected=f"an intact file: {KINDS}",
            advice="copy or download it again",
        ) from error
