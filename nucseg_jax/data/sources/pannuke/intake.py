"""The patches of a release as they pass by: tallied for the audit, compared with each other, and checked."""

import contextlib
from collections.abc import Callable, Iterator

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import patches, repeats
from nucseg_jax.data.sources.pannuke.plausibility import FoldPlausibility


class Intake:
    """Reads the folds of one release, one after another."""

    def __init__(self, *, allow_duplicates: bool):
        """Takes whether patches of one fold may be those of another."""
        self._allow_duplicates = allow_duplicates
        self._images = repeats.Repeats()
        self._nuclei = repeats.SharedNuclei()
        self._tallies: dict[int, audits.FoldTally] = {}

    def read(
        self,
        fold: patches.CheckedFold,
        wrap: Callable[[Iterator[patches.Patch]], Iterator[patches.Patch]] = lambda read: read,
    ) -> Iterator[patches.Patch]:
        """Yields the patches of a fold.

        Args:
          fold: the fold; each is read once.
          wrap: put around the patches, such as a progress bar.

        Raises:
          UserError: as `patches.read_patches`; after the last patch where the fold as a whole cannot be right, or
            holds patches of a fold before it.
        """
        number = fold.files.fold
        tally = self._tallies[number] = audits.FoldTally()
        plausibility = FoldPlausibility(fold.files)
        with contextlib.closing(patches.read_patches(fold)) as checked:
            for patch in wrap(checked):
                place = repeats.Place(patch.fold, patch.index)
                tally.add(patch, self._images.add(place, patch.image))
                self._nuclei.add(place, patch.label, patch.instance)
                plausibility.add(patch)
                yield patch
        plausibility.require_plausible()
        audit = tally.audit()
        if audit.shared_patches and not self._allow_duplicates:
            raise UserError(
                f"{audit.shared_patches:,} of the {counted(audit.patches, 'patch')} of fold {number} are identical to"
                " patches of another fold, so that a model would be tested on what it was trained on:"
                f" {repeats.describe(tally.shared, audit.shared_patches)}.",
                expected="folds without a common image",
                advice="give each fold its own arrays and keep one patch of each pair, or, if you know what you test,"
                " add --config.data.allow_duplicates=True",
            )
        other = self._nuclei.fold_with_the_same(number)
        if other is not None and not self._allow_duplicates:
            raise UserError(
                f"Most masks of fold {number} are those of fold {other}, and their images are not: one of"
                f" {fold.files.masks} and the masks of fold {other} is a copy of the other.",
                expected="masks that were drawn on the images of their fold",
                advice="give each fold its own masks, or, if you know why, add --config.data.allow_duplicates=True",
            )

    def audits(self) -> dict[int, audits.FoldAudit]:
        """The audits of the folds that were read, by number."""
        return audits.without_class_names({fold: tally.audit() for fold, tally in self._tallies.items()})

    def tissues(self) -> dict[int, list[int]]:
        """The tissue of every patch that was read, in order, by fold: positions in `vocabulary.TISSUES`."""
        return {fold: tally.tissue_of_rows for fold, tally in self._tallies.items()}
