"""The batch: what the data side gives and every step takes."""

from typing import Generic, TypeVar

from flax import struct

# np.ndarray on the host, jax.Array on the mesh; or what stands for them, such as a sharding.
Leaf = TypeVar("Leaf")


class Batch(struct.PyTreeNode, Generic[Leaf]):
    """N examples.

    Attributes:
      image: uint8 [N, H, W, 3], RGB.
      label: uint8 [N, H, W], 0 background, 1.. the data set's classes, `VOID_LABEL` = not annotated.
      valid: bool [N], False = padding, to be ignored.
      index: int32 [N]. In training the example's number, see `data.order`; in evaluation the position in the split's
        index list.
      group: int32 [N], position in the data set's `groups`.
      instance: uint16 [N, H, W], ids of the nuclei of each patch, 0 = background or not annotated; None where the
        model has no instance head.
    """

    image: Leaf
    label: Leaf
    valid: Leaf
    index: Leaf
    group: Leaf
    instance: Leaf | None = None
