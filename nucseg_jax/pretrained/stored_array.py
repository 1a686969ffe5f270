"""Arrays of weights files: arrays by name that are not read until they are asked for.

Names and shapes are compared before any array is read, so a file that claims a terabyte costs nothing.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nucseg_jax.core.strict_json import JsonObject


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes:
      name: what the file calls it.
      shape, dtype: what the file states of it; the dtype by name: 'float32', 'bfloat16'.
      read: reads it.
      conversion: what `read` does to it beyond reading, in words; empty for nothing.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]
    conversion: str = ""

    def transposed(self, axes: Sequence[int], conversion: str) -> "StoredArray":
        """The same with its axes in another order."""
        return dataclasses.replace(
            self,
            shape=tuple(self.shape[axis] for axis in axes),
            read=lambda: np.transpose(self.read(), axes),
            conversion=conversion,
        )

    def reshaped(self, shape: tuple[int, ...], conversion: str) -> "StoredArray":
        """The same values in the same order with another shape."""
        return dataclasses.replace(
            self, shape=shape, read=lambda: np.reshape(self.read(), shape), conversion=conversion
        )


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """An opened file of weights.

    Attributes:
      kind: what sort of file, in words: 'Keras HDF5, weights only'.
      arrays: by name, in Keras's manner 'conv1_bn/gamma' or PyTorch's 'bn1.weight'. Where a Keras file gives no
        layer names but counters of layer classes, 'layers/batch_normalization_3/vars/0'.
      config: the model's configuration as Keras writes it, if the file has one.
      also: other things in the file that are no weights of layers: 'optimizer'.
    """

    kind: str
    arrays: Mapping[str, StoredArray]
    config: JsonObject | None = None
    also: tuple[str, ...] = ()
