"""Pictures of what a model got right and wrong, as in figure 11 of the paper. Arrays in, uint8 RGB out.

Notation: [..., H, W] any number of pictures; K rows of a sheet.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from nucseg_jax.core import files
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.contact_sheet import contact_sheet
from nucseg_jax.evaluation.examples import Examples, mask_dice

Color = tuple[int, int, int]

# Figure 11's colours, in shades that can be told apart on purple tissue.
CORRECT: Color = (30, 90, 255)
EXTRA: Color = (255, 20, 20)
MISSING: Color = (0, 225, 60)

# Errors are often a rim one pixel wide on dark nuclei and must shine; agreement is broad and may not hide them.
_OPACITY_OF_CORRECT = 0.5
_OPACITY_OF_ERRORS = 0.8
_HEADINGS = ("image", "truth", "predicted probability", "errors")
LEGEND = (("correct", CORRECT), ("extra", EXTRA), ("missing", MISSING))
# Of pixels that nobody annotated; no tissue, truth or error has it.
VOID_SHADE: Color = (128, 128, 128)
VOID_LEGEND = (("not annotated", VOID_SHADE),)
_OPACITY_OF_VOID = 0.6


def error_overlay(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Figure 11: blue where truth and prediction agree on nucleus, red what is extra, green what is missing.

    Colours are blended with the tissue, which stays visible below them.

    Args:
      image: uint8 [..., H, W, 3].
      truth: bool [..., H, W].
      prediction: bool [..., H, W].

    Returns:
      uint8 [..., H, W, 3]; pixels that are background in both stay as they are.
    """
    overlay = image.copy()
    for where, color, opacity in (
        (truth & prediction, CORRECT, _OPACITY_OF_CORRECT),
        (prediction & ~truth, EXTRA, _OPACITY_OF_ERRORS),
        (truth & ~prediction, MISSING, _OPACITY_OF_ERRORS),
    ):
        blended = (1.0 - opacity) * image[where] + opacity * np.array(color)
        overlay[where] = np.rint(blended).astype(np.uint8)
    return overlay


def shaded(picture: np.ndarray, void: np.ndarray) -> np.ndarray:
    """Blends pixels that nobody annotated with grey; without any the picture stays as it is.

    Args:
      picture: uint8 [..., H, W, 3].
      void: bool [..., H, W].

    Returns:
      uint8 [..., H, W, 3].
    """
    result = picture.copy()
    blended = (1.0 - _OPACITY_OF_VOID) * picture[void] + _OPACITY_OF_VOID * np.array(VOID_SHADE)
    result[void] = np.rint(blended).astype(np.uint8)
    return result


def example_sheet(examples: Examples, info: DatasetInfo) -> np.ndarray:
    """Draws a sheet with one row per example, uint8 [H, W, 3]; see `prediction_sheet`."""
    return prediction_sheet(
        examples.image,
        examples.truth,
        examples.probability / 255.0,
        examples.prediction,
        [examples.name(number, info) for number in range(len(examples.position))],
        void=examples.void,
    )


def prediction_sheet(
    image: np.ndarray,
    truth: np.ndarray,
    probability: np.ndarray,
    prediction: np.ndarray,
    captions: Sequence[str],
    *,
    void: np.ndarray | None = None,
) -> np.ndarray:
    """A sheet with one row per patch: image, truth, predicted probability, errors; the row's Dice below it.

    Args:
      image: uint8 [K, H, W, 3], K >= 1.
      truth: bool [K, H, W].
      probability: float [K, H, W], 0..1, of any nucleus.
      prediction: bool [K, H, W], what is scored.
      captions: K short texts, what each patch is.
      void: bool [K, H, W], pixels that nobody annotated, in which there is neither truth nor prediction; None = none.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: these have different lengths, or none at all.
    """
    void = np.zeros_like(truth) if void is None else void
    errors = shaded(error_overlay(image, truth, prediction), void)
    rows = [
        (tissue, shaded(_gray(one_truth), one_void), _gray(one_probability), one_errors)
        for tissue, one_truth, one_probability, one_errors, one_void in zip(
            image, truth, probability, errors, void, strict=True
        )
    ]
    scored = [
        f"{caption} · {'not annotated' if one_void.all() else _dice_text(one_truth, one_prediction)}"
        for caption, one_truth, one_prediction, one_void in zip(
            captions, truth, prediction, void, strict=True
        )
    ]
    legend = (*LEGEND, *VOID_LEGEND) if void.any() else LEGEND
    return contact_sheet(rows, headings=_HEADINGS, captions=scored, legend=legend)


def save_png(path: pathlib.Path, picture: np.ndarray) -> None:
    """Writes a picture, uint8 [H, W, 3] or [H, W], atomically; makes the folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic_write(path) as part:
        Image.fromarray(picture).save(part, format="PNG", optimize=True)


def _gray(share: np.ndarray) -> np.ndarray:
    """[H, W] in 0..1 to uint8 [H, W, 3], 0 = black."""
    level = np.rint(255.0 * np.clip(share, 0.0, 1.0)).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=-1)


def _dice_text(truth: np.ndarray, prediction: np.ndarray) -> str:
    dice = mask_dice(truth, prediction)
    return "no nucleus, none predicted" if dice is None else f"Dice {dice:.3f}"
