"""Random fields over a patch, from which tissue is painted; each float32 [256, 256]."""

import functools

import numpy as np
from scipy import sparse

from nucseg_jax.data.sources.pannuke.vocabulary import PATCH_PX


@functools.lru_cache(maxsize=64)
def _interpolation(scale_px: float) -> sparse.csr_array:
    """float32 [256, G]: each row weighs values `scale_px` apart by a Gaussian, to unit variance."""
    grid = np.arange(-2.0, PATCH_PX / scale_px + 3.0) * scale_px
    away = np.arange(PATCH_PX)[:, None] - grid[None, :]
    weights = np.exp(-(away**2) / (2 * (0.7 * scale_px) ** 2)) * (np.abs(away) < 2.5 * scale_px)
    return sparse.csr_array((weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32))


def smooth_noise(rng: np.random.Generator, scale_px: float) -> np.ndarray:
    """Gaussian noise float32 [256, 256] of mean 0 and variance 1 whose bumps are about `scale_px` wide."""
    # Sparse, because dense products go through the threads of BLAS, which are ten times slower than one
    # thread on a machine whose cores are busy, and whose sums come out differently on another machine.
    weights = _interpolation(scale_px)
    grid = rng.standard_normal((weights.shape[1], weights.shape[1]), np.float32)
    noise: np.ndarray = (weights @ (weights @ grid).T).T
    return noise


def highest(field: np.ndarray, share: float, softness: float) -> np.ndarray:
    """0..1, about 1 where the field is among its highest `share` (of area), with a soft edge.

    Args:
      field: float [256, 256].
      share: 0..1.
      softness: > 0, width of the edge in units of the field.
    """
    level = np.quantile(field[::4, ::4], 1.0 - share)
    share_of_each: np.ndarray = 1.0 / (1.0 + np.exp(-np.clip((field - level) / softness, -30, 30)))
    return share_of_each


def fibres(rng: np.random.Generator, angle: float) -> np.ndarray:
    """Wavy strands along `angle`, as of collagen: float32 [256, 256], variance about 1."""
    y, x = np.mgrid[:PATCH_PX, :PATCH_PX].astype(np.float32)
    across = np.cos(angle) * y - np.sin(angle) * x
    across = across + 14.0 * smooth_noise(rng, 60.0) + 2.0 * smooth_noise(rng, 18.0)
    knots = np.arange(-500.0, 500.0, 2.5)
    strands = np.interp(across, knots, rng.standard_normal(knots.size))
    # Strands end: without this they run through the whole patch like contour lines of a map.
    strands_and_noise: np.ndarray = (
        strands * np.abs(smooth_noise(rng, 22.0)) + 0.35 * smooth_noise(rng, 3.0)
    ).astype(np.float32)
    return strands_and_noise
