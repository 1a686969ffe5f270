"""Microns per pixel and objective of a TIFF: OME-XML, Aperio's description, or tags."""

import re

import tifffile

from nucseg_jax.images.resolution import Resolution, microns_of, objective_power, plausible
from nucseg_jax.images.tiff_pictures import TiffPicture

# Left, top, width and height of a region in a description of Aperio's.
_REGION = re.compile(r"\[\d+,\d+ (\d{1,9})x(\d{1,9})\]")
_EQUAL = 1.02


def tiff_scale(file: tifffile.TiffFile, picture: TiffPicture) -> tuple[Resolution | None, float | None]:
    """The resolution and the objective's magnification that a file states for one of its pictures."""
    page = picture.pages[0]
    aperio = _aperio(page)
    resolution = picture.ome.resolution if picture.ome else None
    power = picture.ome.objective_power if picture.ome else None
    reduction = aperio_reduction(page.description, page.imagelength, page.imagewidth) if aperio else 1.0
    # Sizes of OME's that cannot be true, such as those of pixels that are not square, are contradicted by no tag.
    if resolution is None and not (picture.ome and picture.ome.is_scale_stated):
        microns = _number(aperio.get("MPP", "")) * reduction
        resolution = plausible(microns, microns, "Aperio's description") or _of_tags(file, page)
    if power is None and (stated := objective_power(aperio.get("AppMag"))) is not None:
        power = stated / reduction
    return resolution, power


def _aperio(page: tifffile.TiffPage) -> dict[str, str]:
    """Fields of Aperio's description: 'Aperio ...|AppMag = 20|MPP = 0.499'."""
    if not page.is_svs:
        return {}
    fields = (item.partition("=") for item in page.description.split("|")[1:])
    return {name.strip(): value.strip() for name, _, value in fields}


def aperio_reduction(description: str, height: int, width: int) -> float:
    """The factor by which a picture of Aperio's is smaller than the region of the scan that it shows.

    Each level and thumbnail states MPP and AppMag of the scan.

    Args:
      description: Aperio's; any other gives 1.
      height, width: of the picture, px.

    >>> aperio_reduction("Aperio [0,0 46000x32920] -> 1150x823|MPP = 0.5", 823, 1150)
    40.0
    """
    region = _REGION.search(description) if description.startswith("Aperio") else None
    if region is None:
        return 1.0
    factors = int(region[1]) / width, int(region[2]) / height
    # Of another shape: a part that was cut out later.
    is_reduced = max(factors) <= _EQUAL * min(factors) and min(factors) > _EQUAL
    return sum(factors) / 2 if is_reduced else 1.0


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return float("nan")


def _of_tags(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Resolution | None:
    """The tags XResolution and YResolution: pixels per inch or centimetre, or per ImageJ's unit."""
    unit = getattr(page.tags.valueof("ResolutionUnit", 2), "name", "INCH").lower()
    if file.is_imagej and file.imagej_metadata:
        unit = str(file.imagej_metadata.get("unit", unit)).lower().replace("\\u00b5", "µ")
    try:
        x, y = (
            denominator / numerator * microns_of(unit)
            for numerator, denominator in (page.tags.valueof(f"{axis}Resolution") for axis in "XY")
        )
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return plausible(x, y, "TIFF tags")
