"""All augmentations of a training batch in their order: geometry, stain, colour, blur, noise."""

import enum

import jax
import jax.numpy as jnp

from nucseg_jax.config.augment import AugmentConfig
from nucseg_jax.core.arrays import Array
from nucseg_jax.core.config_field import declared_fields
from nucseg_jax.ops.augment.blur import random_blur
from nucseg_jax.ops.augment.colour import colour_jitter
from nucseg_jax.ops.augment.geometry import Labels, flips_and_quarter_turns
from nucseg_jax.ops.augment.keys import example_keys
from nucseg_jax.ops.augment.noise import random_noise
from nucseg_jax.ops.augment.stain import stain_jitter


class Kind(enum.IntEnum):
    """Kinds of augmentation. The numbers decide what is drawn: never change one, only add."""

    GEOMETRY = 2
    STAIN = 3
    COLOUR = 4
    BLUR = 5
    NOISE = 6


# Every strength False or 0.
NO_AUGMENTATION = AugmentConfig(
    **{item.key: item.kind() for item in declared_fields("augment", AugmentConfig)}
)


def augment(
    image: jax.Array, label: Labels, index: jax.Array, *, how: AugmentConfig, seed: int, epoch: Array
) -> tuple[jax.Array, Labels]:
    """Augments a batch; pure, and jit-able with `how` and `seed` static.

    The draws of an example depend on (seed, epoch, its index) and the kind of augmentation alone: the same example in
    another batch, or with another kind switched off, is changed in the same way.

        changed, moved = augment(image, label, index, how=AugmentConfig(hue=0.05), seed=0, epoch=epoch)

    Args:
      image: uint8 [N, S, S, 3], RGB; square where quarter turns are on.
      label: uint8 [N, S, S], or a tree of integer arrays of that shape, such as label and instance ids; moves with
        the image, and is left alone by what changes colours.
      index: int32 [N], the examples' numbers in the data set, no two alike.
      how: strengths, within the ranges that docs/config.md has for section `augment`; 0 and False = not at all.
      seed: of the run, 0..2^32 - 1.
      epoch: int32 [], the number of the pass over the data; or any number that changes from pass to pass.

    Returns:
      image, uint8 if no more than geometry is on, otherwise float32 0..255, not rounded; label, as it came in.
    """

    def keys(kind: Kind) -> jax.Array:
        return example_keys(seed, kind, epoch, index)

    if how.flips or how.quarter_turns:
        image, label = flips_and_quarter_turns(
            image, label, keys(Kind.GEOMETRY), flips=how.flips, quarter_turns=how.quarter_turns
        )
    if how.stain_factor or how.stain_offset:
        image = stain_jitter(
            image.astype(jnp.float32),
            keys(Kind.STAIN),
            factor=how.stain_factor,
            offset=how.stain_offset,
        )
    if how.brightness or how.contrast or how.saturation or how.hue:
        image = colour_jitter(
            image.astype(jnp.float32),
            keys(Kind.COLOUR),
            brightness=how.brightness,
            contrast=how.contrast,
            saturation=how.saturation,
            hue=how.hue,
        )
    if how.blur_sigma_px:
        image = random_blur(image.astype(jnp.float32), keys(Kind.BLUR), sigma_px=how.blur_sigma_px)
    if how.noise_sd:
        image = random_noise(image.astype(jnp.float32), keys(Kind.NOISE), sd=how.noise_sd)
    return image, label
