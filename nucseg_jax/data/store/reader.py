"""Reads a prepared data set into arrays, in the order of fold and row."""

import pathlib
from collections.abc import Sequence

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import vocabulary
from nucseg_jax.data.store.location import prepared_folder
from nucseg_jax.data.store.records import CHUNK, FoldRecords, StoredPatches
from nucseg_jax.data.store.stored_files import require_as_written


def fold_sizes(data_dir: pathlib.Path) -> dict[int, int]:
    """Patches of each fold, from the audit alone.

    Args:
      data_dir: the folder that `prepare` was given.

    Returns:
      Number of patches by fold 1, 2, 3.

    Raises:
      UserError: nothing usable was prepared there.
    """
    audit = audits.load(prepared_folder(data_dir))
    return {fold: audit.folds[fold].patches for fold in sorted(audit.folds)}


def data_digest(data_dir: pathlib.Path) -> str:
    """SHA-256 of the content, 64 hexadecimal digits, from the audit alone: what a run saw.

    Args:
      data_dir: the folder that `prepare` was given.

    Returns:
      The digest that `audit` defines.

    Raises:
      UserError: nothing usable was prepared there.
    """
    return audits.load(prepared_folder(data_dir)).digest


def require_classes(data_dir: pathlib.Path) -> None:
    """Checks, from the audit alone, that the nuclei have classes to be trained or scored on.

    Args:
      data_dir: the folder that `prepare` was given.

    Raises:
      UserError: nothing usable was prepared there, or all nuclei lie in the first channel.
    """
    if not audits.load(prepared_folder(data_dir)).has_classes:
        raise UserError(
            f"The nuclei of the data set in {data_dir} have no classes: all lie in the first channel of the masks.",
            expected="nuclei of several classes for a model with model.num_classes above 1",
            advice="set --config.model.num_classes=1, or prepare masks with a channel for each class",
        )


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
    return StoredPatches(folder, {fold: audit.folds[fold].patches for fold in folds})


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
