"""Microns per pixel: what a file states, whether it can be true, and what the model was trained at."""

from typing import NamedTuple

from nucseg_jax.core.errors import UserError

# Finer than any objective, and as coarse as one through which a nucleus is a dot of a few pixels. 72 or 300 dots an
# inch, which programs write when they know nothing, are 353 and 85 microns.
FINEST, COARSEST = 0.05, 5.0
# Relative difference at which an image is taken as it is: scanners' 40x is 0.243 to 0.253.
_SAME_SCALE = 0.03
_SQUARE = 0.02
# A nucleus of 6 microns has 6 px then.
_COARSEST_USED = 1.0

MICRONS = {
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
}
MICRONS |= {"nm": 1e-3, "nanometer": 1e-3, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4}
MICRONS |= {"inch": 25_400.0, "in": 25_400.0, "m": 1e6, "meter": 1e6}
MICRONS |= {"pm": 1e-6, "picometer": 1e-6, "å": 1e-4, "angstrom": 1e-4, "dm": 1e5, "decimeter": 1e5}
# A 40x objective goes with 0.25 microns per pixel, a 20x one with 0.5.
_MICRONS_TIMES_POWER = 10.0
_POWERS = (2.0, 200.0)


def microns_of(unit: object) -> float:
    """Microns in a unit of length, NaN for one that is not known; its case counts for none but full names.

    >>> microns_of("nm"), microns_of("Micrometer")
    (0.001, 1.0)
    """
    if not isinstance(unit, str):
        return float("nan")
    name = unit.strip()
    # 'Mm' and 'Pm' are no millimetres and picometres.
    return MICRONS.get(name if len(name) <= 2 and name != "Å" else name.lower(), float("nan"))


class Resolution(NamedTuple):
    """The resolution of an image.

    Attributes:
      microns_per_px: side of a pixel.
      found_in: where that was read, in words.
    """

    microns_per_px: float
    found_in: str

    @property
    def is_unknown(self) -> bool:
        """True if the image states none."""
        return self.found_in == _NOWHERE


def plausible(x: float, y: float, found_in: str) -> Resolution | None:
    """A resolution if it can be one of a microscope: square pixels of 0.05 to 5 microns; None otherwise.

    Args:
      x, y: microns per pixel along columns and rows.
      found_in: where they were read.

    >>> plausible(0.25, 0.25, "tags").microns_per_px
    0.25
    >>> plausible(25400 / 72, 25400 / 72, "dots per inch") is None
    True
    """
    # NaN fails every comparison.
    if not (FINEST <= x <= COARSEST and FINEST <= y <= COARSEST and abs(x - y) <= _SQUARE * max(x, y)):
        return None
    return Resolution((x + y) / 2, found_in)


_NOWHERE = "nowhere: taken as the model's own"


def unknown(model_microns_per_px: float) -> Resolution:
    """The resolution of an image that states none: the model's own."""
    return Resolution(model_microns_per_px, _NOWHERE)


def objective_power(value: object) -> float | None:
    """Magnification of an objective as a header states it; None for what cannot be one.

    >>> objective_power("20x"), objective_power(40), objective_power("none")
    (20.0, 40.0, None)
    """
    try:
        power = float(str(value).strip().lower().removesuffix("x"))
    except ValueError:
        return None
    return power if _POWERS[0] <= power <= _POWERS[1] else None


def of_objective(power: float) -> Resolution:
    """The resolution that usually goes with an objective.

    >>> of_objective(20.0)
    Resolution(microns_per_px=0.5, found_in='the objective of 20x')
    """
    return Resolution(_MICRONS_TIMES_POWER / power, f"the objective of {power:g}x")


def check_resolution(microns_per_px: float, *, model_microns_per_px: float) -> None:
    """Raises UserError for a resolution of an image at which a model cannot find nuclei.

    What is near the model's own scale can be used always, whatever that scale is.
    """
    finest = min(FINEST, model_microns_per_px * (1 - _SAME_SCALE))
    coarsest = max(_COARSEST_USED, model_microns_per_px * (1 + _SAME_SCALE))
    if not finest <= microns_per_px <= coarsest:
        raise UserError(
            f"pixels are {microns_per_px:g} microns",
            expected=f"{finest:g} to {coarsest:g}; the model was trained at {model_microns_per_px:g}",
            advice="take a finer level of the slide, or say --mpp if the file is wrong",
        )


def model_size(
    height: int, width: int, microns_per_px: float, *, model_microns_per_px: float
) -> tuple[int, int]:
    """Height and width of an image on the model's grid; its own size if the scales differ by less than 3 %.

    >>> model_size(1000, 500, 0.5, model_microns_per_px=0.25)
    (2000, 1000)
    >>> model_size(1000, 500, 0.2528, model_microns_per_px=0.25)
    (1000, 500)
    """
    scale = microns_per_px / model_microns_per_px
    if abs(scale - 1.0) < _SAME_SCALE:
        return height, width
    return max(1, round(height * scale)), max(1, round(width * scale))
