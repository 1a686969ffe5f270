"""A Zarr store that appears under its name when it is whole."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Literal

import zarr

from nucseg_jax.core.files import remove_whole, sync_below


@contextlib.contextmanager
def new_store(path: pathlib.Path, *, zarr_format: Literal[2, 3]) -> Iterator[tuple[zarr.Group, pathlib.Path]]:
    """Yields an empty group and its folder, which takes the place of `path` once the block ends without an error.

    Until then it stands beside it under a hidden name, always the same one: what a killed process left is removed.
    """
    working = path.with_name(f".{path.name}.unfinished")
    remove_whole(working)
    try:
        yield zarr.create_group(working, zarr_format=zarr_format), working
        sync_below(working)
        remove_whole(path)
        working.replace(path)
    finally:
        remove_whole(working)
