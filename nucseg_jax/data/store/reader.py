"""Reads a prepared data set into arrays, in the order of fold and row."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import vocabulary
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.store.location import prepared_folder
from nucseg_jax.data.store.records import CHUNK, FoldRecords, StoredPatches
from nucseg_jax.data.store.stored_files import require_as_written


@dataclasses.dataclass(frozen=True)
class StoredDataset:
    """A prepared data set, as far as is known without reading a patch.

    Attributes:
      data_dir: the folder that `prepare` was given.
      info: names, sizes and scale.
      index: where every patch comes from.
      digest: SHA-256 of the content, 64 hexadecimal digits: what a run saw.
      near_duplicates: int32 [D, 4], pairs of patches of two images that look the same: fold and row of one, fold and
        row of the other.
    """

    data_dir: pathlib.Path
    info: DatasetInfo
    index: PatchIndex
    digest: str
    near_duplicates: np.ndarray


def open_dataset(data_dir: pathlib.Path) -> StoredDataset:
    """Opens a prepared data set; reads no patch.

    Args:
      data_dir: the folder that `prepare` was given.

    Raises:
      UserError: nothing usable was prepared there.
    """
    audit = audits.load(prepared_folder(data_dir))
    info = PANNUKE if audit.has_classes else dataclasses.replace(PANNUKE, classes=())
    sizes = {fold: audit.folds[fold].patches for fold in sorted(audit.folds)}
    fold: np.ndarray = np.repeat(list(sizes), list(sizes.values())).astype(np.int32)
    row: np.ndarray = np.concatenate([np.arange(size) for size in sizes.values()]).astype(np.int32)
    nowhere: np.ndarray = np.zeros(len(fold), np.int32)
    division = tuple(f"fold{number}" for number in fold)
    index = PatchIndex(fold, row, None, ("",) * len(fold), nowhere, nowhere, division)
    return StoredDataset(data_dir, info, index, audit.digest, np.zeros((0, 4), np.int32))


def read_folds(data_dir: pathlib.Path, folds: Sequence[int]) -> Patches:
    """Reads whole folds; 262 KB of memory a patch.

    Args:
      data_dir: the folder that `prepare` was given.
      folds: which of 1, 2, 3, in any order, each once.

    Returns:
      The patches of these folds, sorted by fold, then by index.

    Raises:
      UserError: nothing was prepared there, or its files are missing, damaged or not what the audit says.
      ValueError: `folds` is empty, holds another number or one twice.
    """
    stored = open_folds(data_dir, folds)
    return stored.take(np.arange(len(stored.index)))


def open_folds(data_dir: pathlib.Path, folds: Sequence[int]) -> StoredPatches:
    """Opens whole folds for reading at random; 8 bytes of memory a patch.

    Args, Returns, Raises: as `read_folds`; in a data set without checksums of its files a damaged record shows when
      it is taken.
    """
    if not folds or len(set(folds)) < len(folds) or not set(folds) <= set(vocabulary.FOLDS):
        raise ValueError(f"folds must be some of {vocabulary.FOLDS}, each once, not {tuple(folds)}")
    folder = prepared_folder(data_dir)
    audit = audits.load(folder)
    require_as_written(folder, audit.files, folds)
    sizes = {fold: audit.folds[fold].patches for fold in folds}
    return StoredPatches(folder, sizes, patch_px=PANNUKE.patch_px)


def stored_digest(folder: pathlib.Path) -> str:
    """Computes the content's digest from the records themselves, with memory for a few patches.

    Args:
      folder: the data set's folder, pannuke/1.0.0.

    Returns:
      What `Audit.digest` must be.

    Raises:
      UserError: files are missing, damaged or do not hold what the audit says.
    """
    fold_digests = []
    for fold, fold_audit in sorted(audits.load(folder).folds.items()):
        records = FoldRecords(folder, fold, fold_audit.patches, with_instances=True)
        digest = audits.ContentDigest()
        for first in range(0, fold_audit.patches, CHUNK):
            for example in records.read(range(first, min(first + CHUNK, fold_audit.patches))):
                digest.add(example["image"], example["label"], example["instance"], int(example["tissue"]))
        fold_digests.append(digest.hexdigest())
    return audits.combined_digest(fold_digests)
