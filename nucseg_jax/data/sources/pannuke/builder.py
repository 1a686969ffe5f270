"""PanNuke as a TensorFlow Datasets builder that needs no TensorFlow.

    Pannuke(data_dir="data").download_and_prepare(
        file_format="array_record", download_config=tfds.download.DownloadConfig(manual_dir="release"))

Images are stored as they are (BYTES) and both maps compressed (ZLIB), because the writer of TensorFlow
Datasets keeps a split's records in memory up to 1,000 MiB and needs TensorFlow beyond: a fold of 2,722 patches
takes about 530 MiB so, and 1,020 MiB with maps stored as they are. `build` lifts that limit where memory allows.
"""

import functools
import pathlib
from collections.abc import Iterator, Mapping

import tensorflow_datasets as tfds
import tqdm

from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import facts, patches, release, vocabulary
from nucseg_jax.data.sources.pannuke.intake import Intake
from nucseg_jax.data.sources.pannuke.layout import write_beside
from nucseg_jax.data.store import stored_files
from nucseg_jax.data.store.builder import FILE_FORMAT, WrittenBeside, patch_features
from nucseg_jax.data.store.layout import Example


class Pannuke(tfds.core.GeneratorBasedBuilder):
    """PanNuke's three folds as the splits fold1, fold2, fold3, in the order of the release's rows."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: Mapping[str, str] = {"1.0.0": "Image, class map, instance map, tissue, fold and index."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Download fold_1.zip, fold_2.zip and fold_3.zip from {facts.HOMEPAGE} into the folder manual_dir."
        " They may stay zipped or be unpacked."
    )

    def __init__(
        self,
        *,
        origin: JsonObject | None = None,
        allow_duplicates: bool = False,
        show_progress: bool = False,
        **options: object,
    ):
        """Makes the builder.

        Args:
          origin: what the audit records as the data's origin; by default, the release folder.
          allow_duplicates: whether patches of one fold may be those of another.
          show_progress: whether to draw one bar a fold, with the number of patches known.
          **options: those of `tfds.core.GeneratorBasedBuilder`: data_dir, file_format.
        """
        self._origin = dict(origin or {"kind": "release"})
        self._intake = Intake(allow_duplicates=allow_duplicates)
        self._show_progress = show_progress
        options.setdefault("file_format", FILE_FORMAT)
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=facts.DESCRIPTION,
            features=patch_features(
                vocabulary.PATCH_PX, tissue=tfds.features.ClassLabel(names=list(vocabulary.TISSUES))
            ),
            homepage=facts.HOMEPAGE,
            citation=facts.CITATION,
            license=facts.LICENSE,
            # Rows stay in the release's order, and reading them back in order is one pass.
            disable_shuffling=True,
            metadata=WrittenBeside(self._write_beside),
        )

    def _write_beside(self, folder: pathlib.Path) -> None:
        audit = audits.Audit(self._intake.audits(), self._origin, stored_files.digests(folder))
        audit.save(folder)
        write_beside(folder, audit, self._intake.tissues())

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, Example]]]:
        found = release.find(pathlib.Path(dl_manager.manual_dir))
        # All headers first: a fault in fold 3 must not show only after folds 1 and 2 were written.
        folds = [patches.check_fold(files) for files in found]
        return {f"fold{fold.files.fold}": self._generate_examples(fold) for fold in folds}

    def _generate_examples(self, fold: patches.CheckedFold) -> Iterator[tuple[int, Example]]:
        wrap = functools.partial(_with_bar, fold=fold) if self._show_progress else iter
        for patch in self._intake.read(fold, wrap):
            yield (
                patch.index,
                {
                    "image": patch.image,
                    "label": patch.label,
                    "instance": patch.instance,
                    "tissue": patch.tissue,
                    "fold": patch.fold,
                    "index": patch.index,
                },
            )


def _with_bar(checked: Iterator[patches.Patch], fold: patches.CheckedFold) -> Iterator[patches.Patch]:
    with_bar: Iterator[patches.Patch] = tqdm.tqdm(
        checked, desc=f"fold {fold.files.fold}", total=fold.num_patches, unit=" patches", disable=None
    )
    return with_bar
