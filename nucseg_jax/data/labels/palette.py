"""Palettes of label rasters, whose positions are ids or classes and whose colours mean nothing."""

import numpy as np

from nucseg_jax.core.errors import UserError


def require_ordered_palette(positions: np.ndarray, colours: np.ndarray) -> None:
    """Raises UserError for a palette of greys that do not rise with their positions.

    Programs that write labels number the positions (0 = background, in any colour). Programs that shrink pictures sort
    greys as they like: a mask may then have its nuclei at position 0.

    Args:
      positions: uint8 [H, W].
      colours: uint8 [K, 3], or of any integer dtype.
    """
    used = np.unique(positions)
    if used.size and int(used[-1]) >= len(colours):
        raise UserError(
            f"pixels have the colour {used[-1]} of a palette of {len(colours)}", advice="save it again"
        )
    chosen = colours[used].astype(np.int64)
    is_grey = (chosen[:, 0] == chosen[:, 1]).all() and (chosen[:, 1] == chosen[:, 2]).all()
    if is_grey and (np.diff(chosen[:, 0]) <= 0).any():
        raise UserError(
            "its palette holds greys that do not rise: whether its positions or its greys are meant is not known",
            advice="save it as grey levels without a palette",
        )
