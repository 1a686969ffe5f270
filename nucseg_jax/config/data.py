"""Fields of `data` and `split`: images and labels, and their division."""

import dataclasses
import pathlib
from typing import Literal

from nucseg_jax.core.config_field import field
from nucseg_jax.core.paths import user_path

SourceName = Literal["download", "release", "synthetic", "folder", "consep", "monuseg"]
Remainder = Literal["reflect", "drop"]
Sampling = Literal["uniform", "balanced"]
Protocol = Literal["official", "paper", "k_fold", "table"]
LARGEST_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Images and labels, and the data set that is prepared from them."""

    source: SourceName = field(
        "download",
        "PanNuke: download (its three archives), release (a folder that has them, zipped or unpacked), synthetic"
        " (drawn patches in the same layout, for trials). Your own images and labels: folder. As published: consep,"
        " monuseg.",
    )
    release_dir: str = field(
        "", "Folder of the images, for every source but download and synthetic.", affects="nothing"
    )
    dir: str = field(
        "data_dir", "Folder of prepared data sets (a TFDS data_dir).", affects="nothing", is_required=True
    )
    synthetic_patches_per_fold: int = field(40, "Patches in each fold of the synthetic data set.", at_least=5)
    synthetic_seed: int = field(0, "Seed of the synthetic data set.", at_least=0, at_most=LARGEST_SEED)
    allow_duplicates: bool = field(
        False,
        "Lets `prepare` take a release with the same image in two folds, and `train` a split with nearly the same"
        " patch on two sides; both are refused otherwise.",
        affects="nothing",
        was_added=True,
    )
    patch_px: int = field(
        256,
        "Side of the patches that images are cut into; PanNuke's are 256. Training needs a multiple of 32.",
        at_least=1,
        affects="data",
        was_added=True,
    )
    microns_per_px: float = field(
        0.25,
        "Scale of the patches in microns per pixel, which is the model's; PanNuke's is 0.25.",
        at_least=0.01,
        at_most=10,
        affects="data",
        was_added=True,
    )
    image_microns_per_px: float = field(
        0.0,
        "Scale of the images in microns per pixel, where neither they nor dataset.yaml state it; 0 = they do.",
        at_least=0.01,
        at_most=10,
        or_equals=0,
        affects="data",
        was_added=True,
    )
    remainder: Remainder = field(
        "reflect",
        "Treatment of an image's edge that fills no patch: reflect (filled up with its reflection) or drop (left out).",
        affects="data",
        was_added=True,
    )
    sampling: Sampling = field(
        "uniform",
        "Tiles of an epoch. uniform: every training tile once. balanced: as many, drawn with replacement; tiles of rare"
        " groups (tissues) and of patches with rare classes come more often (CellViT, arXiv:2306.15350). The data set's"
        " classes count even if model.num_classes is 1.",
        was_added=True,
        phrase="{} sampling",
    )
    sampling_gamma: float = field(
        0.85,
        "balanced: 0 = no patch more often than another, 1 = in full inverse proportion to counts.",
        at_least=0,
        at_most=1,
        was_added=True,
    )

    @property
    def release_folder(self) -> pathlib.Path | None:
        """Path of `release_dir`; None where it is empty."""
        return user_path(self.release_dir) if self.release_dir else None

    @property
    def prepared_folder(self) -> pathlib.Path:
        """Path of `dir`."""
        return user_path(self.dir)


@dataclasses.dataclass(frozen=True)
class SplitConfig:
    """Division of the patches into training, validation and test."""

    protocol: Protocol = field(
        "official",
        "official: the authors' own division; PanNuke's is by whole folds. paper: 64/16/20 % of all patches at random,"
        " so slides are on both sides. k_fold: whole groups (patients, slides, tissues) dealt into folds. table: as a"
        " CSV file has it.",
    )
    number: int = field(
        1,
        "Number of the division, from 1. PanNuke: 1 trains on fold 1, validates on 2, tests on 3; 2 swaps the first"
        " two, 3 the outer two."
        " k_fold and tables of folds: the test fold; the next one validates, the rest trains.",
        at_least=1,
    )
    seed: int = field(
        0,
        "Seed of the shuffle (paper), of the folds (k_fold), of the validation groups where a division names none.",
        at_least=0,
        at_most=LARGEST_SEED,
    )
    max_patches: int = field(0, "paper: patches to keep; 0 = all, the paper has 6,716.", at_least=0)
    folds: int = field(
        5,
        "k_fold: folds; 0 = each group is one, in the order of names (leave one group out).",
        at_least=0,
        was_added=True,
    )
    table: str = field(
        "",
        "table: path of a CSV file with the columns `image` and `split.column`.",
        affects="data",
        was_added=True,
    )
    column: str = field(
        "fold",
        "table: the column that holds train, validation and test, or names of folds.",
        was_added=True,
    )
    allow_shared_groups: bool = field(
        False,
        "table, official: lets patches of one group train and test, which is refused otherwise.",
        affects="data",
        was_added=True,
    )
