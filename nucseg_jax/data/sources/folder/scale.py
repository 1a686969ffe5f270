"""Microns per px of an image: by dataset.yaml, the config, its own file or its label.

Those that state one must agree; none is guessed.
"""

from nucseg_jax.core.errors import UserError
from nucseg_jax.images.resolution import Resolution, of_objective
from nucseg_jax.images.source import Source

# As for whole images: scanners' 40x is 0.243 to 0.253.
_SAME_SCALE = 0.03


def image_resolution(
    source: Source,
    *,
    stated: Resolution | None,
    is_published: bool = False,
    setting: float,
    label: float | None,
    name: str,
) -> Resolution:
    """Decides the resolution of an image.

    Args:
      source: the image.
      stated: of the whole data set; None = not given.
      is_published: `stated` is true whatever single files state, as everybody reads a published data set.
      setting: of the config; 0 = not given.
      label: of the label file; None = not given.
      name: of the image, for messages.

    Raises:
      UserError: nothing states it, or two that do differ by 3 % or more.
    """
    found: list[Resolution] = [
        *([stated] if stated is not None else ()),
        *([Resolution(setting, "data.image_microns_per_px")] if setting else ()),
    ]
    if not is_published:
        found += [source.resolution] if source.resolution is not None else []
        found += [Resolution(label, "its label file")] if label is not None else []
    if not found:
        power = source.objective_power
        usual = of_objective(power).microns_per_px if power is not None else None
        raise UserError(
            f"{name}: nothing states how many microns a pixel has"
            + (f"; its objective is {power:g}x, usually {usual:g}" if usual is not None else ""),
            expected="microns_per_px in dataset.yaml, data.image_microns_per_px, or metadata of the file",
            advice="find it in the scanner's report; 40x is usually 0.25, 20x 0.5",
        )
    for other in found[1:]:
        if abs(other.microns_per_px / found[0].microns_per_px - 1) >= _SAME_SCALE:
            raise UserError(
                f"{name}: {found[0].microns_per_px:g} microns per px by {found[0].found_in},"
                f" {other.microns_per_px:g} by {other.found_in}",
                expected="one resolution",
                advice="correct the one that is wrong; metadata are lost by saving the image as PNG",
            )
    return found[0]
