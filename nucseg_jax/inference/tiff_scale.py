"""Microns per pixel and objective of a TIFF: OME-XML, Aperio's description, or tags."""

import tifffile

from nucseg_jax.inference.resolution import Resolution, microns_of, objective_power, plausible
from nucseg_jax.inference.tiff_pictures import TiffPicture


def tiff_scale(file: tifffile.TiffFile, picture: TiffPicture) -> tuple[Resolution | None, float | None]:
    """The resolution and the objective's magnification that a file states for one of its pictures."""
    page = picture.pages[0]
    aperio = _aperio(page)
    resolution = picture.ome.resolution if picture.ome else None
    power = picture.ome.objective_power if picture.ome else None
    if resolution is None:
        microns = _number(aperio.get("MPP", ""))
        resolution = plausible(microns, microns, "Aperio's description") or _of_tags(file, page)
    return resolution, power if power is not None else objective_power(aperio.get("AppMag"))


def _aperio(page: tifffile.TiffPage) -> dict[str, str]:
    """Fields of Aperio's description: 'Aperio ...|AppMag = 20|MPP = 0.499'."""
    if not page.is_svs:
        return {}
    fields = (item.partition("=") for item in page.description.split("|")[1:])
    return {name.strip(): value.strip() for name, _, value in fields}


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
