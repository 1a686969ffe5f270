"""Settings of `prepare`: the source of the data and the folder that they are prepared in."""

import dataclasses
import pathlib
from typing import get_args

from nucseg_jax.config import Remainder, SourceName
from nucseg_jax.core.errors import UserError

# Each fold begins with one patch of every trap; `synthetic.TRAPS` names them.
SYNTHETIC_MINIMUM = 5
KINDS: tuple[SourceName, ...] = get_args(SourceName)
# Patches of these come as they are, 256 px at 0.25 microns; images of the others are resampled and cut.
PANNUKE_KINDS: tuple[SourceName, ...] = ("download", "release", "synthetic")
_PANNUKE_PX, _PANNUKE_MICRONS = 256, 0.25
# What `release_dir` must hold.
_FOLDERS: dict[SourceName, str] = {
    "release": "the folder that holds the PanNuke release, zipped or unpacked",
    "folder": "the folder that holds images/ and labels/",
    "consep": "the folder that holds CoNSeP's Train/ and Test/",
    "monuseg": "the folder that holds MoNuSeg's 'Tissue Images/' and Annotations/",
}


@dataclasses.dataclass(frozen=True)
class DataSource:
    """A source of patches and the folder that the prepared data set goes to; ranges are those of `DataConfig`.

    Attributes:
      source: download = the three archives of PanNuke; release = a folder that holds them, zipped or not;
        synthetic = drawn here; folder = images and labels of the user's own; consep, monuseg = as published.
      release_dir: the folder of the images; None where `source` reads none.
      data_dir: the folder of prepared data sets, as TensorFlow Datasets calls it.
      synthetic_patches_per_fold: patches in each fold, at least 5; only read where `source` is synthetic.
      synthetic_seed: seed of the drawing, at least 0; likewise.
      allow_duplicates: whether patches of one fold may be those of another; the official archives may always.
      patch_px: side of a patch.
      microns_per_px: of the patches, which is the model's scale.
      image_microns_per_px: of the images, where neither they nor dataset.yaml say it; 0 = not given.
      remainder: treatment of an image's edge that fills no patch: reflect = a patch filled up with its
        reflection, drop = left out.
    """

    source: SourceName
    release_dir: pathlib.Path | None
    data_dir: pathlib.Path
    synthetic_patches_per_fold: int
    synthetic_seed: int
    allow_duplicates: bool = False
    patch_px: int = _PANNUKE_PX
    microns_per_px: float = _PANNUKE_MICRONS
    image_microns_per_px: float = 0.0
    remainder: Remainder = "reflect"

    def __post_init__(self) -> None:
        if self.source in _FOLDERS and self.release_dir is None:
            raise UserError(
                f"data.source is {self.source}, but data.release_dir is empty.",
                expected=_FOLDERS[self.source],
                advice="add --config.data.release_dir=FOLDER, or choose --config.data.source=synthetic",
            )
        if self.source in PANNUKE_KINDS:
            self._require_pannuke_patches()

    def _require_pannuke_patches(self) -> None:
        """Refuses settings that PanNuke's patches, which nobody cuts, could only ignore."""
        for field, value, own in (
            ("patch_px", self.patch_px, _PANNUKE_PX),
            ("microns_per_px", self.microns_per_px, _PANNUKE_MICRONS),
            ("image_microns_per_px", self.image_microns_per_px, 0.0),
            ("remainder", self.remainder, "reflect"),
        ):
            if value != own:
                raise UserError(
                    f"data.{field} is {value!r}, and the patches of data.source={self.source} come as they are",
                    expected=f"{own!r}: PanNuke's patches have {_PANNUKE_PX} px at {_PANNUKE_MICRONS} microns",
                    advice=f"leave out --config.data.{field}; tiles of training may be smaller: train.tile_px",
                )
