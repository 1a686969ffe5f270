"""Fields of `augment`."""

import dataclasses

from nucseg_jax.core.config_field import field


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of training tiles, inside the step, drawn for each tile in each epoch.

    The paper names none. Flips and quarter turns move image and label together; the others change the image alone and
    are off at 0. They are applied in the order of `ops/augment/augmentation.py`.
    """

    flips: bool = field(True, "Flips, left-right and up-down, each for half of the tiles.")
    quarter_turns: bool = field(True, "A quarter turn for half of the tiles.")
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
    blur_sigma_px: float = field(
        0.0, "Standard deviation of a Gaussian blur in pixels, drawn from 0 to this.", at_least=0, at_most=5
    )
    noise_sd: float = field(
        0.0,
        "Standard deviation of Gaussian noise in grey levels of 255, drawn from 0 to this.",
        at_least=0,
        at_most=255,
    )
