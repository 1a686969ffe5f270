"""Images that come out blank, or without a nucleus though tissue is there, get a line; others none."""

import numpy as np
import pytest

from nucseg_jax.inference.output.remarks import Appearance, appearance, remarks


def glass(level: float, noise: float = 3.0) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.clip(random.normal(level, noise, (300, 400, 3)), 0, 255).astype(np.uint8)


def tissue(share: float) -> np.ndarray:
    """Glass, and pale pink stroma over a share of it from the left."""
    image = glass(240).astype(np.int16)
    image[:, : int(share * 400)] += np.array([-10, -50, -25], np.int16)
    return image.clip(0, 255).astype(np.uint8)


def grey_tissue() -> np.ndarray:
    """A quarter of the area, in a picture without colours."""
    image = glass(240).mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    image[:, :96] -= 70
    return image.astype(np.uint8)


def with_hot_pixels(image: np.ndarray) -> np.ndarray:
    """One in two thousand is white."""
    image.reshape(-1, 3)[::2000] = 255
    return image


def with_every(image: np.ndarray, number: int, level: int) -> np.ndarray:
    image.reshape(-1, 3)[::number] = level
    return image


@pytest.mark.parametrize("share", [0.0, 0.002, 0.009])
def test_specks_are_no_tissue(share):
    assert remarks(Appearance(100, 250, share), nuclei=0) == []
    assert remarks(Appearance(100, 250, share + 0.01), nuclei=0)


@pytest.mark.parametrize(
    ("image", "nuclei", "words"),
    [
        (np.zeros((40, 50, 3), np.uint8), 0, "all black"),
        (with_hot_pixels(glass(8)), 0, "all black"),
        (np.full((1, 1, 3), 255, np.uint8), 0, "all white"),
        (glass(245), 0, "all white"),
        # Lines of one in two hundred are something, dust of one in two thousand is not.
        (with_every(glass(8), 200, 255), 1, None),
        (with_every(glass(245), 200, 0), 1, None),
        (with_every(glass(245), 2000, 0), 0, "all white"),
        (np.full((40, 50, 3), 128, np.uint8), 0, "all of one grey level, 128"),
        (tissue(0.5), 0, "no nucleus, although 48% of it looks like tissue"),
        (tissue(1.0), 0, "although 100%"),
        (grey_tissue(), 0, "although 24%"),
        (tissue(0.5), 1, None),
        (glass(225), 0, None),
        (tissue(0.004), 0, None),
    ],
)  # fmt: skip
def test_blank_images_and_tissue_without_nuclei_are_remarked_on(image, nuclei, words):
    said = remarks(appearance(image), nuclei=nuclei)
    assert len(said) == (words is not None)
    assert words is None or words in said[0]
