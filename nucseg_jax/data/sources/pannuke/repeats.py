"""Patches that hold the image of an earlier one, found by a hash of each patch's uint8 pixels.

Within a fold a repeat gives a patch more weight. Across folds it lets a model be tested on what it was trained on.
A copy that was altered by a single grey level, shifted or turned is another image and is not found. Images of one
colour are not compared: blank glass looks alike everywhere.
"""

import collections
import hashlib
from typing import NamedTuple

import numpy as np

# As many as a message names, and as many pairs of a fold as `audit.json` keeps.
NAMED = 5


class Place(NamedTuple):
    """Place of a patch: its fold, and its row in the fold's arrays."""

    fold: int
    row: int


class Repeats:
    """Remembers the images of a release: about 200 bytes of memory a patch."""

    def __init__(self) -> None:
        self._first: dict[bytes, Place] = {}

    def add(self, place: Place, image: np.ndarray) -> Place | None:
        """Returns where the same image was first, or None.

        Args:
          place: of this patch.
          image: uint8 [H, W, 3], contiguous.
        """
        key = hashlib.sha256(image.data).digest()
        first = self._first.setdefault(key, place)
        if first == place or (image == image[0, 0]).all():
            return None
        return first


class SharedNuclei:
    """Remembers the nuclei of a release, to find masks that were copied from one fold to another."""

    def __init__(self) -> None:
        self._first: dict[bytes, Place] = {}
        self._patches_with_nuclei: collections.Counter[int] = collections.Counter()
        # (Fold, earlier fold) -> masks that both have; a mask counts once, however often it comes.
        self._shared: dict[tuple[int, int], set[bytes]] = {}

    def add(self, place: Place, label: np.ndarray, instance: np.ndarray) -> None:
        """Takes the maps of a patch, uint8 and uint16 [H, W]; those without a nucleus are all alike."""
        if not label.any():
            return
        digest = hashlib.sha256(label.data)
        digest.update(instance.data)
        key = digest.digest()
        first = self._first.setdefault(key, place)
        self._patches_with_nuclei[place.fold] += 1
        if first.fold != place.fold:
            self._shared.setdefault((place.fold, first.fold), set()).add(key)

    def fold_with_the_same(self, fold: int) -> int | None:
        """An earlier fold that has more than half of this one's masks, two different ones at least; or None."""
        for (later, earlier), masks in self._shared.items():
            if later == fold and len(masks) > max(1, self._patches_with_nuclei[fold] / 2):
                return earlier
        return None


def describe(pairs: list[tuple[Place, Place]], count: int) -> str:
    """Names the first few of so many pairs.

    >>> describe([(Place(1, 3), Place(2, 0))], 1)
    'patch 0 of fold 2 is patch 3 of fold 1'
    >>> describe([(Place(1, 3), Place(2, 0)), (Place(1, 4), Place(2, 1))], 9)
    'patch 0 of fold 2 is patch 3 of fold 1, patch 1 of fold 2 is patch 4 of fold 1, and 7 more'
    """
    named = [
        f"patch {later.row} of fold {later.fold} is patch {first.row} of fold {first.fold}"
        for first, later in pairs[:NAMED]
    ]
    more = count - len(named)
    return ", ".join(named) + (f", and {more:,} more" if more > 0 else "")
