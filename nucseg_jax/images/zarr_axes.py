"""Axes of a Zarr array, by the names of its dimensions or by its shape."""

import re
from collections.abc import Sequence

import zarr

from nucseg_jax.images.source import RefusedImage

_CHANNELS = (1, 3)
_USUAL_AXES = {"y", "x", "c", "z", "t"}
# Names that xarray gives where it knows none.
_NO_NAME = re.compile(r"dim_\d+")


def plain_axes(array: zarr.Array) -> str:
    """Axes by the names of its dimensions, if it has some (Zarr 3; xarray), else by its shape."""
    stated = map(str, _dimension_names(array))
    names = [name.lower() for name in stated if name and not _NO_NAME.fullmatch(name)]
    if len(names) == array.ndim and {"y", "x"} <= set(names) <= _USUAL_AXES:
        return "".join(names)
    if names:
        raise RefusedImage(
            f"the Zarr array has dimensions {', '.join(names)[:200]}", expected="y and x, and c for colours"
        )
    shape = array.shape
    if len(shape) == 2:
        return "yx"
    if len(shape) == 3 and shape[-1] in _CHANNELS:
        return "yxc"
    if len(shape) == 3 and shape[0] in _CHANNELS:
        return "cyx"
    raise RefusedImage(
        f"the Zarr array has shape {shape}",
        expected="[H, W], or [H, W, C] or [C, H, W] with C = 1 (grey) or 3 (RGB)",
        advice="save it as RGB",
    )


def check_levels(axes: str, levels: list[zarr.Array]) -> None:
    """Raises RefusedImage for levels that differ by more than their sizes, or name other axes than the metadata do."""
    if not levels:
        raise RefusedImage("the OME-Zarr has no levels")
    kinds = {(str(level.dtype), *_other_sizes(level, axes)) for level in levels}
    if len(kinds) > 1:
        raise RefusedImage(
            f"the levels of the OME-Zarr are of different kinds: {', '.join(map(str, sorted(kinds)))[:200]}",
            expected="one dtype, and sides alone that differ",
        )
    for level in levels:
        stated = [str(name).lower() for name in _dimension_names(level)]
        if any(name in _USUAL_AXES and name != axis for name, axis in zip(stated, axes, strict=False)):
            raise RefusedImage(
                f"the OME metadata state the axes {axes}, the array itself {', '.join(stated)[:200]}",
                advice="write it again with equal names",
            )


def size_of(array: zarr.Array, axes: str) -> tuple[int, int]:
    """Height and width of an array with these axes, px."""
    if len(axes) != array.ndim or not {"x", "y"} <= set(axes):
        raise RefusedImage(f"the Zarr array has axes {axes} and shape {array.shape}")
    return array.shape[axes.index("y")], array.shape[axes.index("x")]


def _other_sizes(array: zarr.Array, axes: str) -> tuple[int, ...]:
    """Sizes along other axes than y and x."""
    size_of(array, axes)
    return tuple(size for axis, size in zip(axes, array.shape, strict=True) if axis not in "yx")


def _dimension_names(array: zarr.Array) -> list[str]:
    """Names that the array itself states (Zarr 3; xarray), '' for one without; empty = none."""
    stated: object = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return [name or "" for name in stated] if isinstance(stated, Sequence) else []
