"""Patches of a split with what a model predicted there, kept so that pictures can be drawn without the model.

Spread evenly over the split, and those with the highest and the lowest Dice among patches that have nuclei. Which are
the first depends on the split alone, so that runs on one split share them.
"""

import pathlib
from typing import Any, NamedTuple, Self

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import atomic_write
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.example_nuclei import ExampleNuclei, read_nuclei
from nucseg_jax.evaluation.scores import ratios

SPREAD, BEST, WORST = "spread", "best", "worst"
# Of numpy's kinds of types, one letter a field.
_KINDS = "iiiiUUiiubbub"
_PER_PATCH = 8


class Examples(NamedTuple):
    """K patches; one may come once for each reason.

    Attributes:
      position: int32 [K], in the split's list.
      fold, row: int32 [K], which patch of the data set.
      group: int32 [K], position in the data set's `groups`.
      chosen: str [K], 'spread', 'best' or 'worst'; the best first, the worst first.
      source: str [K], name of the image file that the patch was cut from; '' where it is not known.
      top, left: int32 [K], where in that image, px on the patches' grid.
      image: uint8 [K, H, W, 3].
      truth: bool [K, H, W].
      prediction: bool [K, H, W], the mask that is scored; like `truth` False in pixels that nobody annotated.
      probability: uint8 [K, H, W], of any nucleus, in 255ths.
      void: bool [K, H, W], pixels that nobody annotated.
      nuclei: annotated and predicted; None where nuclei were not scored, and of earlier versions.
    """

    position: np.ndarray
    fold: np.ndarray
    row: np.ndarray
    group: np.ndarray
    chosen: np.ndarray
    source: np.ndarray
    top: np.ndarray
    left: np.ndarray
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    probability: np.ndarray
    void: np.ndarray
    nuclei: ExampleNuclei | None = None

    def of(self, reason: str) -> np.ndarray:
        """The numbers of those chosen for a reason, in order."""
        return np.flatnonzero(self.chosen == reason)

    def only(self, reason: str) -> Self:
        """Those chosen for one reason."""
        return self.take(self.of(reason))

    def take(self, numbers: np.ndarray) -> Self:
        """Returns the patches at these numbers."""
        arrays = {name: getattr(self, name)[numbers] for name in _ARRAYS}
        return type(self)(**arrays, nuclei=None if self.nuclei is None else self.nuclei.take(numbers))

    def at_position(self, position: int) -> int | None:
        """The number of the patch at a position of the split."""
        numbers = np.flatnonzero(self.position == position)
        return int(numbers[0]) if len(numbers) else None

    def dice(self, number: int) -> float | None:
        """Returns the Dice of one patch; None where truth and prediction are both empty."""
        return mask_dice(self.truth[number], self.prediction[number])

    def name(self, number: int, info: DatasetInfo) -> str:
        """Names a patch: 'fold 3, patch 17, Breast', or 'slide7.png at 256, 512' (top, left) where that is known."""
        if self.source[number]:
            return f"{self.source[number]} at {self.top[number]}, {self.left[number]}"
        return f"fold {self.fold[number]}, patch {self.row[number]}, {info.groups[self.group[number]]}"


_ARRAYS = Examples._fields[:-1]


def mask_dice(truth: np.ndarray, prediction: np.ndarray) -> float | None:
    """Computes the Dice of two masks, bool [H, W]; None where both are empty."""
    cells = [(truth & prediction).sum(), (prediction & ~truth).sum(), (truth & ~prediction).sum(), 0]
    dice = float(ratios(np.array(cells))["dice"])
    return None if np.isnan(dice) else dice


def examples_path(run: pathlib.Path, split: str) -> pathlib.Path:
    """Returns the path of a split's examples in a run folder."""
    return run / f"examples_{split}.npz"


def spread_positions(patches: int, count: int) -> np.ndarray:
    """Positions spread evenly over a split, first and last included, each once; int64 [<= count]."""
    return np.unique(np.linspace(0, patches - 1, min(count, patches)).round().astype(int))


def ranked_positions(counts: Counts, each: int) -> tuple[np.ndarray, np.ndarray]:
    """The positions with the highest and with the lowest Dice of nuclei, best and worst first.

    Patches whose truth is empty are left out; of equal ones the earlier comes first.
    """
    nucleus = counts.counts[:, 0]
    candidates = np.flatnonzero(nucleus[:, 0] + nucleus[:, 2] > 0)
    dice = ratios(nucleus[candidates])["dice"]
    best = candidates[np.argsort(-dice, kind="stable")][:each]
    worst = candidates[np.argsort(dice, kind="stable")][:each]
    return counts.index[best], counts.index[worst]


def write_examples(path: pathlib.Path, examples: Examples) -> None:
    """Writes a compressed .npz without pickles, atomically."""
    arrays: dict[str, Any] = {name: getattr(examples, name) for name in _ARRAYS}
    if examples.nuclei is not None:
        arrays |= examples.nuclei.as_arrays()
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_examples(path: pathlib.Path, info: DatasetInfo) -> Examples:
    """Reads a file of `write_examples`; files of earlier versions tell no places and no nuclei.

    Args:
      path: the file.
      info: of the data set that the run was trained on.

    Raises:
      UserError: the file is missing, damaged, or no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        # Files of earlier versions call it by PanNuke's word.
        if "tissue" in arrays:
            arrays["group"] = arrays.pop("tissue")
        if "source" not in arrays:
            nowhere: np.ndarray = np.zeros(len(arrays["position"]), np.int32)
            arrays |= {"source": np.full(len(nowhere), ""), "top": nowhere, "left": nowhere}
        # In data sets of earlier versions every pixel is annotated.
        arrays.setdefault("void", np.zeros_like(arrays["truth"]))
        own = {name: arrays[name] for name in _ARRAYS}
        examples = Examples(**own)
        count, height, width = examples.truth.shape
        expected: dict[str, tuple[int, ...]] = dict.fromkeys(_ARRAYS[:_PER_PATCH], (count,))
        expected |= dict.fromkeys(("truth", "prediction", "probability", "void"), (count, height, width))
        expected["image"] = (count, height, width, 3)
        if {name: values.shape for name, values in own.items()} != expected:
            raise ValueError("arrays of different lengths or sizes")
        if (
            "".join(values.dtype.kind for values in own.values()) != _KINDS
            or examples.image.dtype != np.uint8
        ):
            raise ValueError("arrays of other types")
        if count and not 0 <= examples.group.min() <= examples.group.max() < len(info.groups):
            raise ValueError("a group without a name")
        nuclei = read_nuclei(arrays, (count, height, width), len(info.classes))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", expected="a file that train wrote") from None
    # zipfile, zlib and numpy's header parser each raise their own on a damaged file.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read: {error}", expected="an examples_{split}.npz that train wrote"
        ) from error
    return examples._replace(nuclei=nuclei)
