"""The nuclei of a batch, found and counted: from a model's outputs to instance counts."""

import dataclasses

import numpy as np

from nucseg_jax.evaluation.instances.image_counts import ImageCounts, count_image
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.class_votes import class_votes
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei


@dataclasses.dataclass(frozen=True)
class NucleusScorer:
    """Finds and counts the nuclei of patches.

    Attributes:
      rule: what counts as a nucleus.
      num_classes: C; 0 = nuclei without classes.
      microns_per_px: of the patches.
    """

    rule: NucleusRule
    num_classes: int
    microns_per_px: float

    def count(
        self, band: Band, truth: np.ndarray, label: np.ndarray, *, index: np.ndarray, group: np.ndarray
    ) -> InstanceCounts:
        """Counts a batch.

        Args:
          band: outputs of N patches, each array with an axis N in front.
          truth: uint16 [N, H, W], ids of the truth.
          label: uint8 [N, H, W].
          index, group: int [N], as in `InstanceCounts`.
        """
        if not len(index):
            return InstanceCounts.empty(self.num_classes)
        arrays = dict(band.present())
        images = [
            self.count_patch(
                Band(**{name: values[position] for name, values in arrays.items()}),
                truth[position],
                label[position],
            )
            for position in range(len(index))
        ]
        return InstanceCounts.of_images(images, index=index.tolist(), group=group.tolist())

    def count_patch(self, band: Band, truth: np.ndarray, label: np.ndarray) -> ImageCounts:
        """Counts one patch; arguments as in `count`, without their axis N."""
        nuclei, class_of = self.find(band)
        return count_image(
            truth,
            label,
            nuclei,
            class_of,
            num_classes=self.num_classes,
            microns_per_px=self.microns_per_px,
        )

    def find(self, band: Band) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the nuclei of one patch, int32 [H, W], and the class of each number, [count + 1]; None without."""
        nuclei = find_nuclei(band.level, band.maps, self.rule, microns_per_px=self.microns_per_px)
        return nuclei, self._classes(nuclei, band)

    def _classes(self, nuclei: np.ndarray, band: Band) -> np.ndarray | None:
        """The class of each number, int64 [count + 1]; None without classes."""
        if not self.num_classes:
            return None
        votes = class_votes(nuclei, band, first=1, count=int(nuclei.max(initial=0)))
        if votes is None:
            return None
        return np.concatenate([[0], votes.argmax(axis=1) + 1])
