"""Adds up the audit of a data set while its patches pass by, and refuses patches that are not what they must be."""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.appearance import appearance
from nucseg_jax.data.dataset_info import VOID_LABEL, DatasetInfo
from nucseg_jax.data.label_offset import LabelOffset
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.pieces import count_disconnected
from nucseg_jax.data.sources.patch import Patch
from nucseg_jax.data.store.audit import (
    Audit,
    ContentDigest,
    PartAudit,
    combined_digest,
    counted_classes,
    place_bytes,
)
from nucseg_jax.data.store.near_duplicates import Comparison

_COUNTS = (
    *("patches", "empty_patches", "void_patches", "void_px", "disconnected_nuclei", "mixed_nuclei"),
    *("bright_nuclei_patches", "blue_nuclei_patches"),
)


class Tally:
    """Takes the patches of a data set, each once and in order; about 300 bytes of memory a patch."""

    def __init__(self, info: DatasetInfo, folder: pathlib.Path):
        """Takes the data set's description, and a folder on a disk with room for 4 KB a patch."""
        self._info = info
        self._comparison = Comparison(folder)
        self._parts: dict[int, _PartTally] = {}
        self._rows: list[tuple[int, int, int, str, int, int, str]] = []
        self._names: dict[str, str] = {}
        self._offset, self._offset_of = LabelOffset(info.patch_px), ""
        self._offsets: dict[str, list[int]] = {}

    def add(self, part: int, row: int, patch: Patch) -> None:
        """Counts the next patch.

        Raises:
          ValueError: its arrays are none that a source may give.
          UserError: its image has a name that is no text.
        """
        counts = _counts(patch, self._info)
        name = self._names.setdefault(patch.image_name, patch.image_name)
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"the name of the image {name!r} is not UTF-8",
                expected="names of files that are text",
                advice="rename the file",
            ) from None
        group = self._info.groups[patch.group]
        place = (group, name, int(patch.top), int(patch.left), patch.division)
        self._parts.setdefault(part, _PartTally(self._info)).add(patch, counts, place)
        self._rows.append((part, row, int(patch.group), *place[1:]))
        self._comparison.add(patch.image, name)
        if name != self._offset_of:
            self._end_image(name)
        self._offset.add(patch.image, patch.label, len(counts) - 1)

    def _end_image(self, next_name: str) -> None:
        """Looks whether the labels of an image lie on its nuclei, once all of its patches were added."""
        found = self._offset.found(self._info.microns_per_px)
        if found is not None:
            self._offsets[self._offset_of] = list(found)
        self._offset, self._offset_of = LabelOffset(self._info.patch_px), next_name

    @property
    def info(self) -> DatasetInfo:
        """The description of the data set; it has void pixels if any patch has."""
        return dataclasses.replace(self._info, has_void=any(part.has_void for part in self._parts.values()))

    @property
    def digest(self) -> str:
        """Digest of the data set whose patches were added."""
        return combined_digest((part.digest for part in self._parts.values()), self._info)

    def index(self) -> PatchIndex:
        """Returns the origin of every patch that was added."""
        folds, rows, groups, image, tops, lefts, division = zip(*self._rows, strict=True)
        numbers = (np.array(values, np.int32) for values in (folds, rows, groups, tops, lefts))
        fold, row, group, top, left = numbers
        return PatchIndex(fold, row, group, image, top, left, division)

    def audit(self, origin: JsonObject, digests: Mapping[str, str]) -> Audit:
        """Compares all patches, and gives the audit of what was added; once.

        Args:
          origin: what the data set is prepared from, as JSON values.
          digests: SHA-256 of its files by name.
        """
        parts = {number: part.audit() for number, part in self._parts.items()}
        alike = self._comparison.finish()
        self._end_image("")
        return Audit(
            parts=parts,
            images=len(self._names),
            digest=self.digest,
            near_duplicates=[
                [*self._rows[first][:2], *self._rows[later][:2]] for first, later in alike.pairs.tolist()
            ],
            uncompared_patches=alike.left_out,
            origin=dict(origin),
            files=dict(digests),
            label_offsets=self._offsets,
        )


