"""A packed model: the files of a model folder in one ZIP archive, not compressed, whose bytes follow from theirs alone.

Nothing is extracted: members are read by the names that a model folder has, and an archive with any other is refused.
"""

import pathlib
import zipfile
from collections.abc import Collection, Mapping
from typing import IO

from nucseg_jax.core.files import atomic_write, require_regular_file

# The earliest time that a ZIP archive can state.
_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3
# Bytes beside a member's name and content: its header, its entry in the directory, the directory's end.
_HEADER_BYTES, _ENTRY_BYTES, _END_BYTES = 30, 46, 22
# Beyond this ZIP has other headers.
_MOST_BYTES = (1 << 31) - 1


def write_packed(path: pathlib.Path, members: Mapping[str, bytes]) -> None:
    """Writes the archive atomically; equal members give equal bytes.

    Args:
      path: the file.
      members: content by name.

    Raises:
      ValueError: more than 2 GiB.
      OSError: it cannot be written.
    """
    if sum(map(len, members.values())) > _MOST_BYTES:
        raise ValueError("it is larger than 2 GiB")
    with atomic_write(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system, info.external_attr = _UNIX, _MODE
            archive.writestr(info, members[name])


def read_packed(path: pathlib.Path, name: str, known: Collection[str]) -> bytes:
    """Reads a member of an archive of `write_packed`.

    Args:
      path: the file; anything may stand there.
      name: of the member.
      known: names that members may have.

    Raises:
      ValueError: it is no such archive, it is cut short, altered or longer, or it has no such member.
      OSError: it cannot be read.
    """
    require_regular_file(path)
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _require_plain(archive, file, known)
                return archive.read(name)
        except KeyError:
            raise ValueError(f"{name} is missing in it") from None
        # The latter two for what a flipped bit makes of a header.
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            said = str(error).rstrip(".") or "it ends early"
            raise ValueError(
                "it is no ZIP archive, or was cut short" if "not a zip" in said else said
            ) from None


def _require_plain(archive: zipfile.ZipFile, file: IO[bytes], known: Collection[str]) -> None:
    """Raises ValueError for members of other names, twice, compressed or encrypted, or for bytes between them."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    foreign = [name for name in names if name not in known]
    if foreign:
        raise ValueError(f"it holds {foreign[0][:80]!a}, which no packed model has")
    if len(set(names)) < len(names):
        raise ValueError("it holds a file twice")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits for entry in entries):
        raise ValueError("its files are compressed or encrypted")
    expected = _END_BYTES + sum(
        _HEADER_BYTES + _ENTRY_BYTES + 2 * len(entry.filename) + entry.file_size for entry in entries
    )
    found = file.seek(0, 2)
    if found != expected:
        raise ValueError(f"it has {found:,} bytes, and its directory is of {expected:,}")
