"""Refuses a fold whose arrays are well formed but mean something else than they would be read for.

The rules, each of a whole fold, and why PanNuke's release keeps them:

    brightness         some pixel is 128 of 255 or more: stained tissue on white glass has many
    background ids     the sixth channel of the masks holds one number beside 0, not ids
    background         some pixel is background
    nuclei as wide     in at most half of the patches one nucleus covers more than half of the pixels: 32 microns
    void               at most a tenth of the pixels are zero in all six channels: 162 of the 7,901 patches have any
    overlap            at most a tenth of the nuclei's pixels are background too: of the release none is reported

Smaller numbers of void and overlapping pixels are counted in the audit.
"""

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.patches import Patch
from nucseg_jax.data.sources.pannuke.release import FoldFiles
from nucseg_jax.data.sources.pannuke.vocabulary import PATCH_PX

LEAST_BRIGHTEST = 128
MOST_VOID = 0.1
MOST_OVERLAP = 0.1
WIDE_NUCLEUS = 0.5
MOST_WIDE_PATCHES = 0.5
_CHANNELS = (
    "in the masks channels 0 to 4 hold the numbers of the nuclei, one channel for each class of PanNuke or the first"
    " for all, and channel 5, the last, is 1 where there is no nucleus"
)
_ORDER = "bring the channels into this order; the last one is `masks[..., :5].max(-1) == 0`"


class FoldPlausibility:
    """Adds up what the rules need while the patches of a fold pass by."""

    def __init__(self, files: FoldFiles):
        self._files = files
        self._patches = 0
        self._brightest = 0
        self._background_px = self._void_px = self._overlap_px = self._nucleus_px = 0
        self._background_values: set[int] = set()
        self._ids_in_background: int | None = None
        self._wide_patches = 0
        self._first_wide = 0

    def add(self, patch: Patch) -> None:
        """Takes the next patch."""
        seen = patch.observations
        self._patches += 1
        self._brightest = max(self._brightest, int(patch.image.max()))
        self._background_px += seen.background_px
        self._void_px += seen.void_px
        self._overlap_px += seen.background_overlap_px
        self._nucleus_px += int((patch.label > 0).sum())
        self._background_values |= set(seen.background_values)
        if self._ids_in_background is None and len(self._background_values) > 1:
            self._ids_in_background = patch.index
        if seen.largest_nucleus_px > WIDE_NUCLEUS * PATCH_PX**2:
            self._first_wide = self._first_wide if self._wide_patches else patch.index
            self._wide_patches += 1

    def require_plausible(self) -> None:
        """Applies the rules.

        Raises:
          UserError: the fold breaks one.
        """
        fold, masks = self._files.fold, self._files.masks
        pixels = self._patches * PATCH_PX**2
        if self._brightest < LEAST_BRIGHTEST:
            raise UserError(
                f"The images of fold {fold} are dark: the largest value of {self._files.images} is {self._brightest}"
                " of 255.",
                expected="RGB images of 0..255, bright where there is no tissue",
                advice="multiply the images by 255 if they were scaled to 0..1, or by 255 over their full range",
            )
        if self._ids_in_background is not None:
            raise _wrong_channels(
                f"The background channel of {masks}, the last, holds several numbers, as ids do:"
                f" {', '.join(map(str, sorted(self._background_values)[:5]))}, first in patch"
                f" {self._ids_in_background} of fold {fold}."
            )
        if not self._background_px:
            raise _wrong_channels(
                f"No pixel of fold {fold} is background: the last channel of {masks} is 0 in"
                f" {counted(self._patches, 'patch')}."
            )
        if self._wide_patches > MOST_WIDE_PATCHES * self._patches:
            raise _wrong_channels(
                f"In {self._wide_patches:,} of the {counted(self._patches, 'patch')} of fold {fold} one nucleus of"
                f" {masks} covers more than half of the pixels, first in patch {self._first_wide}: one of its first"
                " five channels seems to be background."
            )
        if self._overlap_px > MOST_OVERLAP * self._nucleus_px:
            raise _wrong_channels(
                f"{self._overlap_px / self._nucleus_px:.0%} of the nuclei's pixels in fold {fold} of {masks} are"
                " background too."
            )
        if self._void_px > MOST_VOID * pixels:
            raise _wrong_channels(
                f"{self._void_px / pixels:.0%} of the pixels in fold {fold} of {masks} are neither nucleus nor"
                " background: 0 in all six channels."
            )


def _wrong_channels(found: str) -> UserError:
    return UserError(found, expected=_CHANNELS, advice=_ORDER)
