"""Reads a prepared data set into arrays, in the order of fold and row."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.store.layout import Example, StoredFacts
from nucseg_jax.data.store.layouts import layout_of
from nucseg_jax.data.store.location import dataset_folder, prepared_name
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
      UserError: nothing usable was prepared there, or two data sets were.
    """
    facts = read_facts(data_dir)
    return StoredDataset(data_dir, facts.info, facts.index, facts.digest, facts.near_duplicates)


def read_facts(data_dir: pathlib.Path) -> StoredFacts:
    """Reads all that lies beside the records of the data set in a data folder.

    Raises:
      UserError: nothing usable was prepared there, or two data sets were.
    """
    name = prepared_name(data_dir)
    return layout_of(name).read_facts(dataset_folder(data_dir, name))


def read_folds(data_dir: pathlib.Path, folds: Sequence[int], *, with_instances: bool = False) -> Patches:
    """Reads whole folds (stored parts); `DatasetInfo.bytes_per_patch` of memory a patch, 262 KB at 256 px.

    Args:
      data_dir: the folder that `prepare` was given.
      folds: their numbers, in any order, each once.
      with_instances: whether ids of nuclei are read too; 131 KB more a patch at 256 px.

    Returns:
      The patches of these folds, sorted by fold, then by index.

    Raises:
      UserError: nothing was prepared there, or its files are missing, damaged or not what the audit records.
      ValueError: `folds` is empty, holds a number that there is none of, or one twice.
    """
    stored = open_folds(data_dir, folds, with_instances=with_instances)
    return stored.take(np.arange(len(stored.index)))


def open_folds(
    data_dir: pathlib.Path, folds: Sequence[int], *, with_instances: bool = False
) -> StoredPatches:
    """Opens whole folds for reading at random; 8 bytes of memory a patch.

    Args, Returns, Raises: as `read_folds`; in a data set without checksums of its files a damaged record shows when
      it is taken.
    """
    name = prepared_name(data_dir)
    layout, folder = layout_of(name), dataset_folder(data_dir, name)
    facts = layout.read_facts(folder)
    sizes = facts.index.fold_sizes
    if not folds or len(set(folds)) < len(folds) or not set(folds) <= set(sizes):
        raise ValueError(f"folds must be some of {tuple(sizes)}, each once, not {tuple(folds)}")
    require_as_written(folder, facts.files, folds)
    return StoredPatches(
        folder,
        {fold: sizes[fold] for fold in folds},
        patch_px=facts.info.patch_px,
        group_feature=layout.group_feature,
        with_instances=with_instances,
    )


def stored_digest(folder: pathlib.Path) -> str:
    """Computes the content's digest from the records themselves, with memory for a few patches.

    Args:
      folder: the data set's folder, such as pannuke/1.0.0.

    Returns:
      What the digest of the data set must be.

    Raises:
      UserError: files are missing, damaged or do not hold what the audit records.
    """
    layout = layout_of(folder.parent.name)
    facts = layout.read_facts(folder)
    return layout.digest_of(
        (_examples(folder, fold, size) for fold, size in facts.index.fold_sizes.items()), facts
    )


def _examples(folder: pathlib.Path, fold: int, size: int) -> Iterator[Example]:
    records = FoldRecords(folder, fold, size, with_instances=True)
    for first in range(0, size, CHUNK):
        yield from records.read(range(first, min(first + CHUNK, size)))
