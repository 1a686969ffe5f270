"""Seeds to nuclei: what the decoders of instance heads share."""

import numpy as np
from skimage.measure import label
from skimage.segmentation import watershed


def flood_seeds(piece: np.ndarray, seeds: np.ndarray, landscape: np.ndarray) -> np.ndarray:
    """Parts a piece by a watershed from seeds; a piece with one seed, or none, is one nucleus.

    Foreground that no seed stands for is kept: dropping it costs .03 of bPQ on perfect maps.

    Args:
      piece: bool [h, w], 4-connected.
      seeds: int [h, w]: 0, or the number of a seed, 1, 2, ...; inside the piece.
      landscape: float [h, w], flooded upwards from the seeds over 4-connected pixels of the piece.

    Returns:
      int32 [h, w]: 0 outside the piece, else 1, 2, ...; each 4-connected.
    """
    if seeds.max(initial=0) < 2:
        return piece.astype(np.int32)
    regions = watershed(landscape, seeds, mask=piece, connectivity=1)
    # A seed of pixels that meet at corners only may have grown into two regions.
    return np.asarray(label(regions, connectivity=1), np.int32)
