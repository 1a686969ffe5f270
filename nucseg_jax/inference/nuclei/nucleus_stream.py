"""Nuclei of an image that comes in bands of rows: each is found once, whole, as in the whole image.

A connected piece of foreground that touches the end of the rows seen so far is not finished: it waits, with its rows,
for the next band. All others are parted into nuclei immediately; what comes later cannot change them.

A row that waits takes 10 bytes a pixel, one more for each map and each class.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, place


class FoundNuclei(NamedTuple):
    """Nuclei that were finished by a band, and the rows of pixels that hold no unfinished one any more.

    Attributes:
      top: first row of the window.
      nuclei: uint32 [h, W] of the window, only the nuclei that are new: 0, or their numbers from `first` on.
      first: number of the first new nucleus.
      new: how many are new.
      level, classes, image: the window's probability uint8 [h, W], class uint8 [h, W] or None, RGB uint8 [h, W, 3].
      settled: uint32 [h', W], all nuclei in the first rows of the window, which will not be seen again.
      class_levels: the window's probability of each class uint8 [h, W, C], or None; see `measure_nuclei`.
    """

    top: int
    nuclei: np.ndarray
    first: int
    new: int
    level: np.ndarray
    classes: np.ndarray | None
    image: np.ndarray
    settled: np.ndarray
    class_levels: np.ndarray | None = None


class NucleusStream:
    """Takes bands of rows in order; holds the rows of unfinished pieces.

    Args:
      rule: what counts as a nucleus.
      microns_per_px: of the image.
      height: of the image.
    """

    def __init__(self, rule: NucleusRule, *, microns_per_px: float, height: int):
        self._rule = rule
        self._microns_per_px = microns_per_px
        self._tallest_px = rule.tallest_um / microns_per_px
        self._height = height
        self._found = 0
        self._top = 0
        self._held: tuple[np.ndarray, ...] | None = None

    def push(
        self,
        level: np.ndarray,
        classes: np.ndarray | None,
        image: np.ndarray,
        maps: np.ndarray | None = None,
        class_levels: np.ndarray | None = None,
    ) -> FoundNuclei:
        """Takes the next band.

        Args:
          level: uint8 [h, W], probability of any nucleus in 255ths.
          classes: uint8 [h, W], 1..C, if there are classes.
          image: uint8 [h, W, 3], RGB.
          maps: int8 [h, W, M] from `quantize.map_levels`, as the rule's `parting` needs them; None if it needs none.
          class_levels: uint8 [h, W, C] from `quantize.class_levels`, if the table of nuclei shall have
            `class_probability`. Every band has them or none.

        Raises:
          UserError: the rule needs other maps.
        """
        rows = len(level)
        arrivals: tuple[np.ndarray, ...] = (
            level >= self._rule.threshold_level,
            np.zeros(level.shape, np.uint32),
            self._rule.require_maps(level.shape, maps),
            level,
            np.zeros((rows, 0), np.uint8) if classes is None else classes,
            image,
            np.zeros((rows, 0), np.uint8) if class_levels is None else class_levels,
        )
        if self._held is not None:
            arrivals = tuple(np.concatenate(pair) for pair in zip(self._held, arrivals, strict=True))
        unfinished, placed, all_maps, level, all_classes, image, all_class_levels = arrivals
        new = np.zeros(unfinished.shape, np.uint32)
        first = self._found + 1
        kept_from = self._part_finished(unfinished, all_maps, new)
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
            class_levels=None if class_levels is None else all_class_levels,
        )
        # Copies, so that a few rows do not keep a whole window in memory.
        self._held = tuple(rows[kept_from:].copy() for rows in arrivals)
        self._top += kept_from
        return found

    def _part_finished(self, unfinished: np.ndarray, maps: np.ndarray, new: np.ndarray) -> int:
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
                new[where],
                piece,
                maps[where],
                self._found,
                rule=self._rule,
                microns_per_px=self._microns_per_px,
            )
            unfinished[where][piece] = False
        return kept_from
