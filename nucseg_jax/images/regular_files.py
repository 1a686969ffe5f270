"""Regular files and folders, the only things that are ever opened as part of an image.

A pipe blocks the reader forever, a device gives bytes without an end, and either may stand behind a link.
"""

import errno
import os
import pathlib
import stat

from nucseg_jax.images.source import RefusedImage

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_COMPANION_FOLDERS = frozenset(
    ("__macosx", "@eadir", ".appledouble", "$recycle.bin", "#recycle", ".trashes", ".spotlight-v100")
)
_COMPANION_FILES = frozenset((".ds_store", "thumbs.db", "desktop.ini"))


def is_companion(name: str) -> bool:
    """Returns True for a name under which macOS, Windows or a NAS keeps something beside a user's files.

    >>> [is_companion(name) for name in ("._a.png", ".DS_Store", "@eaDir", ".a.png", "a._b.png")]
    [True, True, True, False, False]
    """
    name = name.lower()
    return name.startswith("._") or name in _COMPANION_FILES or name in _COMPANION_FOLDERS


def require_regular(path: pathlib.Path) -> os.stat_result:
    """Returns the status of a regular file or folder, links followed.

    Raises:
      RefusedImage: nothing is there, a link leads nowhere or in a circle, or it is a pipe, a socket or a device.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise RefusedImage(
                f"{path.name} is a link to {os.readlink(path)}, which does not exist"
            ) from None
        raise RefusedImage("there is no such file") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RefusedImage(f"{path.name} is a link that leads in a circle") from None
        raise
    kind = stat.S_IFMT(status.st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise RefusedImage(
            f"{path.name} is {KINDS.get(kind, 'something special')}, which is never opened",
            expected="a regular file or a folder",
        )
    return status


def files_below(path: pathlib.Path) -> list[pathlib.Path]:
    """Lists a file, or all files below a folder, links followed, each folder once, companions left out; sorted.

    Raises:
      RefusedImage: one of them is no regular file; see `require_regular`.
    """
    status = require_regular(path)
    if stat.S_ISREG(status.st_mode):
        return [path]
    found, seen, folders = [], {(status.st_dev, status.st_ino)}, [path]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if is_companion(entry.name):
                    continue
                if entry.is_file(follow_symlinks=False):
                    found.append(pathlib.Path(entry.path))
                    continue
                below = pathlib.Path(entry.path)
                status = require_regular(below)
                if stat.S_ISREG(status.st_mode):
                    found.append(below)
                elif (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    folders.append(below)
    return sorted(found)
