"""A release to a data set that appears whole or not at all."""

import contextlib
import functools
import pathlib
import sys
from collections.abc import Iterator

import tensorflow_datasets as tfds
import tqdm
from tensorflow_datasets.core import shuffle

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.memory import available_host_bytes
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import patches, release, vocabulary
from nucseg_jax.data.sources.pannuke.builder import Pannuke
from nucseg_jax.data.sources.pannuke.intake import Intake
from nucseg_jax.data.store.build import move_into_place, require_room, require_written, silent_tfds
from nucseg_jax.data.store.location import dataset_folder

# Images hardly compress; maps take a few KB.
_BYTES_PER_PATCH = vocabulary.PATCH_PX**2 * 3


def build(
    release_dir: pathlib.Path,
    data_dir: pathlib.Path,
    origin: JsonObject,
    scratch: pathlib.Path,
    *,
    allow_duplicates: bool = False,
) -> audits.Audit:
    """Builds the data set in a scratch folder, reads it back, and moves it to its place in one step.

    Args:
      release_dir: the release, zipped or not.
      data_dir: where the data set goes; none is there yet.
      origin: what the audit records.
      scratch: an empty folder on the disk of `data_dir`.
      allow_duplicates: whether patches of one fold may be those of another.

    Returns:
      The audit that lies beside the data.

    Raises:
      UserError: the release is at fault in any way, or there is no room; nothing is in `data_dir` then.
    """
    sizes = [patches.check_fold(files).num_patches for files in release.find(release_dir)]
    num_patches = sum(sizes)
    _require_memory(max(sizes))
    require_room(scratch, data_dir, num_patches, _BYTES_PER_PATCH)
    builder = Pannuke(
        data_dir=str(scratch), origin=origin, allow_duplicates=allow_duplicates, show_progress=True
    )
    with silent_tfds(), _records_in_memory():
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=str(release_dir))
        )
    built, place = dataset_folder(scratch), dataset_folder(data_dir)
    audit = audits.load(built)
    require_written(built, audit.digest)
    move_into_place(built, place)
    return audit


def audit_of_release(release_dir: pathlib.Path, origin: JsonObject) -> audits.Audit:
    """Reads a whole release and reports what a data set built from it would hold; writes nothing.

    Args:
      release_dir: the release, zipped or not.
      origin: what the audit records.

    Returns:
      The audit.

    Raises:
      UserError: the release is at fault in any way.
    """
    # A set that lies there with its duplicates was allowed to have them.
    intake = Intake(allow_duplicates=True)
    for fold in [patches.check_fold(files) for files in release.find(release_dir)]:
        bar = functools.partial(
            tqdm.tqdm,
            desc=f"compare fold {fold.files.fold}",
            total=fold.num_patches,
            unit=" patches",
            disable=None,
        )
        for _ in intake.read(fold, bar):
            pass
    return audits.Audit(intake.audits(), origin)


def _require_memory(patches_of_largest_fold: int) -> None:
    """Raises UserError where a fold, whose records are kept until it is written, is more than memory holds."""
    needed, available = patches_of_largest_fold * _BYTES_PER_PATCH, available_host_bytes()
    if available is not None and needed > available:
        raise UserError(
            f"a fold of {counted(patches_of_largest_fold, 'patch')} takes about {needed / 1e6:,.0f} MB of memory while"
            f" it is written, and {available / 1e6:,.0f} MB are available",
            advice="prepare on a machine with more memory; the data set can be copied",
        )


@contextlib.contextmanager
def _records_in_memory() -> Iterator[None]:
    """Lets TensorFlow Datasets keep records of any size in memory: beyond 1,000 MiB a fold it asks for TensorFlow."""
    before = shuffle.MAX_MEM_BUFFER_SIZE
    shuffle.MAX_MEM_BUFFER_SIZE = sys.maxsize
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE = before
