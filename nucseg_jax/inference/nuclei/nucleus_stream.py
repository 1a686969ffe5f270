"""Nuclei of an image that comes in bands of rows: each is found once, whole, as in the whole image.

A connected piece of foreground that touches the end of the rows seen so far is not finished: it waits, with its rows,
for the next band. All others are parted into nuclei immediately; what comes later cannot change them.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from nucseg_jax.inference.nuclei.find_nuclei import NucleusRule, place


class FoundNuclei(NamedTuple):
    """Nuclei that were finished by a band, and the rows of pixels that hold no unfinished one any more.

    Attributes:
      top: first row of the window.
      nuclei: uint32 [h, W] of the window, only the nuclei that are new: 0, or their numbers from `first` on.
      first: number of the first new nucleus.
      new: how many are new.
      level, classes, image: the window's probability uint8 [h, W], class uint8 [h, W] or None, RGB uint8 [h, W, 3].
      settled: uint32 [h', W], all nuclei in the first rows of the window, which will not be seen again.
    """

    top: int
    nuclei: np.ndarray
    first: int
    new: int
    level: np.ndarray
    classes: np.ndarray | None
    image: np.ndarray
    settled: np.ndarray


class NucleusStream:
    """Takes bands of rows in order; holds the rows of unfinished pieces.

    Args:
      rule: what counts as a nucleus.
      microns_per_px: of the image.
      height: of the image.
    """

    def __init__(self, rule: NucleusRule, *, microns_per_px: float, height: int):
        self._level = rule.threshold_level
        self._neck_px = rule.neck_um / microns_per_px
        self._smallest_px = rule.smallest_um2 / microns_per_px**2
        self._tallest_px = rule.tallest_um / microns_per_px
        self._height = height
        self._found = 0
        self._top = 0
        self._held: tuple[np.ndarray, ...] | None = None

    def push(self, level: np.ndarray, classes: np.ndarray | None, image: np.ndarray) -> FoundNuclei:
        """Takes the next band: level uint8 [h, W], class uint8 [h, W] if there are classes, RGB uint8 [h, W, 3]."""
        arrivals: tuple[np.ndarray, ...] = (
            level >= self._level,
            np.zeros(level.shape, np.uint32),
            level,
            np.zeros((len(level), 0), np.uint8) if classes is None else classes,
            image,
        )
        if self._held is not None:
            arrivals = tuple(np.concatenate(pair) for pair in zip(self._held, arrivals, strict=True))
        unfinished, placed, level, all_classes, image = arrivals
        new = np.zeros(unfinished.shape, np.uint32)
        first = self._found + 1
        kept_from = self._part_finished(unfinished, new)
        placed += new
        found = FoundNuclei(
            top=self._top,
            nuclei=new,
            first=first,
            new=self._found + 1 - first,
            level=level,
            classes=None if classes is None else all_classes,
            image=image,
            settled=placed[:kept_from],
        )
        # Copies, so that a few rows do not keep a whole window in memory.
        self._held = tuple(
            rows[kept_from:].copy() for rows in (unfinished, placed, level, all_classes, image)
        )
        self._top += kept_from
        return found

    def _part_finished(self, unfinished: np.ndarray, new: np.ndarray) -> int:
        """Parts the pieces that are complete and strikes them off; returns the first row that is still needed."""
        rows = len(unfinished)
        is_last = self._top + rows == self._height
        kept_from = rows
        pieces, _ = ndimage.label(unfinished)
        for number, where in enumerate(ndimage.find_objects(pieces), start=1):
            begin, end = where[0].start, where[0].stop
            if end == rows and not is_last and end - begin <= self._tallest_px:
                kept_from = min(kept_from, begin)
                continue
            piece = pieces[where] == number
            self._found += place(
                new[where], piece, self._found, neck_px=self._neck_px, smallest_px=self._smallest_px
            )
            unfinished[where][piece] = False
        return kept_from
