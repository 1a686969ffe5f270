"""Label files of text, read whole."""

import pathlib

from nucseg_jax.core.errors import UserError

# A whole slide has half a million nuclei, each of 500 bytes. Parsed, it takes ten times the memory.
_LARGEST_MIB = 256


def read_text(path: pathlib.Path) -> bytes:
    """Reads a file.

    Raises:
      UserError: it is too large.
    """
    size_mib = path.stat().st_size / 2**20
    if size_mib > _LARGEST_MIB:
        raise UserError(
            f"the file takes {size_mib:,.0f} MiB",
            expected=f"at most {_LARGEST_MIB} MiB",
            advice="export the annotated regions as images and labels of their own",
        )
    return path.read_bytes()
