"""OME-XML: the images it describes, the directories of which file they lie in, their channels, bits and scale."""

import dataclasses
import math
import re
import xml.etree.ElementTree as ET

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.images.channels import Channel, is_any
from nucseg_jax.images.resolution import Resolution, microns_of, objective_power, plausible
from nucseg_jax.images.source import RefusedImage

_COMPANION = re.compile(r"\s*(label|macro|thumbnail|overview|slide ?(label|preview))\b", re.IGNORECASE)
_FLUORESCENCE_FIELDS = ("Fluor", "EmissionWavelength", "ExcitationWavelength")
_WHITE = (255, 255, 255)
# More planes than an image of a section has; a header that asks for more is one of a stack.
_MOST_PLANES = 64


@dataclasses.dataclass(frozen=True)
class OmeImage:
    """An image as OME-XML describes it.

    Attributes:
      height, width: px.
      dtype: OME's name of the pixel type, such as 'uint8'.
      planes: index of the directory of each plane in this file; empty for a stack, and where another file holds them.
      stack: sizes of Z and T.
      samples_per_plane: 3 for RGB in one plane.
      channels: one for each plane and sample, or one for each plane of several samples.
      bits: significant ones, None = not stated.
      is_companion: named as a label, a macro image or a thumbnail.
      resolution: as stated, None = not stated or not plausible.
      is_scale_stated: sizes of pixels in known units are, plausible or not.
      objective_power: magnification, None = not stated.
      elsewhere: name of another file that holds all of the image, '' = none.
    """

    height: int
    width: int
    dtype: str
    planes: tuple[int, ...]
    stack: tuple[int, int]
    samples_per_plane: int
    channels: tuple[Channel, ...]
    bits: int | None
    is_companion: bool
    resolution: Resolution | None
    is_scale_stated: bool
    objective_power: float | None
    elsewhere: str


