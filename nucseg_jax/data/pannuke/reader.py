"""Reads a prepared data set into arrays, in the order of fold and row."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nucseg_jax.core import vocabulary
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.pannuke import audit as audits
from nucseg_jax.data.pannuke.location import prepared_folder

_CHUNK = 64


@dataclasses.dataclass(frozen=True)
class Patches:
    """P patches sorted by (fold, index).

    Attributes:
      image: uint8 [P, 256, 256, 3], RGB.
      label: uint8 [P, 256, 256], 0 = background, 1..5 the classes of `vocabulary.NUCLEUS_CLASSES`.
      instance: uint16 [P, 256, 256], 0 = background, 1..K within each patch.
      tissue: int32 [P], position in `vocabulary.TISSUES`.
      fold: int32 [P], 1..3.
      index: int32 [P], row in the fold's release.
    """

    image: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    tissue: np.ndarray
    fold: np.ndarray
    index: np.ndarray


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


def read_folds(data_dir: pathlib.Path, folds: Sequence[int]) -> Patches:
    """Reads whole folds; 393 KB of memory a patch.

    Args:
      data_dir: the folder that `prepare` was given.
      folds: which of 1, 2, 3, in any order, each once.

    Returns:
      The patches of these folds, sorted by fold, then by index.

    Raises:
      UserError: nothing was prepared there, or its files are missing, damaged or not what the audit says.
      ValueError: `folds` is empty, holds another number or one twice.
    """
    if not folds or len(set(folds)) < len(folds) or not set(folds) <= set(vocabulary.FOLDS):
        raise ValueError(f"folds must be some of {vocabulary.FOLDS}, each once, not {tuple(folds)}")
    folder = prepared_folder(data_dir)
    audit = audits.load(folder)
    sizes = {fold: audit.folds[fold].patches for fold in sorted(folds)}
    P, px = sum(sizes.values()), vocabulary.PATCH_PX
    arrays: dict[str, np.ndarray] = {
        "image": np.empty((P, px, px, 3), np.uint8),
        "label": np.empty((P, px, px), np.uint8),
        "instance": np.empty((P, px, px), np.uint16),
        "tissue": np.empty(P, np.int32),
        "fold": np.empty(P, np.int32),
        "index": np.empty(P, np.int32),
    }
    start = 0
    for fold, size in sizes.items():
        is_filled: np.ndarray = np.zeros(size, bool)
        for example in _examples(folder, fold, size):
            index = int(example["index"])
            if not 0 <= index < size or is_filled[index] or example["fold"] != fold:
                raise _damaged(folder, f"fold {fold} holds row {index} twice or out of its {size} rows")
            is_filled[index] = True
            for name, array in arrays.items():
                array[start + index] = example[name]
        start += size
    return Patches(**arrays)


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
        digest = audits.ContentDigest()
        for expected_index, example in enumerate(_examples(folder, fold, fold_audit.patches)):
            if example["index"] != expected_index:
                raise _damaged(
                    folder, f"fold {fold} holds row {example['index']} in place of {expected_index}"
                )
            digest.add(example["image"], example["label"], example["instance"], int(example["tissue"]))
        fold_digests.append(digest.hexdigest())
    return audits.combined_digest(fold_digests)


def _examples(folder: pathlib.Path, fold: int, size: int) -> Iterator[dict[str, Any]]:
    """The records of a fold in the order in which they lie on disk."""
    import tensorflow_datasets as tfds  # Half a second that `fold_sizes` need not wait for.

    # TensorFlow Datasets, protobuf, zlib and ArrayRecord each raise their own errors on a damaged file.
    try:
        source = tfds.builder_from_directory(str(folder)).as_data_source(split=f"fold{fold}")
        if len(source) != size:
            raise _damaged(folder, f"fold {fold} holds {len(source):,} of {size:,} patches")
    except UserError:
        raise
    except Exception as error:
        raise _damaged(folder, f"fold {fold} cannot be opened ({_first_line(error)})") from error
    for first in range(0, size, _CHUNK):
        try:
            chunk = source.__getitems__(list(range(first, min(first + _CHUNK, size))))
        except Exception as error:
            raise _damaged(
                folder, f"fold {fold} cannot be read from patch {first} on ({_first_line(error)})"
            ) from error
        yield from chunk


def _damaged(folder: pathlib.Path, found: str) -> UserError:
    return UserError(
        f"The data set in {folder} is damaged: {found}.",
        expected="the files as `prepare` wrote them",
        advice=f"remove {folder} and run `python launch.py prepare --config=...` again",
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
