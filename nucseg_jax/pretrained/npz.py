"""NumPy's `.npz`, with names such as 'conv1_bn/gamma'. Nothing is ever unpickled."""

import contextlib
import pathlib
import zipfile
from collections.abc import Iterator
from typing import IO

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.pretrained.stored_array import StoredArray, WeightsFile

SUFFIX = ".npy"
_HEADER_LIMIT_BYTES = 10_000


@contextlib.contextmanager
def open_npz(source: pathlib.Path | IO[bytes]) -> Iterator[WeightsFile]:
    """Opens a `.npz`, by its path or as an open file.

    Raises:
      UserError: there are Python objects in it.
      Exception: what zipfile and numpy raise.
    """
    with zipfile.ZipFile(source) as archive:
        yield WeightsFile(
            "NumPy archive (.npz)",
            {
                entry.filename.removesuffix(SUFFIX): _stored(archive, entry)
                for entry in archive.infolist()
                if entry.filename.endswith(SUFFIX)
            },
        )


def _stored(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> StoredArray:
    parse = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with archive.open(entry) as member:
        version = np.lib.format.read_magic(member)
        if version not in parse:
            raise ValueError(f"{entry.filename} has version {version[0]}.{version[1]} of NumPy's format")
        shape, _, dtype = parse[version](member, max_header_size=_HEADER_LIMIT_BYTES)
    if dtype.hasobject:
        raise UserError(
            f"{archive.filename or 'the file'} > {entry.filename} holds Python objects (dtype {dtype}): a pickle, which"
            " can run any program when loaded. It was not loaded.",
            expected="arrays of floating-point numbers",
            advice="get the weights from a source you trust, as plain arrays",
        )

    def read() -> np.ndarray:
        with archive.open(entry) as member:
            array = np.lib.format.read_array(member, allow_pickle=False, max_header_size=_HEADER_LIMIT_BYTES)
            if member.read(1):  # Also what makes zipfile compare the checksum.
                raise ValueError(f"{entry.filename} is longer than its header states")
        return array

    return StoredArray(entry.filename, shape, str(dtype), read)