def ome_images(text: str, file_name: str, samples: int = 1) -> list[OmeImage]:
    """The images of OME-XML.

    No other file is ever opened: names in the XML are compared, not followed.

    Args:
      text: the XML.
      file_name: of the TIFF that holds it.
      samples: samples per pixel of the file's first directory. Where all of an image's channels are described as planes
        of one sample, and they are as many as these, they lie side by side in one plane.

    Raises:
      RefusedImage: it cannot be parsed, lacks what the schema requires, or an image lies in several files.
    """
    try:
        root = ET.fromstring(text)
        master = root.find("{*}BinaryOnly")
        if master is not None:
            raise RefusedImage(
                f"the file is a part of a set whose OME metadata lie in {_shown(master.get('MetadataFile'))}",
                advice="save the image as one file",
            )
        return [_image(root, image, file_name, samples) for image in root.findall("{*}Image")]
    except UserError:
        raise
    except (ET.ParseError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise RefusedImage(
            f"the OME-XML cannot be understood: {reason_of(error)}", advice="save the image again"
        ) from None


def _image(root: ET.Element, image: ET.Element, file_name: str, in_first: int) -> OmeImage:
    pixels = image.find("{*}Pixels")
    if pixels is None:
        raise ValueError("an Image without Pixels")
    size = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in "XYZCT"}
    if min(size.values()) < 1:
        raise ValueError("a size below 1")
    channels = pixels.findall("{*}Channel")
    samples = {int(channel.get("SamplesPerPixel", 1)) for channel in channels} or {1}
    if len(samples) > 1 or size["C"] % max(samples):
        raise ValueError("channels of different SamplesPerPixel")
    per_plane = samples.pop()
    if per_plane == 1 and in_first == size["C"]:
        per_plane = in_first
    elsewhere, is_stack = _elsewhere(root, pixels, file_name), size["Z"] * size["T"] > 1
    bits, scale = pixels.get("SignificantBits"), _microns(pixels)
    return OmeImage(
        size["Y"],
        size["X"],
        pixels.get("Type", pixels.get("PixelType", "")),
        () if elsewhere or is_stack else _planes(pixels, size["C"] // per_plane),
        (size["Z"], size["T"]),
        per_plane,
        tuple(_channel(channel) for channel in channels),
        None if bits is None else int(bits),
        bool(_COMPANION.match(image.get("Name", ""))),
        plausible(*scale, "OME metadata"),
        all(math.isfinite(side) and side > 0 for side in scale),
        _objective_power(root, image),
        elsewhere,
    )


def _elsewhere(root: ET.Element, pixels: ET.Element, file_name: str) -> str:
    """Name of another file that the image lies in, '' if it lies in this one."""
    others = [_other_file(root, data, file_name) for data in pixels.findall("{*}TiffData")]
    named = [other for other in others if other]
    if named and len(named) < len(others):
        raise RefusedImage(
            f"the file holds a part of an image; other parts lie in {named[0]}",
            advice="save the image as one file",
        )
    return named[0] if named else ""


def _planes(pixels: ET.Element, count: int) -> tuple[int, ...]:
    """Directories of an image's planes; Z and T are 1."""
    if count > _MOST_PLANES:
        raise RefusedImage(f"the image has {counted(count, 'channel')}", expected="grey or RGB")
    described = pixels.findall("{*}TiffData")
    found: dict[int, int] = {}
    for data in described:
        # Without a count: one plane, or all of the file if no directory is named.
        stated = data.get("PlaneCount", data.get("NumPlanes"))
        length = int(stated) if stated is not None else (1 if "IFD" in data.attrib else count)
        for step in range(min(length, count)):
            found[int(data.get("FirstC", 0)) + step] = int(data.get("IFD", 0)) + step
    if not described:
        found = {index: index for index in range(count)}
    if sorted(found) != list(range(count)) or min(found.values()) < 0 or len({*found.values()}) < count:
        raise ValueError(f"its {count} planes are not all located")
    return tuple(found[index] for index in range(count))


def _other_file(root: ET.Element, data: ET.Element, file_name: str) -> str:
    """Name of the file that TiffData lies in if that is not this one, else ''.

    A file that was renamed is known by its UUID, unless several names go with that.
    """
    uuid = data.find("{*}UUID")
    if uuid is None:
        return ""
    name = uuid.get("FileName", "")
    if name.lower() == file_name.lower():
        return ""
    own = root.get("UUID")
    if own is not None and (uuid.text or "").strip() == own.strip():
        names = {
            each.get("FileName", "")
            for each in root.iter()
            if each.tag.endswith("}UUID") and each.text == uuid.text
        }
        if len(names) == 1:
            return ""
    return _shown(name or uuid.text)


def _shown(name: str | None) -> str:
    return repr((name or "a file without a name")[:200])


def _channel(channel: ET.Element) -> Channel:
    contrast = channel.get("ContrastMethod", "") + channel.get("IlluminationType", "")
    is_fluorescent = is_any(channel.attrib, _FLUORESCENCE_FIELDS) or "fluorescence" in contrast.lower()
    colour = None
    if "Color" in channel.attrib:
        value = int(channel.attrib["Color"]) & 0xFFFFFFFF
        colour = (value >> 24, value >> 16 & 0xFF, value >> 8 & 0xFF)
    return Channel(channel.get("Name", ""), None if colour == _WHITE else colour, is_fluorescent)


def _microns(pixels: ET.Element) -> tuple[float, float]:
    """Microns of a pixel along columns and rows, NaN where they are not stated or of an unknown unit."""
    try:
        x, y = (
            float(pixels.attrib[f"PhysicalSize{axis}"])
            * microns_of(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
            for axis in "XY"
        )
    except (KeyError, ValueError):
        return math.nan, math.nan
    return x, y


def _objective_power(root: ET.Element, image: ET.Element) -> float | None:
    """Nominal magnification of the objective that the image refers to, or of the only one."""
    objectives = root.findall(".//{*}Objective")
    settings = image.find("{*}ObjectiveSettings")
    if settings is not None:
        objectives = [each for each in objectives if each.get("ID") == settings.get("ID")]
    powers = {each.get("NominalMagnification") for each in objectives}
    return objective_power(powers.pop()) if len(powers) == 1 else None