class _PartTally:
    """Adds up one part."""

    def __init__(self, info: DatasetInfo):
        self._names = counted_classes(info)
        self._divisions: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._digest = ContentDigest()
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._nuclei: np.ndarray = np.zeros(len(self._names), np.int64)
        self._px: np.ndarray = np.zeros(len(self._names), np.int64)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    @property
    def has_void(self) -> bool:
        return self._counts["void_px"] > 0

    def add(self, patch: Patch, counts: np.ndarray, place: tuple[str, str, int, int, str]) -> None:
        self._digest.add(patch.image, patch.label, patch.instance, place_bytes(*place))
        of_nuclei = counts[1:, 1:]
        void_px = patch.label.size - int(counts.sum())
        look = appearance(patch.image, patch.label)
        self._nuclei += np.bincount(of_nuclei.argmax(axis=1), minlength=len(self._names))
        self._px += of_nuclei.sum(axis=0)
        for amounts, name in ((self._groups, place[0]), (self._divisions, place[-1])):
            if name:
                amounts[name] = amounts.get(name, 0) + 1
        for name, amount in (
            ("patches", 1),
            ("empty_patches", int(not len(of_nuclei))),
            ("void_patches", int(void_px > 0)),
            ("void_px", void_px),
            ("disconnected_nuclei", count_disconnected(patch.instance)),
            ("mixed_nuclei", int(np.count_nonzero(np.count_nonzero(of_nuclei, axis=1) > 1))),
            ("bright_nuclei_patches", int(look is not None and look.is_bright)),
            ("blue_nuclei_patches", int(look is not None and look.is_blue_darker)),
        ):
            self._counts[name] += amount

    def audit(self) -> PartAudit:
        return PartAudit(
            **self._counts,
            nuclei=dict(zip(self._names, self._nuclei.tolist(), strict=True)),
            class_px=dict(zip(self._names, self._px.tolist(), strict=True)),
            groups=self._groups,
            divisions=self._divisions,
            digest=self.digest,
        )


def _counts(patch: Patch, info: DatasetInfo) -> np.ndarray:
    """Checks a patch, and counts its pixels by nucleus and label, without void: int64 [1 + nuclei, 1 + classes].

    Raises:
      ValueError: it is not what `Patch` describes.
    """
    where = f"the patch of {patch.image_name} at top {patch.top}, left {patch.left}"
    px, most = info.patch_px, len(counted_classes(info))
    for name, array, dtype, shape in (
        ("image", patch.image, np.uint8, (px, px, 3)),
        ("label", patch.label, np.uint8, (px, px)),
        ("instance", patch.instance, np.uint16, (px, px)),
    ):
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(
                f"{name} of {where} is {array.dtype} {array.shape}, not {dtype.__name__} {shape}"
            )
    if not 0 <= patch.group < len(info.groups):
        raise ValueError(f"group of {where} is {patch.group}, and there are {len(info.groups)}")
    if patch.division and patch.division not in info.divisions:
        raise ValueError(f"division of {where} is {patch.division!r}, none of {info.divisions}")
    is_void = patch.label == VOID_LABEL
    if is_void.any() and (not info.has_void or patch.instance[is_void].any()):
        raise ValueError(f"{where} has void pixels, with a nucleus or in a data set without them")
    label, nucleus = patch.label[~is_void], patch.instance[~is_void].astype(np.int64)
    if label.max(initial=0) > most:
        raise ValueError(f"{where} has the label {label.max()}, and the classes are {counted_classes(info)}")
    nuclei = int(nucleus.max(initial=0))
    counts: np.ndarray = np.bincount(nucleus * (most + 1) + label, minlength=(nuclei + 1) * (most + 1))
    counts = counts.reshape(nuclei + 1, most + 1)
    if counts[0, 1:].any() or counts[1:, 0].any():
        raise ValueError(f"in {where} labels and nuclei do not cover the same pixels")
    if not counts[1:].any(axis=1).all():
        raise ValueError(f"the nuclei of {where} are not numbered 1..{nuclei} without gaps")
    return counts
