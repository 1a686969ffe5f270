"""The eight symmetries of the square, as moves of pixels: flips of rows and of columns, then a transposition."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nucseg_jax.core.errors import UserError

# One boolean, or one for each example of a batch, bool [N].
Choice = bool | jax.Array


class Symmetry(NamedTuple):
    """A symmetry of the square; it moves an image that is no square too, to one of height W where it transposes.

    Attributes:
      rows: the order of rows is reversed.
      columns: the order of columns is reversed.
      transposed: rows and columns are exchanged, after the flips.
    """

    rows: Choice
    columns: Choice
    transposed: Choice

    def inverse(self) -> "Symmetry":
        """Returns the symmetry that brings back what this one moved; `transposed` must be a Python boolean."""
        return Symmetry(self.columns, self.rows, True) if self.transposed else self


SYMMETRIES = tuple(
    Symmetry(rows, columns, transposed)
    for transposed in (False, True)
    for rows in (False, True)
    for columns in (False, True)
)
"""All eight, the identity first; `SYMMETRIES[:4]` keep rows rows."""

VIEWS = (1, len(SYMMETRIES))
"""Numbers of views that a model's outputs can be averaged over: the image as it is, or all its symmetries."""


def check_views(views: int) -> None:
    """Raises UserError unless `views` is one of `VIEWS`."""
    if views not in VIEWS:
        raise UserError(
            f"the number of views is {views!r}",
            expected="1, the image as it is, or 8, the mean over all flips and quarter turns",
        )


def move(pixels: jax.Array, symmetry: Symmetry) -> jax.Array:
    """Moves the pixels of images.

    Args:
      pixels: [N, H, W, ...], any dtype.
      symmetry: the same for all examples, or one for each. H = W is needed where `transposed` is an array.

    Returns:
      [N, H, W, ...], or [N, W, H, ...] where it is transposed, of the same dtype.
    """
    rows, columns, transposed = symmetry
    pixels = _where(rows, pixels[:, ::-1], pixels)
    pixels = _where(columns, pixels[:, :, ::-1], pixels)
    return _where(transposed, jnp.swapaxes(pixels, 1, 2), pixels)


def _where(choice: Choice, moved: jax.Array, pixels: jax.Array) -> jax.Array:
    if isinstance(choice, bool):
        return moved if choice else pixels
    return jnp.where(choice.reshape((-1,) + (1,) * (pixels.ndim - 1)), moved, pixels)
