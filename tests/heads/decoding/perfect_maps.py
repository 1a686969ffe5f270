"""Maps that a perfect instance head would give, by definition and slowly; and touching nuclei to make them of."""

import numpy as np


def hover(instance: np.ndarray) -> np.ndarray:
    """float32 [H, W, 2]: horizontal and vertical position in the nucleus, -1..1 from its mean pixel; 0 outside."""
    maps = np.zeros((*instance.shape, 2), np.float32)
    for number in np.unique(instance[instance > 0]):
        rows, columns = np.nonzero(instance == number)
        for channel, position in enumerate((columns, rows)):
            offset = position - position.mean()
            for side in (offset > 0, offset < 0):
                if side.any():
                    maps[rows[side], columns[side], channel] = offset[side] / np.abs(offset[side]).max()
    return maps


def distance(instance: np.ndarray) -> np.ndarray:
    """float32 [H, W, 1]: distance to the nearest pixel of anything else over its maximum; 0 outside.

    The nearest of them is a 4-neighbour of the nucleus. The edge of the patch is no border.
    """
    maps = np.zeros((*instance.shape, 1), np.float32)
    padded = np.pad(instance.astype(np.int64), 1, constant_values=-1)
    for number in np.unique(instance[instance > 0]):
        mask = padded == number
        near = np.zeros_like(mask)
        for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
            near |= np.roll(mask, shift, axis)
        inside, border = np.argwhere(mask), np.argwhere(near & ~mask & (padded >= 0))
        if len(border):
            squares = ((inside[:, None] - border[None]) ** 2).sum(axis=-1).min(axis=1)
            value = np.sqrt(squares / squares.max())
        else:
            value = np.ones(len(inside))
        maps[inside[:, 0] - 1, inside[:, 1] - 1, 0] = value
    return maps


PERFECT = {"hover": hover, "distance": distance}


def level_of(instance: np.ndarray) -> np.ndarray:
    """uint8 [H, W], 255 on nuclei and 0 elsewhere."""
    return np.where(instance > 0, 255, 0).astype(np.uint8)


def touching_discs(seed: int, size: int = 128, count: int = 25) -> np.ndarray:
    """int32 [H, W]: discs of 6 to 12 px radius, each on top of the ones before, cut by the edges; no scraps."""
    rng = np.random.default_rng(seed)
    instance = np.zeros((size, size), np.int32)
    y, x = np.indices(instance.shape)
    for number in range(1, count + 1):
        row, column = rng.integers(0, size, 2)
        disc = (y - row) ** 2 + (x - column) ** 2 <= rng.uniform(6, 12) ** 2
        # Only discs that leave most of the others visible, as nuclei in a section do.
        if np.count_nonzero(disc & (instance > 0)) < 0.1 * np.count_nonzero(disc):
            instance[disc] = number
    return instance
