"""One picture for each kind: an image at severities 0 to 5, and below it what the model got right and wrong there."""

from collections.abc import Sequence

import jax
import numpy as np
from skimage.segmentation import find_boundaries

from nucseg_jax.core.arrays import Variables
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.data.void import annotated_px, nucleus_px
from nucseg_jax.evaluation.contact_sheet import contact_sheet
from nucseg_jax.evaluation.evaluator import Evaluator
from nucseg_jax.evaluation.examples import mask_dice
from nucseg_jax.evaluation.overlays import LEGEND, VOID_LEGEND, error_overlay, shaded
from nucseg_jax.evaluation.scores import ratios
from nucseg_jax.evaluation.step import placed_batches
from nucseg_jax.ops.corruptions.kinds import KINDS, SEVERITIES, corrupted

# Of the truth's outline; darker than any nucleus.
OUTLINE = (0, 0, 0)


def median_image(counts: np.ndarray) -> int:
    """Returns the position of the image with the median clean Dice; of equal ones the first.

    Images without a nucleus in truth come last of all: they are taken only where there is no other.

    Args:
      counts: int64 [N, 4] of the clean cell, N >= 1.
    """
    has_truth = counts[:, 0] + counts[:, 2] > 0
    candidates = np.flatnonzero(has_truth) if has_truth.any() else np.arange(len(counts))
    dice = ratios(counts[candidates])["dice"]
    dice = np.where(np.isnan(dice), 0.0, dice)
    median = np.sort(dice)[(len(dice) - 1) // 2]
    return int(candidates[np.argmax(dice == median)])


def strip(
    evaluator: Evaluator, variables: Variables, data: PreparedData, split: str, position: int, kind: str
) -> np.ndarray:
    """Draws the strip of one kind.

    Args:
      evaluator: of the model.
      variables: that are scored.
      data: has the patch.
      split: 'train', 'validation' or 'test'.
      position: of the patch in the split.
      kind: a name of `KINDS`.

    Returns:
      uint8 [height, width, 3].
    """
    severities = (0, *SEVERITIES)
    patch = data.patches.take(data.rows(split)[[position] * len(severities)])
    scale = data.info.microns_per_px
    image = np.concatenate(
        [corrupted(patch.image[:1], kind, severity, microns_per_px=scale) for severity in severities]
    )
    shown = Patches(image, patch.label, patch.group, patch.fold, patch.index, patch.instance)
    rows = np.arange(len(image))
    batches = placed_batches(shown, rows, batch_size=evaluator.batch_size, mesh=evaluator.mesh)
    masks = [jax.device_get(evaluator.step(variables, batch).nucleus) for batch in batches]
    prediction = np.concatenate(masks)[: len(image)]
    valid_px = annotated_px(patch.label[0], has_void=data.info.has_void)
    void = np.zeros(patch.label.shape[1:], bool) if valid_px is None else ~valid_px
    return draw_strip(kind, image, nucleus_px(patch.label[0], valid_px), prediction & ~void, void)


def draw_strip(
    kind: str, image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, void: np.ndarray
) -> np.ndarray:
    """Draws images above, errors with the outline of the truth below.

    Args:
      kind: a name of `KINDS`.
      image: uint8 [6, H, W, 3], severities 0..5.
      truth: bool [H, W].
      prediction: bool [6, H, W].
      void: bool [H, W], pixels that nobody annotated.

    Returns:
      uint8 [height, width, 3].
    """
    row = KINDS[kind]
    errors = [_errors(one, truth, mask, void) for one, mask in zip(image, prediction, strict=True)]
    headings = ["clean", *(f"{row.title} {value:g}" for value in row.values)]
    captions: list[Sequence[str]] = [
        ["severity 0", *(f"severity {severity}" for severity in SEVERITIES)],
        [_dice_text(truth, mask) for mask in prediction],
    ]
    legend = (*LEGEND, *VOID_LEGEND) if void.any() else LEGEND
    words = f"outline of the truth; values: {row.unit}"
    return contact_sheet(
        [list(image), errors], headings=headings, captions=captions, legend=((words, OUTLINE), *legend)
    )


def _errors(image: np.ndarray, truth: np.ndarray, mask: np.ndarray, void: np.ndarray) -> np.ndarray:
    picture = shaded(error_overlay(image, truth, mask), void)
    picture[find_boundaries(truth, mode="inner")] = OUTLINE
    return picture


def _dice_text(truth: np.ndarray, mask: np.ndarray) -> str:
    dice = mask_dice(truth, mask)
    return "no nucleus" if dice is None else f"Dice {dice:.3f}"
