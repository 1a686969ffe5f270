"""Files beside a slide that OpenSlide opens by itself: parts that a slide names, and all of a folder for DICOM."""

import os
import pathlib
import re
import stat

from nucseg_jax.images.regular_files import KINDS
from nucseg_jax.images.source import RefusedImage

# A TIFF, classic or big, of either byte order, is a slide in one file.
_ONE_FILE = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_INDEX_BYTES = 1 << 20
_NAMED = re.compile(rb"(?im)^[^=\r\n]*(?:file|image)[^=\r\n]*=[ \t]*([^\r\n]*)")


def check_slide_files(path: pathlib.Path) -> None:
    """Checks what OpenSlide may open beside a slide, before it does; a name's ending does not bind it.

    Raises:
      RefusedImage: a pipe, a socket or a device among it, or a part that is not in the slide's own folder.
    """
    if is_one_file(path):
        return
    with path.open("rb") as stream:
        head = stream.read(_INDEX_BYTES)
    _check_folder(path.parent)
    _check_names(path.name, head)
    index = path.with_suffix("") / "Slidedat.ini"
    if index.is_file():
        _check_folder(index.parent)
        with index.open("rb") as stream:
            _check_names(index.name, stream.read(_INDEX_BYTES))


def is_one_file(path: pathlib.Path) -> bool:
    """Returns True for a TIFF, whatever its name."""
    with path.open("rb") as stream:
        return stream.read(4).startswith(_ONE_FILE)


def _check_folder(folder: pathlib.Path) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False):
                continue
            try:
                kind = KINDS.get(stat.S_IFMT(entry.stat().st_mode))
            except OSError:  # A link that leads nowhere is not opened either.
                continue
            if kind is not None:
                raise RefusedImage(
                    f"beside it lies {kind}, {entry.name}, which OpenSlide may open and wait for",
                    advice=f"take {entry.name} out of the folder",
                )


def _check_names(index: str, text: bytes) -> None:
    if b"\0" in text[:1024]:
        return
    for name in _NAMED.findall(text):
        if b"/" in name or b"\\" in name:
            raise RefusedImage(
                f"{index} names {name[:200].decode(errors='replace')} as a part of the slide",
                expected="names of files in the slide's own folder",
            )
