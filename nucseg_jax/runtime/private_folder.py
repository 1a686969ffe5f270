"""Folders whose files run as code when they are read: compiled programs, the jobs of submitit.

Whoever can put a file into such a folder can run code as the user who reads it.
"""

import os
import pathlib
import stat

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_private(folder: pathlib.Path) -> None:
    """Makes a folder, and those above it that are missing, with mode 0700; one that is there stays as it is."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)


def why_unsafe(folder: pathlib.Path) -> str:
    """Returns why others could put files into a folder and what mends it, in a few words; '' if they cannot.

    Raises:
      OSError: the folder is not there.
    """
    entry = folder.lstat()
    if stat.S_ISLNK(entry.st_mode):
        return f"{folder} is a link; remove it"
    if not stat.S_ISDIR(entry.st_mode):
        return f"{folder} is not a folder; remove it"
    if entry.st_uid != os.geteuid():
        return f"{folder} belongs to another user; remove it"
    if entry.st_mode & _OTHERS_WRITE:
        return f"others may write to {folder}; chmod go-w {folder}"
    return ""


def why_exchangeable(folder: pathlib.Path) -> str:
    """Returns why others could put a folder of theirs in its place and what mends it; '' if they cannot.

    Who may write to a folder above it may rename the one below; in a folder with the sticky bit, such as /tmp, only
    the owner of an entry may.
    """
    # In a user namespace the system's folders belong to another number than 0.
    trusted = (0, os.geteuid(), os.stat("/").st_uid)
    for above in folder.resolve().parents:
        entry = above.stat()
        if entry.st_uid not in trusted:
            return f"{above} belongs to another user"
        if entry.st_mode & _OTHERS_WRITE and not entry.st_mode & stat.S_ISVTX:
            return f"others may write to {above}; chmod go-w {above}"
    return ""
