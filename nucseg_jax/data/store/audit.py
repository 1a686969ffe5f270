"""Audit of a data set of the builder `Nuclei`: counts by part and a digest of its content, kept in `audit.json`.

The digest of a part is the SHA-256 over, for each patch in order: image, label, instance (uint16, little-endian), and
as a line of JSON the name of its group, its image, top, left and division. The digest of the data set is the SHA-256
over those of its parts and, as JSON, all of its description that gives the numbers a meaning: classes, groups,
divisions, patch size and scale. Colours, licence and citation may change without it.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nucseg_jax.core import files
from nucseg_jax.core.errors import reason_of
from nucseg_jax.core.seal import sealed, unsealed
from nucseg_jax.core.strict_json import JsonObject, read_json
from nucseg_jax.data.dataset_info import NUCLEUS, DatasetInfo
from nucseg_jax.data.store.stored_files import damaged

FILE_NAME = "audit.json"
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class PartAudit:
    """Counts of one part. A nucleus that lies in several patches counts in each.

    Attributes:
      patches: rows.
      nuclei: nuclei by class name, the class of most of its pixels; by 'nucleus' where there are no classes.
      class_px: pixels by class name.
      groups: patches by the name of the group; those that have some.
      divisions: patches by division; likewise.
      empty_patches: patches without a nucleus.
      void_patches, void_px: patches with pixels that nobody annotated, and those pixels.
      disconnected_nuclei: nuclei in more than one 8-connected piece.
      mixed_nuclei: nuclei with pixels of several classes.
      bright_nuclei_patches, blue_nuclei_patches: patches whose nuclei are not darker than the rest, and patches whose
        nuclei are darkest in blue, see `appearance`.
      digest: SHA-256 of the stored arrays and places, see the module.
    """

    patches: int
    nuclei: Mapping[str, int]
    class_px: Mapping[str, int]
    groups: Mapping[str, int]
    divisions: Mapping[str, int]
    empty_patches: int
    void_patches: int
    void_px: int
    disconnected_nuclei: int
    mixed_nuclei: int
    bright_nuclei_patches: int
    blue_nuclei_patches: int
    digest: str


@dataclasses.dataclass(frozen=True)
class Audit:
    """Counts of a data set and where it came from.

    Attributes:
      parts: the audit of each part, by number.
      images: images that patches come from.
      digest: SHA-256 of the whole content, see the module.
      near_duplicates: pairs of patches of two images that look the same, [fold, row, fold, row] each.
      uncompared_patches: patches with too little contrast, or a repeated texture, to be compared.
      origin: what it was prepared from, as JSON values; `kind` is the name of the source.
      files: SHA-256 of every other file that is read, by name.
      label_offsets: images whose labels would fit better elsewhere, and by how many rows and columns, see
        `label_offset`.
    """

    parts: Mapping[int, PartAudit]
    images: int
    digest: str
    near_duplicates: Sequence[Sequence[int]]
    uncompared_patches: int
    origin: JsonObject
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    label_offsets: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)

    @property
    def patches(self) -> int:
        """Patches of all parts."""
        return sum(part.patches for part in self.parts.values())

    @property
    def part_sizes(self) -> dict[int, int]:
        """Patches of each part, by its number."""
        return {number: part.patches for number, part in sorted(self.parts.items())}

    def total(self, name: str) -> int:
        """Returns the sum of a count over all parts."""
        return sum(getattr(part, name) for part in self.parts.values())

    def totals(self, name: str) -> dict[str, int]:
        """Returns sums of counts by name over all parts, names in the order in which they come."""
        sums: dict[str, int] = {}
        for _, part in sorted(self.parts.items()):
            for key, count in getattr(part, name).items():
                sums[key] = sums.get(key, 0) + count
        return sums

    def save(self, folder: pathlib.Path) -> None:
        """Writes `audit.json` into a folder."""
        values = dataclasses.asdict(self)
        values["parts"] = {str(number): part for number, part in sorted(values["parts"].items())}
        files.write_json(folder / FILE_NAME, sealed({"format": _FORMAT, **values}))


def load_audit(folder: pathlib.Path) -> Audit:
    """Reads the `audit.json` of a folder.

    Raises:
      UserError: it is missing, or is not as it was written.
    """
    try:
        values = unsealed(read_json(folder / FILE_NAME))
        if values.pop("format") != _FORMAT:
            raise ValueError("it is of another version")
        parts = {int(number): PartAudit(**part) for number, part in values.pop("parts").items()}
        return Audit(parts=parts, **values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder, f"{FILE_NAME} cannot be used ({reason_of(error)})") from error


class ContentDigest:
    """The digest of a part, fed patch by patch in their order; see the module."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(
        self,
        image: np.ndarray,
        label: np.ndarray,
        instance: np.ndarray,
        place: bytes,
    ) -> None:
        """Takes the next patch; `place` is what is hashed of its origin, see `place_bytes`."""
        self._hash.update(np.ascontiguousarray(image, np.uint8).data)
        self._hash.update(np.ascontiguousarray(label, np.uint8).data)
        self._hash.update(np.ascontiguousarray(instance, "<u2").data)
        self._hash.update(place)

    def hexdigest(self) -> str:
        """The digest of what was added so far."""
        return self._hash.hexdigest()


def place_bytes(group: str, image: str, top: int, left: int, division: str) -> bytes:
    """Returns the origin of a patch as its digest takes it: a line of JSON."""
    return json.dumps([group, image, top, left, division]).encode() + b"\n"


def combined_digest(part_digests: Iterable[str], info: DatasetInfo) -> str:
    """Computes the digest of a data set from those of its parts in order."""
    meaning = {
        "classes": info.class_names,
        "groups": info.groups,
        "divisions": info.divisions,
        "patch_px": info.patch_px,
        "microns_per_px": info.microns_per_px,
    }
    text = "".join(part_digests) + json.dumps(meaning, sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def counted_classes(info: DatasetInfo) -> tuple[str, ...]:
    """Returns the names that nuclei are counted by, in the order of labels from 1."""
    return info.class_names or (NUCLEUS,)
