"""Fields of `augment`, and the presets that fill them."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from nucseg_jax.core.config_field import FieldValue, field

PresetName = Literal["own", "paper", "light", "strong"]


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of training tiles, inside the step, drawn for each tile in each epoch.

    The paper names none. Flips, quarter turns, scale and elastic deformation move image and label together; the others
    change the image alone. All but flips and turns are off at 0. They are applied in the order of
    `ops/augment/augmentation.py`.
    """

    preset: PresetName = field(
        "own",
        "own: the fields below as they are given. paper, light or strong: rows of PRESETS in"
        " nucseg_jax/config/augment.py set all strengths and probabilities; the fields below stay at their defaults.",
        was_added=True,
        phrase=lambda name: "own augmentation" if name == "own" else f"{name} augmentation",
    )
    flips: bool = field(True, "Flips, left-right and up-down, each for half of the tiles.")
    quarter_turns: bool = field(True, "A quarter turn for half of the tiles.")
    scale: float = field(
        0.0,
        "Magnification is drawn between 1 / (1 + this) and 1 + this. What a smaller image leaves of a tile is its"
        " reflection, and counts nowhere.",
        at_least=0,
        at_most=1,
        was_added=True,
    )
    elastic_px: float = field(
        0.0,
        "Tiles are bent: the points of a grid of 32 px move by up to this, in pixels.",
        at_least=0,
        at_most=8,
        was_added=True,
    )
    deformation_probability: float = field(
        1.0, "Share of tiles that scale and elastic_px change.", at_least=0, at_most=1, was_added=True
    )
    brightness: float = field(
        0.0,
        "A factor is drawn uniformly from 1 -+ this (the range of torchvision's ColorJitter; .2 is usual).",
        at_least=0,
        at_most=1,
    )
    contrast: float = field(0.0, "As brightness.", at_least=0, at_most=1)
    saturation: float = field(0.0, "As brightness.", at_least=0, at_most=1)
    hue: float = field(
        0.0, "A turn is drawn uniformly from -+ this share of the colour circle.", at_least=0, at_most=0.5
    )
    colour_probability: float = field(
        1.0,
        "Share of tiles that brightness, contrast, saturation and hue change.",
        at_least=0,
        at_most=1,
        was_added=True,
    )
    stain_factor: float = field(
        0.0,
        "Amounts of haematoxylin, eosin and DAB: each times a factor from 1 -+ this, plus -+ stain_offset"
        " (Tellez et al. 2018; factors of .05 are light, .2 strong in Tellez et al. 2019). White stays white.",
        at_least=0,
        at_most=1,
    )
    stain_offset: float = field(
        0.0, "Offset of these amounts, in units of optical density.", at_least=0, at_most=1
    )
    stain_probability: float = field(
        1.0,
        "Share of tiles that stain_factor and stain_offset change.",
        at_least=0,
        at_most=1,
        was_added=True,
    )
    white_balance: float = field(
        0.0,
        "Red, green and blue are each multiplied by e^x, x drawn from -+ this: glass and background are tinted too.",
        at_least=0,
        at_most=1,
        was_added=True,
    )
    gamma: float = field(
        0.0,
        "Intensities of 0 to 1 are raised to the power e^x, x drawn from -+ this.",
        at_least=0,
        at_most=1,
        was_added=True,
    )
    scanner_probability: float = field(
        1.0,
        "Share of tiles that white_balance and gamma change.",
        at_least=0,
        at_most=1,
        was_added=True,
    )
    blur_sigma_px: float = field(
        0.0, "Standard deviation of a Gaussian blur in pixels, drawn from 0 to this.", at_least=0, at_most=5
    )
    blur_probability: float = field(
        1.0, "Share of tiles that are blurred.", at_least=0, at_most=1, was_added=True
    )
    noise_sd: float = field(
        0.0,
        "Standard deviation of Gaussian noise in grey levels of 255, drawn from 0 to this.",
        at_least=0,
        at_most=255,
    )
    noise_probability: float = field(
        1.0, "Share of tiles that get noise.", at_least=0, at_most=1, was_added=True
    )

    @property
    def deforms(self) -> bool:
        """True if tiles are scaled or bent, so that they may show what lies beyond their edge."""
        return bool((self.scale or self.elastic_px) and self.deformation_probability)

    @property
    def resolved(self) -> "AugmentConfig":
        """Its preset's strengths as its own."""
        if self.preset == "own":
            return self
        return dataclasses.replace(self, preset="own", **PRESETS[self.preset])  # type: ignore[arg-type]

    @property
    def set_beside_preset(self) -> list[str]:
        """Names of the fields that a preset would replace and that are not at their defaults."""
        if self.preset == "own":
            return []
        defaults, kept = AugmentConfig(), ("preset", "flips", "quarter_turns")
        return [
            name
            for name, value in dataclasses.asdict(self).items()
            if name not in kept and value != getattr(defaults, name)
        ]


# Flips and quarter turns stay as they are given. Strengths of stain are those of Tellez et al. 2019 (light .05, strong
# .2); the others are this package's choice, by the looks of what they do.
PRESETS: Mapping[PresetName, Mapping[str, FieldValue]] = {
    "paper": {},
    "light": {
        "brightness": 0.1,
        "contrast": 0.1,
        "saturation": 0.1,
        "hue": 0.02,
        "stain_factor": 0.05,
        "stain_offset": 0.02,
    },
    "strong": {
        "scale": 0.25,
        "elastic_px": 4.0,
        "deformation_probability": 0.5,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.3,
        "hue": 0.05,
        "stain_factor": 0.2,
        "stain_offset": 0.1,
        "blur_sigma_px": 1.5,
        "blur_probability": 0.3,
        "noise_sd": 10.0,
        "noise_probability": 0.3,
    },
}
