"""Patches that a run kept with its predictions: spread over the split, its best and its worst."""

import dataclasses
import zipfile

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.vocabulary import TISSUES
from nucseg_jax.reporting.reading.run import Run

SPREAD, BEST, WORST = "spread", "best", "worst"
_ARRAYS = ("position", "fold", "row", "tissue", "chosen", "image", "truth", "prediction", "probability")


@dataclasses.dataclass(frozen=True)
class Examples:
    """K patches.

    Attributes:
      file: inside the run folder.
      position: int32 [K], in the split's list.
      fold, row, tissue: int32 [K].
      chosen: str [K], why it was kept; one patch may be kept for several reasons.
      image: uint8 [K, H, W, 3].
      truth, prediction: bool [K, H, W].
      probability: uint8 [K, H, W], 255 = 1.
    """

    file: str
    position: np.ndarray
    fold: np.ndarray
    row: np.ndarray
    tissue: np.ndarray
    chosen: np.ndarray
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    probability: np.ndarray

    def of(self, reason: str) -> np.ndarray:
        """Numbers of the patches kept for a reason, in the order of the file."""
        return np.flatnonzero(self.chosen == reason)

    def at_position(self, position: int) -> int | None:
        """The number of the patch at a position of the split."""
        numbers = np.flatnonzero(self.position == position)
        return int(numbers[0]) if len(numbers) else None

    def dice(self, number: int) -> float | None:
        """Of one patch; None where truth and prediction are both empty."""
        truth, prediction = self.truth[number], self.prediction[number]
        total = int(truth.sum()) + int(prediction.sum())
        return 2 * int((truth & prediction).sum()) / total if total else None

    def name(self, number: int) -> str:
        """'fold 3, patch 17, Breast'."""
        return f"fold {self.fold[number]}, patch {self.row[number]}, {TISSUES[self.tissue[number]]}"


def read_examples(run: Run, split: str) -> Examples | None:
    """The patches that a run kept of a split; None if it kept none.

    Raises:
      UserError: the file is damaged.
    """
    path = run.path / f"examples_{split}.npz"
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _ARRAYS}
        count, height, width = arrays["truth"].shape
        flat = all(arrays[name].shape == (count,) for name in _ARRAYS[:5])
        masks = all(arrays[name].shape == (count, height, width) for name in ("prediction", "probability"))
        if not (flat and masks) or arrays["image"].shape != (count, height, width, 3):
            raise ValueError("arrays of different lengths or sizes")
        if count and not 0 <= arrays["tissue"].min() <= arrays["tissue"].max() < len(TISSUES):
            raise ValueError("a tissue without a name")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a file of examples: {error}") from None
    return Examples(path.name, **arrays)
