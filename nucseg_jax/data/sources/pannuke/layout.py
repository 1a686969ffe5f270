"""The files of the builder `Pannuke`.

`dataset.json` and `patches.csv` lie beside the records, and `checksums.json` with their SHA-256, which has one of its
own. Data sets of earlier versions have none of the three, and nothing is known there of a patch's tissue before it is
read.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from nucseg_jax.core import files
from nucseg_jax.core.errors import reason_of
from nucseg_jax.core.seal import sealed, unsealed
from nucseg_jax.core.strict_json import read_json
from nucseg_jax.data.dataset_info import FILE_NAME as DESCRIPTION
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import origin
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.store import index_file, location, stored_files
from nucseg_jax.data.store.audit import ContentDigest
from nucseg_jax.data.store.layout import Example, Layout, StoredFacts
from nucseg_jax.data.store.stored_files import damaged, require_unaltered

CHECKSUMS = "checksums.json"
_BESIDE = (DESCRIPTION, index_file.FILE_NAME)


def write_beside(folder: pathlib.Path, audit: audits.Audit, tissues: Mapping[int, Sequence[int]]) -> None:
    """Writes description and index beside the records.

    Args:
      folder: the data set's folder.
      audit: of the data set.
      tissues: of each patch, by fold: positions in `vocabulary.TISSUES`.
    """
    info = _info(audit)
    info.write(folder)
    by_fold = [tissue for _, of_fold in sorted(tissues.items()) for tissue in of_fold]
    index_file.write_index(folder, _index(audit, np.array(by_fold, np.int32)), info)
    digests = stored_files.digests_of(folder, _BESIDE)
    files.write_json(folder / CHECKSUMS, sealed({"format": 1, "files": digests}))


def read_facts(folder: pathlib.Path) -> StoredFacts:
    """Reads audit and index of a data set's folder.

    Raises:
      UserError: they are missing, or are not as they were written.
    """
    audit = audits.load(folder)
    info = _info(audit)
    index = _index(audit, None)
    if (folder / CHECKSUMS).exists():
        try:
            digests = unsealed(read_json(folder / CHECKSUMS))["files"]
            digests = {name: str(digests[name]) for name in _BESIDE}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise damaged(folder, f"{CHECKSUMS} cannot be used ({reason_of(error)})") from error
        require_unaltered(folder, digests, _BESIDE)
        read = index_file.read_index(folder, info)
        index = _index(audit, read.group)
        if len(read.fold) != len(index.fold) or (read.fold != index.fold).any():
            raise damaged(folder, f"{index_file.FILE_NAME} and audit.json disagree on the number of patches")
    elif any((folder / name).exists() for name in _BESIDE):
        raise damaged(folder, f"{CHECKSUMS} is missing")
    return StoredFacts(
        info=info,
        index=index,
        digest=audit.digest,
        near_duplicates=np.zeros((0, 4), np.int32),
        files=audit.files,
        origin=audit.origin,
        described=origin.describe(audit.origin),
    )


def digest_of(parts: Iterable[Iterator[Example]], facts: StoredFacts) -> str:
    """Computes the digest that `Audit.digest` must be."""
    del facts
    fold_digests = []
    for examples in parts:
        digest = ContentDigest()
        for example in examples:
            tissue = audits.tissue_bytes(example["tissue"])
            digest.add(example["image"], example["label"], example["instance"], tissue)
        fold_digests.append(digest.hexdigest())
    return audits.combined_digest(fold_digests)


def _info(audit: audits.Audit) -> DatasetInfo:
    return PANNUKE if audit.has_classes else dataclasses.replace(PANNUKE, classes=())


def _index(audit: audits.Audit, tissue: np.ndarray | None) -> PatchIndex:
    sizes = {number: audit.folds[number].patches for number in sorted(audit.folds)}
    fold: np.ndarray = np.repeat(list(sizes), list(sizes.values())).astype(np.int32)
    row: np.ndarray = np.concatenate([np.arange(size) for size in sizes.values()]).astype(np.int32)
    nowhere: np.ndarray = np.zeros(len(fold), np.int32)
    division = tuple(f"fold{number}" for number in fold)
    return PatchIndex(fold, row, tissue, ("",) * len(fold), nowhere, nowhere, division)


PANNUKE_LAYOUT = Layout(location.PANNUKE, "tissue", read_facts, digest_of)
