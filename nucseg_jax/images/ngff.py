"""OME-Zarr metadata (NGFF 0.1 to 0.5): levels, axes, scale and channels of an image."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.images.channels import Channel, is_any, text_of
from nucseg_jax.images.resolution import Resolution, microns_of, plausible
from nucseg_jax.images.source import RefusedImage

_VERSIONS = ("0.1", "0.2", "0.3", "0.4", "0.5")
_OLDEST_AXES = ["t", "c", "z", "y", "x"]
# What OMERO's rendering settings state of a dye.
_FLUORESCENCE_FIELDS = ("emissionWave", "excitationWave", "fluor")


class Level(NamedTuple):
    """A copy of an image.

    Attributes:
      path: of its array, in the image's group.
      resolution: None = not stated, without a unit, or not plausible.
    """

    path: str
    resolution: Resolution | None


class NgffImage(NamedTuple):
    """An image.

    Attributes:
      name: '' = none.
      axes: a letter for each dimension.
      levels: in the order of the metadata.
      channels: as OMERO's settings describe them; empty = they do not.
      highest: end of the range of all channels by OMERO's settings, where it is one of whole bits; None elsewhere.
      notes: what a user should know.
    """

    name: str
    axes: str
    levels: tuple[Level, ...]
    channels: tuple[Channel, ...]
    highest: int | None
    notes: tuple[str, ...]


def ngff_image(attributes: JsonObject) -> NgffImage:
    """The image that a group's attributes describe.

    Raises:
      RefusedImage: several images, an unknown version or transformation, or metadata that are no NGFF.
    """
    try:
        return _image(attributes)
    except UserError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise RefusedImage(f"the OME metadata cannot be understood: {reason_of(error)}") from None


def _image(attributes: JsonObject) -> NgffImage:
    if "image-label" in attributes:
        raise RefusedImage("the Zarr group holds labels", expected="an image")
    images = attributes["multiscales"]
    if len(images) != 1:
        raise RefusedImage(f"the Zarr group describes {counted(len(images), 'image')}", expected="one")
    (image,) = images
    version = str(attributes.get("version") or image.get("version") or _VERSIONS[0])
    if not version.startswith(_VERSIONS):
        raise RefusedImage(f"the OME-Zarr is of version {version[:20]}", expected=" to ".join(_VERSIONS[::4]))
    described = image.get("axes") or _OLDEST_AXES
    names = [axis["name"] if isinstance(axis, Mapping) else axis for axis in described]
    if len(set(names)) < len(names) or any(not isinstance(name, str) or len(name) != 1 for name in names):
        raise RefusedImage(
            f"the axes are {', '.join(map(str, names))[:200]}", expected="one each of t, c, z, y, x"
        )
    units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in described]
    shared = _scale(image.get("coordinateTransformations"), len(names))
    levels = []
    for dataset in image["datasets"]:
        own = _scale(dataset.get("coordinateTransformations"), len(names))
        levels.append(Level(str(dataset["path"]), _resolution(own, shared, names, units)))
    unknown = {str(unit)[:40] for unit in units if unit and math.isnan(microns_of(unit))} - {
        "second",
        "millisecond",
    }
    notes = tuple(f"the unit {unit} is not known" for unit in sorted(unknown))
    omero = (attributes.get("omero") or {}).get("channels") or []
    channels = tuple(map(_channel, omero))
    return NgffImage(
        text_of(image.get("name")), "".join(names), tuple(levels), channels, _highest(omero), notes
    )


def _scale(transformations: Sequence[JsonObject] | None, dimensions: int) -> list[float] | None:
    """Product of the scales in a list of transformations, None if it holds none. Shifts move no size.

    Raises:
      RefusedImage: a transformation of another type, or not of this many finite, positive numbers.
    """
    product = None
    for transformation in transformations or []:
        kind = transformation["type"]
        if kind == "identity":
            continue
        values = transformation.get(kind) if kind in ("scale", "translation") else None
        if (
            not isinstance(values, list)
            or len(values) != dimensions
            or not all(isinstance(value, int | float) and math.isfinite(value) for value in values)
            or (kind == "scale" and min(values) <= 0)
        ):
            raise RefusedImage(
                f"the OME-Zarr has a coordinate transformation {str(transformation)[:200]}",
                expected=f"identity, or scale or translation by {dimensions} numbers",
            )
        if kind == "scale":
            product = [float(a) * b for a, b in zip(values, product or [1.0] * dimensions, strict=True)]
    return product


def _resolution(
    own: list[float] | None, shared: list[float] | None, names: list[str], units: list[object]
) -> Resolution | None:
    """Composes the transformations of a level: its own, then those of the image."""
    if (own is None and shared is None) or not {"x", "y"} <= set(names):
        return None
    x, y = (
        (own[at] if own else 1.0) * (shared[at] if shared else 1.0) * microns_of(units[at])
        for at in (names.index("x"), names.index("y"))
    )
    return plausible(x, y, "OME metadata")


def _channel(channel: JsonObject) -> Channel:
    return Channel(
        text_of(channel.get("label")),
        _colour(text_of(channel.get("color"))),
        is_any(channel, _FLUORESCENCE_FIELDS),
    )


def _highest(channels: list[JsonObject]) -> int | None:
    """4,095 of windows 0 to 4,095; other numbers are statistics of the image."""
    ends = {(window.get("min"), window.get("max")) for each in channels if (window := each.get("window"))}
    if len(ends) != 1:
        return None
    ((low, high),) = ends
    is_range = low == 0 and isinstance(high, int | float) and math.isfinite(high) and high == int(high) > 255
    return int(high) if is_range and int(high) & (int(high) + 1) == 0 else None


def _colour(text: str) -> tuple[int, int, int] | None:
    """Red, green and blue of 'FF0000'; None for white, which stands for no colour."""
    digits = text.removeprefix("#")
    if len(digits) not in (6, 8) or digits[:6].upper() == "FFFFFF":
        return None
    red, green, blue = bytes.fromhex(digits[:6])
    return red, green, blue
