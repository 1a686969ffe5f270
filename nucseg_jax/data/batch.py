"""The batch: what the data side gives and every step takes."""

from typing import Any

from flax import struct

# numpy on the host, jax.Array on the mesh.
Array = Any


class Batch(struct.PyTreeNode):
    """N examples.

    Attributes:
      image: uint8 [N, H, W, 3], RGB.
      label: uint8 [N, H, W], 0 background, 1.. the data set's classes, `VOID_LABEL` = not annotated.
      valid: bool [N], False = padding, to be ignored.
      index: int32 [N]. In training the example's number (patch and tile); in evaluation the position in the
        split's index list.
      group: int32 [N], position in the data set's `groups`.
    """

    image: Array
    label: Array
    valid: Array
    index: Array
    group: Array
