"""A model that is one line of numpy."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ByColour:
    """Dark is nucleus; its class is 1 + the green level modulo the number of classes."""

    channels: int
    map_channels = 0
    batch_size: int = 4

    def start(self, tiles):
        probability = np.zeros((self.batch_size, 64, 64, self.channels), np.float32)
        for tile, result in zip(tiles, probability, strict=False):
            chosen = np.eye(self.channels, dtype=np.float32)[tile[..., 1] % self.channels]
            result[:] = chosen * np.where(tile[..., :1] < 100, 0.9, 0.1)
        return probability
