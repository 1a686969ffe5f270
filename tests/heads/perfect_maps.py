"""Target maps of instance heads by loops over nuclei, from their definitions."""

import numpy as np
from scipy import ndimage


def hover_maps(instance: np.ndarray) -> np.ndarray:
    """Float64 [H, W, 2] of integer [H, W]: horizontal, vertical."""
    maps = np.zeros((*instance.shape, 2))
    for number in np.unique(instance[instance > 0]):
        rows, columns = np.nonzero(instance == number)
        for channel, place in enumerate((columns, rows)):
            off = place - place.mean()
            for side in (off > 0, off < 0):
                if side.any():
                    maps[rows[side], columns[side], channel] = off[side] / np.abs(off[side]).max()
    return maps


def distance_map(instance: np.ndarray) -> np.ndarray:
    """Float64 [H, W, 1] of integer [H, W]."""
    maps = np.zeros((*instance.shape, 1))
    for number in np.unique(instance[instance > 0]):
        inside = instance == number
        distance = ndimage.distance_transform_edt(inside) if not inside.all() else np.ones(inside.shape)
        maps[inside, 0] = distance[inside] / distance.max()
    return maps
