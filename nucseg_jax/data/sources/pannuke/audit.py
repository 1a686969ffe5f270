"""The audit of a prepared data set: counts by fold and a digest of every stored byte, kept in `audit.json`.

The digest of a fold is the SHA-256 over, for each patch in the order of its index, image, class map, instance
map (uint16, little-endian) and tissue (int32, little-endian). The digest of the data set is the SHA-256 over
the three of them as hexadecimal text. It depends on content alone: not on zips or folders, nor on dtypes.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nucseg_jax.core import files
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.appearance import appearance
from nucseg_jax.data.sources.pannuke import vocabulary
from nucseg_jax.data.sources.pannuke.patches import Patch
from nucseg_jax.data.sources.pannuke.repeats import NAMED, Place
from nucseg_jax.data.store.audit import ContentDigest

FILE_NAME = "audit.json"
# Stands for the names of the classes where the nuclei have none: all lie in the first channel.
NO_CLASSES = "nuclei (no classes)"
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class FoldAudit:
    """Counts of one fold; nuclei are counted in the release's channels, before anything is flattened.

    Attributes:
      patches: rows.
      nuclei: nuclei by class name; by `NO_CLASSES` alone where no fold uses another channel than the first.
      empty_patches: patches without a nucleus.
      void_patches, void_px: patches with pixels that are zero in all six channels, and those pixels.
      overlap_patches, overlap_px: patches with pixels that two classes claim, and those pixels.
      hidden_nuclei: nuclei of which a later class left no pixel.
      disconnected_nuclei: nuclei in more than one 8-connected piece.
      largest_id: the largest id in the release's masks.
      tissues: patches by tissue name, all 19.
      digest: SHA-256 of the stored arrays, see the module.
      background_overlap_patches, background_overlap_px: patches with pixels that are nucleus and background, and those
        pixels. This and what follows is None in audits of earlier versions.
      repeated_patches: patches with the image of an earlier patch of the fold.
      shared_patches: patches with the image of a patch of an earlier fold.
      bright_nuclei_patches, blue_nuclei_patches: patches whose nuclei are not darker than the rest, and patches whose
        nuclei are darkest in blue, see `appearance`.
      repeats: the first few of both, [[fold, index] of the earlier patch, [fold, index] of the later one].
    """

    patches: int
    nuclei: Mapping[str, int]
    empty_patches: int
    void_patches: int
    void_px: int
    overlap_patches: int
    overlap_px: int
    hidden_nuclei: int
    disconnected_nuclei: int
    largest_id: int
    tissues: Mapping[str, int]
    digest: str
    background_overlap_patches: int | None = None
    background_overlap_px: int | None = None
    repeated_patches: int | None = None
    shared_patches: int | None = None
    bright_nuclei_patches: int | None = None
    blue_nuclei_patches: int | None = None
    repeats: Sequence[Sequence[Sequence[int]]] = ()


@dataclasses.dataclass(frozen=True)
class Audit:
    """Counts of a data set and where it came from.

    Attributes:
      folds: the audit of each fold, by number.
      origin: what it was prepared from, as JSON values; `kind` is download, release or synthetic.
      files: SHA-256 of the record files by name, see `stored_files`; empty where they are not written, or were by an
        earlier version.
    """

    folds: Mapping[int, FoldAudit]
    origin: JsonObject
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole content, see the module."""
        return combined_digest(fold.digest for _, fold in sorted(self.folds.items()))

    @property
    def patches(self) -> int:
        """Patches of all folds."""
        return sum(fold.patches for fold in self.folds.values())

    @property
    def has_classes(self) -> bool:
        """False where nuclei lie in the first channel alone, so that nothing is known of their classes."""
        return any(NO_CLASSES not in fold.nuclei for fold in self.folds.values())

    def save(self, folder: pathlib.Path) -> None:
        """Writes `audit.json` into a folder."""
        folds = {str(number): dataclasses.asdict(fold) for number, fold in sorted(self.folds.items())}
        record = {
            "format": _FORMAT,
            "digest": self.digest,
            "origin": dict(self.origin),
            "files": dict(self.files),
            "folds": folds,
        }
        files.write_json(folder / FILE_NAME, record)


def load(folder: pathlib.Path) -> Audit:
    """Reads the `audit.json` of a folder.

    Args:
      folder: the folder of a prepared data set.

    Returns:
      The audit.

    Raises:
      UserError: the file is missing, is not an audit, or its digest and folds disagree.
    """
    path = folder / FILE_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        folds = {int(number): FoldAudit(**fold) for number, fold in record["folds"].items()}
        digests = {name: str(digest) for name, digest in record.get("files", {}).items()}
        audit = Audit(without_class_names(folds), record["origin"], digests)
        if record["digest"] != audit.digest or record["format"] != _FORMAT:
            raise ValueError("digest or format do not agree with the rest")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(
            f"{path} cannot be used: {reason}.",
            expected="the record that `prepare` wrote beside the data",
            advice=f"remove {folder} and prepare the data again",
        ) from error
    return audit


