"""Settings of `prepare`: the source of the data and the folder that they are prepared in."""

import dataclasses
import pathlib
from typing import Literal

from nucseg_jax.core.errors import UserError

Kind = Literal["download", "release", "synthetic", "folder", "consep", "monuseg"]
Remainder = Literal["reflect", "drop"]
# Each fold begins with one patch of every trap; `synthetic.TRAPS` names them.
SYNTHETIC_MINIMUM = 5
KINDS: tuple[Kind, ...] = ("download", "release", "synthetic", "folder", "consep", "monuseg")
REMAINDERS: tuple[Remainder, ...] = ("reflect", "drop")
# Patches of these come as they are, 256 px at 0.25 microns; images of the others are resampled and cut.
PANNUKE_KINDS: tuple[Kind, ...] = ("download", "release", "synthetic")
_PANNUKE_PX, _PANNUKE_MICRONS = 256, 0.25
# What `release_dir` must hold.
_FOLDERS: dict[Kind, str] = {
    "release": "the folder that holds the PanNuke release, zipped or unpacked",
    "folder": "the folder that holds images/ and labels/",
    "consep": "the folder that holds CoNSeP's Train/ and Test/",
    "monuseg": "the folder that holds MoNuSeg's 'Tissue Images/' and Annotations/",
}


@dataclasses.dataclass(frozen=True)
class DataSource:
    """A source of patches and the folder that the prepared data set goes to.

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

    source: Kind
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
        if self.source not in KINDS:
            raise UserError(f"data.source is {self.source!r}.", expected=f"one of {', '.join(KINDS)}")
        if self.remainder not in REMAINDERS:
            raise UserError(
                f"data.remainder is {self.remainder!r}", expected=f"one of {', '.join(REMAINDERS)}"
            )
        if self.source in _FOLDERS and self.release_dir is None:
            raise UserError(
                f"data.source is {self.source}, but data.release_dir is empty.",
                expected=_FOLDERS[self.source],
                advice="add --config.data.release_dir=FOLDER, or choose --config.data.source=synthetic",
            )
        if self.source == "synthetic" and (
            self.synthetic_patches_per_fold < SYNTHETIC_MINIMUM or self.synthetic_seed < 0
        ):
            raise UserError(
                f"The synthetic set is to have {self.synthetic_patches_per_fold} patches a fold and the seed"
                f" {self.synthetic_seed}.",
                expected=f"at least {SYNTHETIC_MINIMUM} patches a fold and a seed of at least 0",
            )
        if self.source in PANNUKE_KINDS:
            self._require_pannuke_patches()
        if self.patch_px < 1 or not 0.01 <= self.microns_per_px <= 10:
            raise UserError(
                f"data.patch_px is {self.patch_px}, data.microns_per_px {self.microns_per_px}",
                expected="at least 1 px, of 0.01 to 10 microns",
            )
        if self.image_microns_per_px and not 0.01 <= self.image_microns_per_px <= 10:
            raise UserError(
                f"data.image_microns_per_px is {self.image_microns_per_px}",
                expected="0.01 to 10, or 0 where the images state it",
            )

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
