"""The instance counts of a split, image by image: every instance score is computed from them, and from nothing else.

Letters: N images; C classes, K = 1 + C columns: column 0 is any nucleus, column c class c.

    count_image(...), ...  --of_images-->  InstanceCounts of a batch  --merge-->  InstanceCounts of a split
                           .scores(info)   {"instances": {"tissue": {"bpq": ...}, ...}}

No ratio is taken before everything is merged, and merging sorts by `index`: neither batch size nor order changes a
digit.
"""

import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np

from nucseg_jax.core.results import Entry
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.instances.detection import CELLS
from nucseg_jax.evaluation.instances.image_counts import ImageCounts
from nucseg_jax.evaluation.instances.instance_scores import instance_scores


@dataclasses.dataclass(frozen=True, eq=False)
class InstanceCounts:
    """Counts of N images on the host, sorted by `index`, each index once.

    Attributes:
      index: int32 [N], position in the split's index list.
      group: int32 [N], position in the data set's `groups`.
      images: what `count_image` gave, stacked: each field of `ImageCounts` with an axis N in front.
    """

    index: np.ndarray
    group: np.ndarray
    images: ImageCounts

    @classmethod
    def empty(cls, num_classes: int) -> Self:
        """Returns the counts of no image of a data set of C classes."""
        return cls.zeros(0, num_classes)

    @classmethod
    def zeros(cls, image_count: int, num_classes: int) -> Self:
        """Returns counts of N images of C classes, all 0, in arrays of their own: to be filled in."""
        N, K = image_count, num_classes + 1
        images = ImageCounts(
            is_annotated=np.zeros(N, bool),
            tp=np.zeros((N, K), np.int64),
            fp=np.zeros((N, K), np.int64),
            fn=np.zeros((N, K), np.int64),
            iou_sum=np.zeros((N, K)),
            aji=np.zeros((N, 2), np.int64),
            aji_plus=np.zeros((N, 2), np.int64),
            dice2=np.zeros((N, 2), np.int64),
            detection=np.zeros((N, K, len(CELLS)), np.int64),
            detection_parity=np.zeros((N, K, len(CELLS)), np.int64),
        )
        return cls(np.zeros(N, np.int32), np.zeros(N, np.int32), images)

    @classmethod
    def of_images(cls, images: Sequence[ImageCounts], *, index: Sequence[int], group: Sequence[int]) -> Self:
        """Returns the counts of some images, at least one.

        Args:
          images: of each.
          index: position of each in the split's index list, at least 0.
          group: of each, position in the data set's `groups`.

        Raises:
          ValueError: lengths or numbers of classes differ, no image, or an index below 0 or twice.
        """
        if not len(images) == len(index) == len(group) or not images:
            raise ValueError(f"{len(images)} counts, {len(index)} indices and {len(group)} groups")
        if len({each.tp.shape for each in images}) > 1:
            raise ValueError("the images were counted with different numbers of classes")
        stacked = ImageCounts(*(np.stack(field) for field in zip(*images, strict=True)))
        return cls._sorted(np.asarray(index, np.int32), np.asarray(group, np.int32), stacked)

    def merge(self, other: Self) -> Self:
        """Returns the counts of the images of both.

        Raises:
          ValueError: an index is in both, or the numbers of classes differ.
        """
        if self.num_classes != other.num_classes:
            raise ValueError(f"the numbers of classes are {self.num_classes} and {other.num_classes}")
        both = zip(self.images, other.images, strict=True)
        return self._sorted(
            np.concatenate([self.index, other.index]),
            np.concatenate([self.group, other.group]),
            ImageCounts(*(np.concatenate(fields) for fields in both)),
        )

    @property
    def num_classes(self) -> int:
        """C."""
        return int(self.images.tp.shape[1]) - 1

    def scores(self, info: DatasetInfo) -> Entry:
        """Computes all instance scores; see `instance_scores.instance_scores`."""
        return instance_scores(self.images, self.group, info)

    @classmethod
    def _sorted(cls, index: np.ndarray, group: np.ndarray, images: ImageCounts) -> Self:
        order = np.argsort(index, kind="stable")
        index = index[order]
        repeated = np.unique(index[1:][index[1:] == index[:-1]])
        if len(repeated) or (len(index) and index[0] < 0):
            wrong = repeated[:5].tolist() or int(index[0])
            raise ValueError(f"index {wrong} is below 0 or comes more than once; every image counts once")
        return cls(index, group[order], ImageCounts(*(field[order] for field in images)))
