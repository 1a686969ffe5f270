"""The kinds of corruption, a row each: five severities in the units of tissue and light.

    | kind | severities 1..5 |
    | noise | standard deviation 4, 8, 12, 18, 26 of 255 |

An image goes in as uint8 RGB and comes out as such. Severity 0 is the image itself. A new kind is a function and a row.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.ops.augment.intensity import in_range
from nucseg_jax.ops.corruptions import blur, colour, resolution
from nucseg_jax.ops.corruptions.draws import cell_keys, content_digests, typed_keys
from nucseg_jax.ops.corruptions.jpeg import compressed
from nucseg_jax.ops.corruptions.noise import noisy

# image float32 [N, H, W, 3] in 0..255, typed keys [N], value float32 [], microns a pixel -> float32 [N, H, W, 3].
OnDevice = Callable[[jax.Array, jax.Array, jax.Array, float], jax.Array]
# image uint8 [H, W, 3], value -> uint8 [H, W, 3]; draws nothing.
OnHost = Callable[[np.ndarray, float], np.ndarray]
SEVERITIES = (1, 2, 3, 4, 5)


class Kind(NamedTuple):
    """A row of `KINDS`, with one of the two functions.

    Attributes:
      title: the kind in words.
      unit: of the values, in words.
      values: of severities 1..5.
      on_device: corrupts a batch inside a compiled program.
      on_host: corrupts one image by a library that runs on the host alone.
    """

    title: str
    unit: str
    values: tuple[float, float, float, float, float]
    on_device: OnDevice | None = None
    on_host: OnHost | None = None


KINDS: Mapping[str, Kind] = {
    "jpeg": Kind("JPEG", "quality", (60, 40, 25, 15, 7), on_host=compressed),
    "resolution": Kind("resolution", "x microns per px", resolution.FACTORS, resolution.coarsened),
    "defocus": Kind("defocus", "microns, radius", blur.DEFOCUS_RADII_UM, blur.defocused),
    "motion": Kind("motion", "microns, length", blur.MOTION_LENGTHS_UM, blur.moved),
    "noise": Kind("noise", "standard deviation of 255", (4, 8, 12, 18, 26), noisy),
    "brightness": Kind("brightness", "+- of V", (0.05, 0.1, 0.15, 0.2, 0.25), colour.brightened),
    "saturation": Kind("saturation", "+- of S", (0.05, 0.1, 0.15, 0.2, 0.25), colour.saturated),
    "hue": Kind("hue", "+- of a turn", (0.02, 0.04, 0.06, 0.08, 0.1), colour.turned),
    "stain": Kind("stain", "+- of H and E", (0.05, 0.1, 0.2, 0.3, 0.4), colour.restained),
    "scanner": Kind(
        "scanner", "+- log of gain, half of gamma's", (0.02, 0.04, 0.06, 0.08, 0.1), colour.rescanned
    ),
}


def corrupted_on_device(
    image: jax.Array, key_data: jax.Array, value: jax.Array, kind: str, microns_per_px: float
) -> jax.Array:
    """Corrupts a batch; for use inside a compiled program, one for each kind.

    Args:
      image: uint8 [N, H, W, 3].
      key_data: uint32 [N, 2], of `cell_keys`.
      value: float32 [], one of the kind's, or any other up to its last.
      kind: one with `on_device`.
      microns_per_px: of the images.

    Returns:
      uint8 [N, H, W, 3].
    """
    function = KINDS[kind].on_device
    assert function is not None
    changed = function(image.astype(jnp.float32), typed_keys(key_data), value, microns_per_px)
    return jnp.rint(in_range(changed)).astype(jnp.uint8)


_corrupted = jax.jit(corrupted_on_device, static_argnames=("kind", "microns_per_px"))


def corrupted(image: np.ndarray, kind: str, severity: int, *, microns_per_px: float) -> np.ndarray:
    """Corrupts images on the host's default device.

    Args:
      image: uint8 [N, H, W, 3].
      kind: a name of `KINDS`.
      severity: 0..5; 0 gives the images back as they are.
      microns_per_px: of the images.

    Returns:
      uint8 [N, H, W, 3].

    Raises:
      ValueError: another kind or severity.
    """
    if kind not in KINDS or severity not in (0, *SEVERITIES):
        raise ValueError(f"{kind!r} of severity {severity}; expected one of {', '.join(KINDS)}, and 0..5")
    if severity == 0 or not len(image):
        return image.copy()
    row, value = KINDS[kind], KINDS[kind].values[severity - 1]
    if row.on_host is not None:
        return np.stack([row.on_host(one, value) for one in image])
    keys = cell_keys(content_digests(image), kind, severity)
    return np.asarray(_corrupted(image, keys, np.float32(value), kind, microns_per_px))
