"""Random arrays and images that every machine and numpy version draws alike, so that none need storing.

Values come from numpy's legacy generator, whose stream is frozen, seeded by the CRC-32 of what they are for, and
only by operations that are exact everywhere.
"""

import zlib

import numpy as np


def generator(name: str) -> np.random.RandomState:
    """The stream of `name`."""
    return np.random.RandomState(zlib.crc32(name.encode()))


def uniform(name: str, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """float32 of that shape, low <= x < high."""
    return (low + (high - low) * generator(name).random_sample(shape)).astype(np.float32)


def integers(name: str, shape: tuple[int, ...] | int, low: int, high: int) -> np.ndarray:
    """int64 of that shape, low <= x < high."""
    return low + np.floor((high - low) * generator(name).random_sample(shape)).astype(np.int64)


def frozen_images(N: int, H: int, W: int) -> np.ndarray:
    """uint8 [N, H, W, 3]: patches of 8 px in one colour each, under noise; bright, as tissue on glass is."""
    name = f"image {N} {H} {W}"
    patches = integers(name, (N, -(-H // 8), -(-W // 8), 3), 90, 216)
    noise = integers(f"{name} noise", (N, H, W, 3), -40, 40)
    return (patches.repeat(8, axis=1).repeat(8, axis=2)[:, :H, :W] + noise).astype(np.uint8)
