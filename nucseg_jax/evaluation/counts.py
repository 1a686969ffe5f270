"""The counts of a split, image by image, from which every score is computed.

Letters as in `ops/counts.py`: N images, K counted classes, 4 = (TP, FP, FN, TN).

    batches of 16, 16, 3 valid  --from_batch-->  three Counts  --merge-->  one Counts of 35 images
                                .scores(info)  {"micro": {"dice": ...}, "image_zero": ..., ...}

No ratio is taken before everything is merged, and merging sorts by `index`, so that neither batch size nor
the order in which batches, devices or hosts report can change a digit of the result.
"""

import math
from collections.abc import Mapping
from typing import Self, TypedDict, Unpack

import flax.struct
import numpy as np
from clu import metrics

from nucseg_jax.core.arrays import Array
from nucseg_jax.core.results import Entry, Scores
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.scores import class_scores, split_scores


class BatchOutputs(TypedDict):
    """The arguments of `Counts.from_batch`."""

    counts: Array
    index: Array
    group: Array
    losses: Mapping[str, Array]
    valid: Array


@flax.struct.dataclass
class Counts(metrics.Metric):
    """Counts of N images on the host, sorted by `index`, each index once.

    Attributes:
      counts: int32 [N, K, 4], TP, FP, FN, TN; all 0 where no pixel is annotated: such an image counts nowhere.
      index: int32 [N], position in the split's index list.
      group: int32 [N], position in the data set's `groups`.
      losses: {name: float32 [N]}, such as `dice_loss` of each image.
    """

    counts: np.ndarray
    index: np.ndarray
    group: np.ndarray
    losses: dict[str, np.ndarray]

    @classmethod
    def empty(cls) -> Self:
        """Returns the counts of no image; merged with any others, whatever their K, they give those."""
        return cls(
            counts=np.zeros((0, 1, 4), np.int32),
            index=np.zeros(0, np.int32),
            group=np.zeros(0, np.int32),
            losses={},
        )

    @classmethod
    def from_batch(
        cls, *, counts: Array, index: Array, group: Array, losses: Mapping[str, Array], valid: Array
    ) -> Self:
        """Returns the counts of the valid rows of one batch, fetched to the host.

        Args:
          counts: int32 [N, K, 4], from `ops.counts`; like all arguments a numpy array, or a jax.Array whose
            rows this process can read.
          index: int32 [N].
          group: int32 [N].
          losses: {name: float32 [N]}.
          valid: bool [N]; rows with False are padding and are left out, whatever the other arrays say there.

        Raises:
          ValueError: lengths differ, `counts` is not integer [N, K, 4], one that is valid is negative or does not fit
            32 bits, or a valid index comes twice.
        """
        counts = np.asarray(counts)
        rows = np.asarray(valid, bool)
        columns = {"index": np.asarray(index), "group": np.asarray(group)}
        by_name = {name: np.asarray(values) for name, values in losses.items()}
        if counts.ndim != 3 or counts.shape[-1] != 4 or not np.issubdtype(counts.dtype, np.integer):
            raise ValueError(f"counts are {counts.dtype} {counts.shape}; expected integer [N, K, 4]")
        for name, column in {"valid": rows, **columns, **by_name}.items():
            if column.shape != counts.shape[:1]:
                raise ValueError(f"{name} has shape {column.shape}; expected {counts.shape[:1]}")
        if (counts[rows] < 0).any() or (counts[rows] > np.iinfo(np.int32).max).any():
            raise ValueError("counts below 0, or of 2^31 pixels and more")
        return cls._sorted(
            counts[rows].astype(np.int32),
            columns["index"][rows].astype(np.int32),
            columns["group"][rows].astype(np.int32),
            {name: values[rows].astype(np.float32) for name, values in by_name.items()},
        )

    @classmethod
    def from_model_output(cls, **outputs: Unpack[BatchOutputs]) -> Self:
        """Does the same as `from_batch`, under the name that clu uses."""
        return cls.from_batch(**outputs)

    def merge(self, other: Self) -> Self:
        """Returns the counts of the images of both.

        Raises:
          ValueError: an index is in both, or the numbers of classes or the names of losses differ.
        """
        if not len(self.index):
            return other
        if not len(other.index):
            return self
        if self.counts.shape[1] != other.counts.shape[1]:
            raise ValueError(f"counts of {self.counts.shape[1]} and of {other.counts.shape[1]} classes")
        if self.losses.keys() != other.losses.keys():
            raise ValueError(f"losses {', '.join(self.losses)} and {', '.join(other.losses)}")
        return self._sorted(
            np.concatenate([self.counts, other.counts]),
            np.concatenate([self.index, other.index]),
            np.concatenate([self.group, other.group]),
            {name: np.concatenate([values, other.losses[name]]) for name, values in self.losses.items()},
        )

    def scores(self, info: DatasetInfo) -> Entry:
        """Computes all conventions of nucleus against background, and of each class; see `scores.split_scores`."""
        return split_scores(self.counts, self.group, info)

    def compute(self) -> dict[str, Scores]:
        """Computes nucleus against background in every convention, under the name that clu uses."""
        return class_scores(self.counts[:, 0].astype(np.int64), self.group, group_noun="group")

    def mean_losses(self) -> dict[str, float | None]:
        """Averages each loss over the images with an annotated pixel, rounded once; None without or if not finite."""
        is_annotated = self.counts[:, 0].any(axis=-1)
        return {name: _mean_if_finite(values[is_annotated]) for name, values in self.losses.items()}

    def mean_losses_with_nuclei(self) -> dict[str, float | None]:
        """Averages each loss as `mean_losses` does, over the images whose truth holds a nucleus."""
        has_nucleus = self.counts[:, 0, 0] + self.counts[:, 0, 2] > 0
        return {name: _mean_if_finite(values[has_nucleus]) for name, values in self.losses.items()}

    @classmethod
    def _sorted(
        cls, counts: np.ndarray, index: np.ndarray, group: np.ndarray, losses: dict[str, np.ndarray]
    ) -> Self:
        order = np.argsort(index, kind="stable")
        index = index[order]
        repeated = np.unique(index[1:][index[1:] == index[:-1]])
        if len(repeated):
            raise ValueError(f"index {repeated[:5].tolist()} comes more than once; every image counts once")
        return cls(
            counts=counts[order],
            index=index,
            group=group[order],
            losses={name: values[order] for name, values in losses.items()},
        )


def _mean_if_finite(values: np.ndarray) -> float | None:
    if not len(values) or not np.isfinite(values).all():
        return None
    return math.fsum(values.tolist()) / len(values)