def combined_digest(fold_digests: Iterable[str]) -> str:
    """The digest of a data set from those of its folds in order."""
    return hashlib.sha256("".join(fold_digests).encode("ascii")).hexdigest()


def without_class_names(folds: Mapping[int, FoldAudit]) -> dict[int, FoldAudit]:
    """Counts nuclei under `NO_CLASSES` where in all folds together they lie in the first channel alone."""
    first, *others = vocabulary.NUCLEUS_CLASSES
    nuclei = [fold.nuclei for fold in folds.values()]
    if any(of_fold.get(name) for of_fold in nuclei for name in others):
        return dict(folds)
    if not any(of_fold.get(first) for of_fold in nuclei):
        return dict(folds)
    return {
        number: dataclasses.replace(fold, nuclei={NO_CLASSES: fold.nuclei[first]})
        for number, fold in folds.items()
    }


def tissue_bytes(tissue: int) -> bytes:
    """Returns the tissue of a patch as the digest of its fold takes it."""
    return int(tissue).to_bytes(4, "little")


class FoldTally:
    """Adds up the audit of a fold while its patches pass by, each once and in order."""

    def __init__(self) -> None:
        self._digest = ContentDigest()
        self._nuclei: np.ndarray = np.zeros(len(vocabulary.NUCLEUS_CLASSES), np.int64)
        self._tissues: np.ndarray = np.zeros(len(vocabulary.TISSUES), np.int64)
        self._largest_id = 0
        self._counts = dict.fromkeys(
            (
                "patches",
                "empty_patches",
                "void_patches",
                "void_px",
                "overlap_patches",
                "overlap_px",
                "hidden_nuclei",
                "disconnected_nuclei",
                "background_overlap_patches",
                "background_overlap_px",
                "repeated_patches",
                "shared_patches",
                "bright_nuclei_patches",
                "blue_nuclei_patches",
            ),
            0,
        )
        # The first few pairs within the fold, and with another.
        self.repeated: list[tuple[Place, Place]] = []
        self.shared: list[tuple[Place, Place]] = []
        self.tissue_of_rows: list[int] = []

    def add(self, patch: Patch, first: Place | None = None) -> None:
        """Counts one patch.

        Args:
          patch: the next one.
          first: where its image was before.
        """
        seen = patch.observations
        look = appearance(patch.image, patch.label)
        is_repeated = first is not None and first.fold == patch.fold
        is_shared = first is not None and first.fold != patch.fold
        if first is not None:
            pairs = self.repeated if is_repeated else self.shared
            if len(pairs) < NAMED:
                pairs.append((first, Place(patch.fold, patch.index)))
        self._digest.add(patch.image, patch.label, patch.instance, tissue_bytes(patch.tissue))
        self._nuclei += seen.nuclei
        self._tissues[patch.tissue] += 1
        self.tissue_of_rows.append(patch.tissue)
        self._largest_id = max(self._largest_id, seen.largest_id)
        for name, amount in (
            ("patches", 1),
            ("empty_patches", int(seen.nuclei.sum() == 0)),
            ("void_patches", int(seen.void_px > 0)),
            ("void_px", seen.void_px),
            ("overlap_patches", int(seen.overlap_px > 0)),
            ("overlap_px", seen.overlap_px),
            ("hidden_nuclei", seen.hidden_nuclei),
            ("disconnected_nuclei", seen.disconnected_nuclei),
            ("background_overlap_patches", int(seen.background_overlap_px > 0)),
            ("background_overlap_px", seen.background_overlap_px),
            ("repeated_patches", int(is_repeated)),
            ("shared_patches", int(is_shared)),
            ("bright_nuclei_patches", int(look is not None and look.is_bright)),
            ("blue_nuclei_patches", int(look is not None and look.is_blue_darker)),
        ):
            self._counts[name] += amount

    def audit(self) -> FoldAudit:
        """The audit of what was added so far."""
        return FoldAudit(
            **self._counts,
            nuclei=dict(zip(vocabulary.NUCLEUS_CLASSES, self._nuclei.tolist(), strict=True)),
            tissues=dict(zip(vocabulary.TISSUES, self._tissues.tolist(), strict=True)),
            largest_id=self._largest_id,
            digest=self._digest.hexdigest(),
            repeats=[[list(place) for place in pair] for pair in (*self.repeated, *self.shared)],
        )
