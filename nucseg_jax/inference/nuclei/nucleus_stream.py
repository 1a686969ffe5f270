"""Nuclei of an image that comes in bands of rows: each is found once, whole, as in the whole image.

A connected piece of foreground that touches the end of the rows seen so far is not finished: it waits, with its rows,
for the next band. All others are parted into nuclei immediately; what comes later cannot change them.

A row that waits takes 10 bytes a pixel, one more for each map and each class.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, place


class FoundNuclei(NamedTuple):
    """Nuclei that were finished by a band, and the rows of pixels that hold no unfinished one any more.

    Attributes:
      top: first row of the window.
      nuclei: uint32 [h, W] of the window, only the nuclei that are new: 0, or their numbers from `first` on.
      first: number of the first new nucleus.
      new: how many are new.
      band: the window's outputs.
      image: of the window, RGB uint8 [h, W, 3].
      settled: uint32 [h', W], all nuclei in the first rows of the window, which will not be seen again.
    """

    top: int
    nuclei: np.ndarray
    first: int
    new: int
    band: Band
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
        self._rule = rule
        self._microns_per_px = microns_per_px
        self._tallest_px = rule.tallest_um / microns_per_px
        self._height = height
        self._found = 0
        self._top = 0
        self._held: dict[str, np.ndarray] = {}

    def push(self, band: Band, image: np.ndarray) -> FoundNuclei:
        """Takes the next band.

        Args:
          band: outputs on its rows; every band has the same ones, and maps as the rule's `parting` needs them.
          image: uint8 [h, W, 3], RGB.

        Raises:
          UserError: the rule needs other maps.
        """
        level = band.level
        arrived: dict[str, np.ndarray] = {
            **dict(band.present()),
            "maps": self._rule.require_maps(level.shape, band.maps),
            "image": image,
            "unfinished": level >= self._rule.threshold_level,
            "placed": np.zeros(level.shape, np.uint32),
        }
        if self._held:
            arrived = {name: np.concatenate([self._held[name], rows]) for name, rows in arrived.items()}
        new = np.zeros(arrived["level"].shape, np.uint32)
        first = self._found + 1
        kept_from = self._part_finished(arrived["unfinished"], arrived["maps"], new)
        arrived["placed"] += new
        found = FoundNuclei(
            top=self._top,
            nuclei=new,
            first=first,
            new=self._found + 1 - first,
            band=Band(**{name: arrived[name] for name, _ in band.present()}),
            image=arrived["image"],
            settled=arrived["placed"][:kept_from],
        )
        # Copies, so that a few rows do not keep a whole window in memory.
        self._held = {name: rows[kept_from:].copy() for name, rows in arrived.items()}
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
