"""Random foreground with random maps, which tests of decoders share."""

import numpy as np
from scipy import ndimage

from nucseg_jax.heads.decoding.parting import PARTINGS
from nucseg_jax.heads.decoding.quantize import map_levels


def noise(seed: int, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Smooth noise in both axes, standard deviation .6: maps with plateaus, steps and values beyond 1."""
    smooth = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal(shape), (sigma, sigma, *(0,) * (len(shape) - 2))
    )
    return (0.6 * smooth / smooth.std()).astype(np.float32)


def scene(seed: int, head: str, size: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Levels of touching, holed, edge-cut random shapes, and maps that part them."""
    level = np.clip(128 + 100 * (noise(seed, (size, size), 3.0) - 0.2), 0, 255).astype(np.uint8)
    count = PARTINGS[head].maps
    maps = noise(seed + 1, (size, size, count), 2.0) if count else np.zeros((size, size, 0), np.float32)
    return level, map_levels(maps)


def piece_of(seed: int) -> np.ndarray:
    """The largest connected piece of a scene, cropped."""
    pieces, _ = ndimage.label(scene(seed, "none")[0] >= 128)
    number = int(np.bincount(pieces.ravel())[1:].argmax()) + 1
    where = ndimage.find_objects(pieces)[number - 1]
    return pieces[where] == number


def assert_same_up_to_numbers(one: np.ndarray, other: np.ndarray):
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    np.testing.assert_array_equal(one > 0, other > 0)
