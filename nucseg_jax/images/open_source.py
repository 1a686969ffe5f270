"""From a path to a `Source`, by the name's ending."""

import contextlib
import pathlib
import stat
from collections.abc import Callable, Iterator

from nucseg_jax.core.errors import UserError
from nucseg_jax.images.reader_warnings import warnings_of
from nucseg_jax.images.regular_files import files_below, require_regular
from nucseg_jax.images.source import RefusedImage, Source


def _open_tiff(path: pathlib.Path) -> Source:
    # In here, like the others: endings are asked for by what opens no image, and readers are an extra.
    from nucseg_jax.images.tiff_source import open_tiff

    return open_tiff(path)


def _open_zarr(path: pathlib.Path) -> Source:
    from nucseg_jax.images.zarr_source import open_zarr

    return open_zarr(path)


def _open_picture(path: pathlib.Path) -> Source:
    from nucseg_jax.images.picture_source import open_picture

    return open_picture(path)


def _open_slide(path: pathlib.Path) -> Source:
    from nucseg_jax.images.slide_source import open_slide

    return open_slide(path)


# Longer endings first: the stem of 'a.ome.tif' is 'a'.
OPENERS: dict[str, Callable[[pathlib.Path], Source]] = {
    ".ome.tiff": _open_tiff,
    ".ome.tif": _open_tiff,
    ".ome.zarr": _open_zarr,
    ".tiff": _open_tiff,
    ".tif": _open_tiff,
    ".zarr": _open_zarr,
    ".png": _open_picture,
    ".jpeg": _open_picture,
    ".jpg": _open_picture,
    **dict.fromkeys(
        (".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".dcm"), _open_slide
    ),
}

# Images that are folders.
FOLDER_ENDINGS = (".ome.zarr", ".zarr")


def ending(path: pathlib.Path) -> str | None:
    """The part of a name that tells the kind of file, None for one that is not read."""
    name = path.name.lower()
    return next((each for each in OPENERS if name.endswith(each)), None)


def stem(path: pathlib.Path) -> str:
    """The name without its ending: what outputs are called.

    >>> stem(pathlib.Path("slides/a.1.ome.tif"))
    'a.1'
    """
    return path.name[: -len(ending(path) or path.suffix) or None]


def files_of(path: pathlib.Path) -> list[pathlib.Path]:
    """Lists the files that an image's pixels lie in: itself, all below a folder (Zarr), the folder beside an .mrxs.

    Raises:
      RefusedImage: one of them is a pipe, a socket, a device or a broken link.
    """
    files = files_below(path)
    folder = path.with_suffix("")
    if ending(path) == ".mrxs" and folder.is_dir():
        files += files_below(folder)
    return sorted(files)


def open_source(path: pathlib.Path) -> Source:
    """Opens an image.

    Raises:
      RefusedImage: it cannot be read, and why.
    """
    with refused(path):
        status = require_regular(path)
        kind = ending(path)
        if kind is None:
            raise RefusedImage("its ending is none that is read", expected="one of " + ", ".join(OPENERS))
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            raise RefusedImage("the file is empty")
        if stat.S_ISDIR(status.st_mode) and kind not in FOLDER_ENDINGS:
            raise RefusedImage("it is a folder", expected=f"a file, as {kind} images are")
        # Before any is opened, all that a reader could open are looked at.
        files_of(path)
        return OPENERS[kind](path)


@contextlib.contextmanager
def refused(path: pathlib.Path) -> Iterator[None]:
    """Turns whatever a decoder raises inside the block into a RefusedImage that names the file.

    Decoders meet damaged files with errors of every kind, so that no list of them would do.
    """
    try:
        with warnings_of(path):
            yield
    except UserError as error:
        raise RefusedImage(f"{path}: {error}") from None
    except Exception as error:
        said = " ".join(str(error).split()) or "no reason given"
        raise RefusedImage(f"{path}: cannot be read: {type(error).__name__}: {said[:300]}") from error
