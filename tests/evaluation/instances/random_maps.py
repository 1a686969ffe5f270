"""Random images of a few touching, overlapping and lone nuclei, with a prediction that has some of them right."""

from typing import NamedTuple

import numpy as np

PX = 24
NUM_CLASSES = 5


class Image(NamedTuple):
    """Arguments of `count_image`."""

    truth: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    prediction_class: np.ndarray


def random_image(seed: int, *, has_void: bool = False, nuclei: int = 6) -> Image:
    """Ids have gaps; every seventh image has no truth, every fifth no prediction."""
    rng = np.random.default_rng(seed)
    truth: np.ndarray = np.zeros((PX, PX), np.uint16)
    label: np.ndarray = np.zeros((PX, PX), np.uint8)
    prediction: np.ndarray = np.zeros((PX, PX), np.uint32)
    prediction_class = rng.integers(0, NUM_CLASSES + 1, 200).astype(np.uint8)
    ids = rng.permutation(np.arange(1, 200))
    for number in range(rng.integers(1, nuclei + 1)):
        top, left = rng.integers(0, PX - 8, 2)
        height, width = rng.integers(2, 9, 2)
        if seed % 7:
            place = np.s_[top : top + height, left : left + width]
            truth[place] = ids[number]
            label[place] = rng.integers(1, NUM_CLASSES + 1)
        if seed % 5:
            top, left = np.clip(np.array([top, left]) + rng.integers(-2, 3, 2), 0, PX - 8)
            place = np.s_[top : top + max(2, height + rng.integers(-1, 2)), left : left + width]
            prediction[place] = ids[-number - 1]
            if rng.random() < 0.7 and seed % 7:
                prediction_class[ids[-number - 1]] = label[top, left]
    if has_void:
        label[:, : rng.integers(0, PX // 2)] = 255
    return Image(truth, label, prediction, prediction_class)


def random_stack(rng: np.random.Generator, *, like: np.ndarray | None = None) -> np.ndarray:
    """int32 [PX, PX, 6] of overlapping nuclei; of `like`, shifted a little and with some ids lost."""
    if like is not None:
        stack = np.roll(like, rng.integers(-1, 2, 2), axis=(0, 1))
        return np.where(rng.random(np.max(like) + 1)[stack] < 0.2, 0, stack).astype(np.int32)
    stack = np.zeros((PX, PX, 6), np.int32)
    for number in rng.permutation(np.arange(1, 60))[: rng.integers(0, 9)]:
        top, left, channel = *rng.integers(0, PX - 8, 2), rng.integers(0, 5)
        stack[top : top + rng.integers(2, 9), left : left + rng.integers(2, 9), channel] = number
    return stack
