"""CIE LAB of sRGB under D65, 2 degrees: the conversions of scikit-image, on devices too.

Axes: [..., 3]. Red, green and blue are 0..255; L is 0..100, a and b about -128..127.
"""

from typing import TypeVar

import jax
import numpy as np

from nucseg_jax.ops.stain_normalization.mixing import mixed

Array = TypeVar("Array", np.ndarray, jax.Array)

# IEC 61966-2-1: rows are X, Y and Z, columns linear red, green and blue.
_XYZ_FROM_RGB: np.ndarray = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_WHITE: np.ndarray = np.array([0.95047, 1.0, 1.08883])
_TO_XYZ: np.ndarray = _XYZ_FROM_RGB.T / _WHITE
_FROM_XYZ: np.ndarray = np.linalg.inv(_TO_XYZ)
# L = 116 f(Y) - 16, a = 500 (f(X) - f(Y)), b = 200 (f(Y) - f(Z)).
_TO_LAB: np.ndarray = np.array([[0.0, 500.0, 0.0], [116.0, -500.0, 200.0], [0.0, 0.0, -200.0]])
_FROM_LAB: np.ndarray = np.linalg.inv(_TO_LAB)
_BLACK = 16.0


def rgb_to_lab(rgb: Array) -> Array:
    """Converts colours, float [..., 3] of 0..255, to LAB of the same dtype."""
    xp = rgb.__array_namespace__()
    shown = rgb / 255.0
    linear = xp.where(shown > 0.04045, ((shown + 0.055) / 1.055) ** 2.4, shown / 12.92)
    xyz = mixed(linear, _TO_XYZ)
    roots = xp.where(xyz > 0.008856, xp.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    lab: Array = mixed(roots, _TO_LAB) - xp.asarray([_BLACK, 0.0, 0.0], dtype=rgb.dtype)
    return lab


def lab_to_rgb(lab: Array) -> Array:
    """Converts LAB back, the inverse of `rgb_to_lab`; colours outside of sRGB are clipped to 0..255."""
    xp = lab.__array_namespace__()
    roots = mixed(lab + xp.asarray([_BLACK, 0.0, 0.0], dtype=lab.dtype), _FROM_LAB)
    xyz = xp.where(roots > 0.2068966, roots**3, (roots - 16.0 / 116.0) / 7.787)
    linear = xp.clip(mixed(xyz, _FROM_XYZ), min=0.0, max=1.0)
    shown = xp.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    rgb: Array = 255.0 * xp.clip(shown, min=0.0, max=1.0)
    return rgb
