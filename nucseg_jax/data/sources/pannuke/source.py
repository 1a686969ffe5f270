"""Where the data come from and where they are prepared: all that `prepare` has to be told."""

import dataclasses
import pathlib
from typing import Literal

from nucseg_jax.core.errors import UserError

Kind = Literal["download", "release", "synthetic"]
# Each fold begins with one patch of every trap; `synthetic.TRAPS` names them.
SYNTHETIC_MINIMUM = 5
KINDS: tuple[Kind, ...] = ("download", "release", "synthetic")


@dataclasses.dataclass(frozen=True)
class DataSource:
    """A source of patches and the folder that the prepared data set goes to.

    Attributes:
      source: download = the three archives of PanNuke; release = a folder that holds them, zipped or not;
        synthetic = drawn here.
      release_dir: the folder of the release; only read where `source` is release.
      data_dir: the folder of prepared data sets, as TensorFlow Datasets calls it; pannuke/1.0.0 is below it.
      synthetic_patches_per_fold: patches in each fold, at least 5; only read where `source` is synthetic.
      synthetic_seed: seed of the drawing, at least 0; likewise.
      allow_duplicates: whether patches of one fold may be those of another; the official archives may always.
    """

    source: Kind
    release_dir: pathlib.Path | None
    data_dir: pathlib.Path
    synthetic_patches_per_fold: int
    synthetic_seed: int
    allow_duplicates: bool = False

    def __post_init__(self) -> None:
        if self.source not in KINDS:
            raise UserError(f"data.source is {self.source!r}.", expected=f"one of {', '.join(KINDS)}")
        if self.source == "release" and self.release_dir is None:
            raise UserError(
                "data.source is release, but data.release_dir is empty.",
                expected="the folder that holds the PanNuke release, zipped or unpacked",
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
