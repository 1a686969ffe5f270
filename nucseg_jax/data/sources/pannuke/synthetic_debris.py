"""Dark things on a slide that are no nuclei: smudges, precipitate, threads, folds. None has a rim."""

import numpy as np
from scipy import ndimage

from nucseg_jax.data.sources.pannuke.synthetic_fields import smooth_noise
from nucseg_jax.data.sources.pannuke.vocabulary import PATCH_PX


def add_debris(rng: np.random.Generator, hematoxylin: np.ndarray, eosin: np.ndarray) -> None:
    """Adds debris to the amounts of the two dyes, float [256, 256], in place."""
    for _ in range(rng.poisson(7.0)):  # Smudges: nuclear dust and cells far out of focus.
        _add_spot(rng, hematoxylin, rng.uniform(5.0, 13.0), rng.uniform(0.35, 0.9), rng.uniform(1.0, 2.5))
    for _ in range(rng.poisson(2.0)):
        _add_precipitate(rng, hematoxylin)
    for _ in range(rng.poisson(1.0)):
        _add_thread(rng, hematoxylin)
    if rng.random() < 0.2:
        _fold_over(rng, hematoxylin, eosin)


def _add_precipitate(rng: np.random.Generator, hematoxylin: np.ndarray) -> None:
    """A swarm of small, very dark grains of dye, in place."""
    y, x = rng.uniform(0, PATCH_PX, 2)
    for _ in range(rng.integers(4, 16)):
        spot = (y + rng.normal(0, 10), x + rng.normal(0, 10))
        _add_spot(rng, hematoxylin, rng.uniform(0.8, 2.2), rng.uniform(0.8, 1.6), 1.0, spot)


def _add_thread(rng: np.random.Generator, hematoxylin: np.ndarray) -> None:
    """A curved dark line, as of fibrin, dirt or a crushed cell, in place."""
    turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0.0, 0.09, 90))
    steps = rng.uniform(0.5, 1.6) * np.stack([np.sin(turn), np.cos(turn)])
    rows, columns = (rng.uniform(0, PATCH_PX, (2, 1)) + np.cumsum(steps, axis=1)).round().astype(int)
    kept = (rows >= 0) & (rows < PATCH_PX) & (columns >= 0) & (columns < PATCH_PX)
    thread = np.zeros_like(hematoxylin)
    thread[rows[kept], columns[kept]] = 1.0
    thread = ndimage.gaussian_filter(thread, rng.uniform(1.0, 2.2), truncate=3.0)
    hematoxylin += rng.uniform(0.8, 1.3) * thread / max(float(thread.max()), 1e-6)


def _fold_over(rng: np.random.Generator, hematoxylin: np.ndarray, eosin: np.ndarray) -> None:
    """Two thicknesses of tissue along a wavy band, in place."""
    y, x = np.mgrid[:PATCH_PX, :PATCH_PX].astype(np.float32) - PATCH_PX / 2
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-80, 80)
    away = np.cos(angle) * y - np.sin(angle) * x + offset + 5.0 * smooth_noise(rng, 40.0)
    band = 1.0 / (1.0 + np.exp(np.clip((np.abs(away) - rng.uniform(6, 14)) / 1.5, -30, 30)))
    hematoxylin *= 1.0 + 0.8 * band
    hematoxylin += 0.12 * band
    eosin *= 1.0 + 0.8 * band


def _add_spot(
    rng: np.random.Generator,
    field: np.ndarray,
    size_px: float,
    amount: float,
    stretch: float,
    center: tuple[float, float] | None = None,
) -> None:
    """Adds one soft spot of dye to `field` in place."""
    cy, cx = center or tuple(rng.uniform(0, PATCH_PX, 2))
    reach = int(2.6 * size_px * stretch) + 1
    rows = slice(max(0, int(cy) - reach), max(0, min(PATCH_PX, int(cy) + reach + 1)))
    columns = slice(max(0, int(cx) - reach), max(0, min(PATCH_PX, int(cx) + reach + 1)))
    y = np.arange(rows.start, rows.stop)[:, None] - cy
    x = np.arange(columns.start, columns.stop)[None, :] - cx
    angle = rng.uniform(0, np.pi)
    along = (np.cos(angle) * x + np.sin(angle) * y) / (size_px * stretch)
    across = (np.cos(angle) * y - np.sin(angle) * x) / size_px
    field[rows, columns] += amount * np.exp(-(along**2 + across**2))
