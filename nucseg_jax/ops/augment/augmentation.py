"""All augmentations of a training batch in their order: geometry, stain, colour, blur, noise."""

import dataclasses

import jax
import jax.numpy as jnp

from nucseg_jax.core.keys import Stream
from nucseg_jax.ops.augment.blur import random_blur
from nucseg_jax.ops.augment.colour import colour_jitter
from nucseg_jax.ops.augment.geometry import flips_and_quarter_turns
from nucseg_jax.ops.augment.keys import example_keys
from nucseg_jax.ops.augment.noise import random_noise
from nucseg_jax.ops.augment.stain import stain_jitter


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done and how strongly; 0 and False = not at all.

    Attributes:
      flips, quarter_turns: see `geometry.flips_and_quarter_turns`.
      brightness, contrast, saturation, hue: see `colour.colour_jitter`.
      stain_factor, stain_offset: see `stain.stain_jitter`.
      blur_sigma_px: see `blur.random_blur`.
      noise_sd: see `noise.random_noise`.
    """

    flips: bool = False
    quarter_turns: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    stain_factor: float = 0.0
    stain_offset: float = 0.0
    blur_sigma_px: float = 0.0
    noise_sd: float = 0.0


def augment(
    image: jax.Array, label: jax.Array, index: jax.Array, *, how: Augmentation, seed: int, epoch: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Each example changed by its own draws, which depend on (seed, epoch, example) and the kind alone.

    Args:
      image: uint8 [N, S, S, 3].
      label: uint8 [N, S, S]; moves with the image, and is left alone by what changes colours.
      index: int32 [N], the examples' numbers.
      how: strengths.
      seed: of the run.
      epoch: int32 [].

    Returns:
      image, uint8 if no more than geometry is on, otherwise float32 0..255, not rounded; label, uint8.
    """

    def keys(stream: Stream) -> jax.Array:
        return example_keys(seed, stream, epoch, index)

    if how.flips or how.quarter_turns:
        image, label = flips_and_quarter_turns(
            image, label, keys(Stream.AUGMENTATION), flips=how.flips, quarter_turns=how.quarter_turns
        )
    if how.stain_factor or how.stain_offset:
        image = stain_jitter(
            image.astype(jnp.float32),
            keys(Stream.STAIN_JITTER),
            factor=how.stain_factor,
            offset=how.stain_offset,
        )
    if how.brightness or how.contrast or how.saturation or how.hue:
        image = colour_jitter(
            image.astype(jnp.float32),
            keys(Stream.COLOUR_JITTER),
            brightness=how.brightness,
            contrast=how.contrast,
            saturation=how.saturation,
            hue=how.hue,
        )
    if how.blur_sigma_px:
        image = random_blur(image.astype(jnp.float32), keys(Stream.BLUR), sigma_px=how.blur_sigma_px)
    if how.noise_sd:
        image = random_noise(image.astype(jnp.float32), keys(Stream.NOISE), sd=how.noise_sd)
    return image, label
