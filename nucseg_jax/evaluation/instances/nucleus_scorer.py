"""The nuclei of patches, found and counted: from a model's outputs to counts. Imports no JAX, for quick workers."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from nucseg_jax.evaluation.instances.image_counts import ImageCounts, count_image
from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.class_votes import class_votes
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.in_processes import map_in_processes


class TruePatch(NamedTuple):
    """Outputs of the model on a patch, and its truth.

    Attributes:
      band: outputs on the whole patch.
      truth: uint16 [H, W], ids of the truth.
      label: uint8 [H, W].
    """

    band: Band
    truth: np.ndarray
    label: np.ndarray


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

    def count_patches(self, patches: Iterable[TruePatch], *, workers: int = 1) -> Iterator[ImageCounts]:
        """Yields the counts of each patch, in order, whatever the number of workers.

        Args:
          patches: taken as they are needed.
          workers: processes; see `map_in_processes`.
        """
        return map_in_processes(self.count_patch, patches, workers=workers)

    def count_patch(self, patch: TruePatch) -> ImageCounts:
        """Counts one patch."""
        nuclei, class_of = self.find(patch.band)
        return count_image(
            patch.truth,
            patch.label,
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
