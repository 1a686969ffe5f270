"""Builds a data set from an opened source; it appears complete or not at all."""

import contextlib
import dataclasses
import io
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.sources.patch import OpenedSource, Patch
from nucseg_jax.data.store.audit import Audit, load_audit
from nucseg_jax.data.store.builder import Nuclei, announced_patches, part_sizes, record_bytes
from nucseg_jax.data.store.location import NUCLEI, dataset_folder
from nucseg_jax.data.store.near_duplicates import THUMBNAIL_PX
from nucseg_jax.data.store.reader import stored_digest
from nucseg_jax.data.store.tally import Tally

CONTACT_SHEET = "contact_sheet.png"
SHEET_PATCHES = 12
Draw = Callable[[Sequence[Patch], DatasetInfo], np.ndarray]


def build(opened: OpenedSource, data_dir: pathlib.Path, scratch: pathlib.Path, *, draw_sheet: Draw) -> Audit:
    """Builds the data set in a scratch folder, reads it back, and moves it to its place in one step.

    Args:
      opened: the source.
      data_dir: where the data set goes; none is there yet.
      scratch: an empty folder on the disk of `data_dir`.
      draw_sheet: draws a few patches: uint8 [H, W, 3], kept as `contact_sheet.png` beside the records.

    Returns:
      The audit that lies beside the data.

    Raises:
      UserError: the source is at fault in any way, or there is no room; nothing is in `data_dir` then.
    """
    if not opened.patch_count:
        raise UserError("the source has no patch", expected="images that hold at least one patch")
    bytes_per_patch = record_bytes(opened.info.patch_px) + THUMBNAIL_PX**2
    require_room(scratch, data_dir, opened.patch_count, bytes_per_patch)
    sample = SpreadSample(opened.patch_count, SHEET_PATCHES)
    passing = dataclasses.replace(opened, patches=lambda: sample.taken_from(opened.patches()))
    builder = Nuclei(passing, data_dir=str(scratch), show_progress=True)
    with silent_tfds():
        builder.download_and_prepare()
    built = dataset_folder(scratch, NUCLEI)
    audit = load_audit(built)
    require_written(built, audit.digest)
    PIL.Image.fromarray(draw_sheet(sample.patches, opened.info)).save(built / CONTACT_SHEET)
    move_into_place(built, dataset_folder(data_dir, NUCLEI))
    return audit


def digest_of_source(opened: OpenedSource, scratch: pathlib.Path) -> str:
    """Reads a whole source, and computes the digest of the data set that `build` would make; writes nothing."""
    tally = Tally(opened.info, scratch)
    sizes = part_sizes(opened.patch_count, opened.info.patch_px)
    places = ((part, row) for part, size in enumerate(sizes, 1) for row in range(size))
    for (part, row), patch in zip(places, announced_patches(opened), strict=True):
        tally.add(part, row, patch)
    return tally.digest


class SpreadSample:
    """Keeps a few patches of a stream: one of each stretch, drawn from those with a nucleus if it has any.

    Attributes:
      patches: those kept.
    """

    def __init__(self, count: int, most: int):
        """Takes how many patches the stream has, and how many to keep at most."""
        self._stretches = min(count, most)
        self._count = count
        self._kept: dict[int, Patch] = {}

    @property
    def patches(self) -> list[Patch]:
        """The patches kept, in order."""
        return [patch for _, patch in sorted(self._kept.items())]

    def taken_from(self, patches: Iterator[Patch]) -> Iterator[Patch]:
        """Gives the patches on as they pass by; the same ones are kept each time."""
        drawn = np.random.default_rng(0)
        seen: dict[int, int] = {}
        for position, patch in enumerate(patches):
            stretch = position * self._stretches // self._count
            if patch.instance.any():
                seen[stretch] = seen.get(stretch, 0) + 1
                if drawn.random() * seen[stretch] < 1:  # Each with the same probability in the end.
                    self._kept[stretch] = patch
            else:
                self._kept.setdefault(stretch, patch)
            yield patch


def require_room(
    scratch: pathlib.Path, data_dir: pathlib.Path, patch_count: int, bytes_per_patch: int
) -> None:
    """Raises UserError where the disk has less room than the records need."""
    needed, free = patch_count * bytes_per_patch, shutil.disk_usage(scratch).free
    if needed > free:
        raise UserError(
            f"the records of {counted(patch_count, 'patch')} need about {needed / 1e6:,.0f} MB, and the disk of"
            f" {data_dir} has {free / 1e6:,.0f} MB free.",
            expected="room for the whole data set",
            advice="free some space, or choose another --config.data.dir",
        )


def require_written(built: pathlib.Path, digest: str) -> None:
    """Reads back what was written; raises UserError where its digest is another."""
    if stored_digest(built) != digest:
        raise UserError(
            "What was written does not read back as it was: disk or memory is at fault.",
            advice="run the same command again, on another disk if it repeats",
        )


def move_into_place(built: pathlib.Path, place: pathlib.Path) -> None:
    """Moves a finished data set out of the scratch folder, in one step."""
    place.parent.mkdir(parents=True, exist_ok=True)
    built.rename(place)


@contextlib.contextmanager
def silent_tfds() -> Iterator[None]:
    """Keeps back what TensorFlow Datasets prints: bars without a total, the scratch folder as the place."""
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.enable_progress_bar()
