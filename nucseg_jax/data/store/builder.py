"""Any opened source as a TensorFlow Datasets builder that needs no TensorFlow.

    Nuclei(opened, data_dir="data").download_and_prepare()

The writer of TensorFlow Datasets keeps a split's records in memory, so patches are stored as splits fold1, fold2, ...
of a bounded size, in the order in which the source gives them. Images are stored as they are (BYTES) and both maps
compressed (ZLIB). Memory stays the same from the second part on; 6,000 patches of 256 px peak at 690 MiB, when the last
parts are read back (`benchmarks/prepare.py --sources store --patches 6000`).
"""

import math
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import FILE_NAME as DESCRIPTION
from nucseg_jax.data.sources.patch import OpenedSource, Patch
from nucseg_jax.data.store import index_file, stored_files
from nucseg_jax.data.store.layout import Example
from nucseg_jax.data.store.tally import Tally

FILE_FORMAT = "array_record"
PART_BYTES = 128 << 20


def record_bytes(patch_px: int) -> int:
    """Returns the bytes of a patch's record in memory: image, and an eighth of both maps, which compress to less."""
    return patch_px**2 * 3 + patch_px**2 * 3 // 8


def part_sizes(patch_count: int, patch_px: int) -> list[int]:
    """Returns the patches of each part: as few parts as hold `PART_BYTES` of records at most, of nearly the same size.

    >>> part_sizes(1500, 256)
    [500, 500, 500]
    """
    largest = max(1, PART_BYTES // record_bytes(patch_px))
    parts = math.ceil(patch_count / largest)
    return [patch_count * (part + 1) // parts - patch_count * part // parts for part in range(parts)]


class WrittenBeside(tfds.core.Metadata):
    """Has files written beside the records; called by TensorFlow Datasets once every split is written."""

    def __init__(self, write: Callable[[pathlib.Path], None]):
        super().__init__()
        self._write = write

    def save_metadata(self, data_dir: str | os.PathLike[str]) -> None:
        """Writes the files."""
        self._write(pathlib.Path(data_dir))

    def load_metadata(self, data_dir: str | os.PathLike[str]) -> None:
        """Restores nothing: a `Layout` reads the files."""


def patch_features(patch_px: int, **group: Any) -> tfds.features.FeaturesDict:
    """Returns the features of a record; `group` is the one that differs by builder."""
    shape, tensor = (patch_px, patch_px), tfds.features.Tensor
    return tfds.features.FeaturesDict(
        {
            "image": tensor(shape=(*shape, 3), dtype=np.uint8, encoding="bytes"),
            "label": tensor(shape=shape, dtype=np.uint8, encoding="zlib"),
            "instance": tensor(shape=shape, dtype=np.uint16, encoding="zlib"),
            **group,
            "fold": tfds.features.Scalar(np.int32),
            "index": tfds.features.Scalar(np.int32),
        }
    )


class Nuclei(tfds.core.GeneratorBasedBuilder):
    """Patches of nuclei as the splits fold1, fold2, ..., in the order of their source."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Image, class map, instance map, group, fold and index."}  # noqa: RUF012

    def __init__(self, opened: OpenedSource, *, show_progress: bool = False, **options: object):
        """Makes the builder.

        Args:
          opened: what it stores; at least one patch.
          show_progress: whether to draw a bar.
          **options: those of `tfds.core.GeneratorBasedBuilder`: data_dir, file_format.
        """
        self._opened = opened
        self._show_progress = show_progress
        options.setdefault("file_format", FILE_FORMAT)
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        info, px = self._opened.info, self._opened.info.patch_px
        folder = pathlib.Path(self._data_dir_root)
        folder.mkdir(parents=True, exist_ok=True)
        self._tally = Tally(info, folder)
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{info.name}: patches of {px} px at {info.microns_per_px} microns per px.",
            # Of the group, its position; the names lie in dataset.json.
            features=patch_features(px, group=tfds.features.Scalar(np.int32)),
            citation=info.citation,
            license=info.licence,
            # Rows stay in the source's order, and reading them back in order is one pass.
            disable_shuffling=True,
            metadata=WrittenBeside(self._write_beside),
        )

    def _write_beside(self, folder: pathlib.Path) -> None:
        info = self._tally.info
        info.write(folder)
        index_file.write_index(folder, self._tally.index(), info)
        beside = stored_files.digests_of(folder, (DESCRIPTION, index_file.FILE_NAME))
        self._tally.audit(self._opened.origin, {**stored_files.digests(folder), **beside}).save(folder)

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, Example]]]:
        del dl_manager
        opened = self._opened
        sizes = part_sizes(opened.patch_count, opened.info.patch_px)
        patches = announced_patches(opened)
        if self._show_progress:
            patches = tqdm.tqdm(
                patches, desc="prepare", total=opened.patch_count, unit=" patches", disable=None
            )
        # TensorFlow Datasets exhausts one split after another, so that all take from one stream. A bar gives a new one
        # each time it is asked, and the first to end closes the bar's.
        stream = iter(patches)
        return {
            f"fold{part}": self._generate_examples(stream, part, size) for part, size in enumerate(sizes, 1)
        }

    def _generate_examples(
        self, stream: Iterator[Patch], part: int, size: int
    ) -> Iterator[tuple[int, Example]]:
        for row in range(size):
            patch = next(stream)
            self._tally.add(part, row, patch)
            yield (
                row,
                {
                    "image": patch.image,
                    "label": patch.label,
                    "instance": patch.instance,
                    "group": patch.group,
                    "fold": part,
                    "index": row,
                },
            )
        if part == len(part_sizes(self._opened.patch_count, self._opened.info.patch_px)):
            for _ in stream:  # Ends the bar, and finds patches that were not announced.
                pass


def announced_patches(opened: OpenedSource) -> Iterator[Patch]:
    """Yields the patches of a source, as many as it announced.

    Raises:
      UserError: there are fewer, or more.
    """
    given = 0
    for patch in opened.patches():
        given += 1
        if given > opened.patch_count:
            break
        yield patch
    if given != opened.patch_count:
        more = "more" if given > opened.patch_count else f"{given:,}"
        raise UserError(
            f"the source gave {more} of {counted(opened.patch_count, 'patch')}: its files changed meanwhile",
            expected="files that stay as they are while they are read",
            advice="run the same command again",
        )
