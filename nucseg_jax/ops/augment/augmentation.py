"""All augmentations of a training batch in their order: deformation, geometry, stain, colour, scanner, blur, noise."""

import enum

import jax
import jax.numpy as jnp

from nucseg_jax.config.augment import AugmentConfig
from nucseg_jax.core.arrays import Array
from nucseg_jax.core.config_field import declared_fields
from nucseg_jax.ops.augment.blur import random_blur
from nucseg_jax.ops.augment.colour import colour_jitter
from nucseg_jax.ops.augment.deformation import random_deformation
from nucseg_jax.ops.augment.geometry import Labels, flips_and_quarter_turns
from nucseg_jax.ops.augment.keys import example_keys, on_a_share
from nucseg_jax.ops.augment.noise import random_noise
from nucseg_jax.ops.augment.scanner import scanner_jitter
from nucseg_jax.ops.augment.stain import stain_jitter


class Kind(enum.IntEnum):
    """Kinds of augmentation. The numbers decide what is drawn: never change one, only add."""

    GEOMETRY = 2
    STAIN = 3
    COLOUR = 4
    BLUR = 5
    NOISE = 6
    DEFORMATION = 7
    SCANNER = 8


# Every strength False or 0.
NO_AUGMENTATION = AugmentConfig(
    **{
        item.key: item.kind()
        for item in declared_fields("augment", AugmentConfig)
        if item.kind is not str and not item.key.endswith("_probability")
    }
)


def augment(
    image: jax.Array,
    label: Labels,
    index: jax.Array,
    *,
    how: AugmentConfig,
    seed: int,
    epoch: Array,
    outside: object = None,
) -> tuple[jax.Array, Labels]:
    """Augments a batch; pure, and jit-able with `how`, `seed` and `outside` static.

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
      outside: an integer for each array of `label`, its value where a deformed tile looks beyond its edge; needed with
        `how.scale` or `how.elastic_px`.

    Returns:
      image, uint8 if no more than flips and quarter turns are on, otherwise float32 0..255, not rounded; label, as it
      came in.

    Raises:
      ValueError: a deformation without `outside`.
    """
    how = how.resolved

    def keys(kind: Kind) -> jax.Array:
        return example_keys(seed, kind, epoch, index)

    if how.deforms:
        if outside is None:
            raise ValueError("augment needs `outside` with scale or elastic_px, such as outside=255")
        drawn, before = keys(Kind.DEFORMATION), image.astype(jnp.float32)
        bent, moved = random_deformation(
            before, label, drawn, scale=how.scale, elastic_px=how.elastic_px, outside=outside
        )
        image = on_a_share(how.deformation_probability, drawn, bent, before)
        label = on_a_share(how.deformation_probability, drawn, moved, label)
    if how.flips or how.quarter_turns:
        image, label = flips_and_quarter_turns(
            image, label, keys(Kind.GEOMETRY), flips=how.flips, quarter_turns=how.quarter_turns
        )
    if how.stain_factor or how.stain_offset:
        drawn, before = keys(Kind.STAIN), image.astype(jnp.float32)
        changed = stain_jitter(before, drawn, factor=how.stain_factor, offset=how.stain_offset)
        image = on_a_share(how.stain_probability, drawn, changed, before)
    if how.brightness or how.contrast or how.saturation or how.hue:
        drawn, before = keys(Kind.COLOUR), image.astype(jnp.float32)
        changed = colour_jitter(
            before,
            drawn,
            brightness=how.brightness,
            contrast=how.contrast,
            saturation=how.saturation,
            hue=how.hue,
        )
        image = on_a_share(how.colour_probability, drawn, changed, before)
    if how.white_balance or how.gamma:
        drawn, before = keys(Kind.SCANNER), image.astype(jnp.float32)
        changed = scanner_jitter(before, drawn, white_balance=how.white_balance, gamma=how.gamma)
        image = on_a_share(how.scanner_probability, drawn, changed, before)
    if how.blur_sigma_px:
        drawn, before = keys(Kind.BLUR), image.astype(jnp.float32)
        changed = random_blur(before, drawn, sigma_px=how.blur_sigma_px)
        image = on_a_share(how.blur_probability, drawn, changed, before)
    if how.noise_sd:
        drawn, before = keys(Kind.NOISE), image.astype(jnp.float32)
        changed = random_noise(before, drawn, sd=how.noise_sd)
        image = on_a_share(how.noise_probability, drawn, changed, before)
    return image, label
