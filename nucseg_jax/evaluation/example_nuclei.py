"""Nuclei of example patches, annotated and predicted, as they are scored: stored beside the patches' masks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np

from nucseg_jax.evaluation.instances.image_counts import classified_pair
from nucseg_jax.evaluation.instances.instance_map import InstanceMap

_PREFIX = "nuclei_"


class ExampleNuclei(NamedTuple):
    """Nuclei of K patches; in pixels that nobody annotated there are none.

    Attributes:
      truth, prediction: int32 [K, H, W], 0 = background, nuclei from 1 in each patch.
      truth_class, prediction_class: uint8 [K, H, W], class 1..C of each pixel's nucleus; 0 = background, a nucleus
        without a class, or a model without classes.
    """

    truth: np.ndarray
    prediction: np.ndarray
    truth_class: np.ndarray
    prediction_class: np.ndarray

    def take(self, numbers: np.ndarray) -> Self:
        """Returns the patches at these numbers."""
        return type(self)(*(values[numbers] for values in self))

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Returns the arrays under their names in a file."""
        return {f"{_PREFIX}{name}": values for name, values in self._asdict().items()}


def nuclei_of_patch(
    truth: np.ndarray,
    label: np.ndarray,
    prediction: np.ndarray,
    prediction_class: np.ndarray | None,
    *,
    num_classes: int,
) -> tuple[np.ndarray, ...]:
    """Returns the fields of `ExampleNuclei` of one patch, [H, W] each; arguments as of `classified_pair`."""
    scored = classified_pair(truth, label, prediction, prediction_class, num_classes=num_classes)

    def painted(nuclei: InstanceMap, classes: np.ndarray) -> np.ndarray:
        of_number: np.ndarray = np.zeros(nuclei.nucleus_count + 1, np.uint8)
        of_number[1:] = classes if num_classes else 0
        class_map: np.ndarray = of_number[nuclei.number]
        return class_map

    return (
        scored.truth.number,
        scored.prediction.number,
        painted(scored.truth, scored.truth_class),
        painted(scored.prediction, scored.prediction_class),
    )


def stacked(patches: Sequence[tuple[np.ndarray, ...]]) -> ExampleNuclei:
    """Returns the nuclei of K >= 1 patches, from `nuclei_of_patch`."""
    return ExampleNuclei(*(np.stack(field) for field in zip(*patches, strict=True)))


def read_nuclei(
    arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], class_count: int
) -> ExampleNuclei | None:
    """Takes the nuclei out of the arrays of a file; None where it has none, as those of earlier versions.

    Args:
      arrays: by their names in the file.
      shape: (K, H, W) of the patches.
      class_count: of the data set.

    Raises:
      ValueError, KeyError: arrays are missing, or of another shape, type or range.
    """
    if not any(name.startswith(_PREFIX) for name in arrays):
        return None
    nuclei = ExampleNuclei(*(arrays[f"{_PREFIX}{name}"] for name in ExampleNuclei._fields))
    for name, values in nuclei._asdict().items():
        is_class = name.endswith("_class")
        if values.shape != shape or values.dtype != (np.uint8 if is_class else np.int32):
            raise ValueError("nuclei of other sizes or types")
        most = class_count if is_class else shape[1] * shape[2]
        if values.size and not 0 <= int(values.min()) <= int(values.max()) <= most:
            raise ValueError("nuclei of unknown classes, or more than pixels")
    return nuclei
