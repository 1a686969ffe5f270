"""Pictures of nuclei: outlines by class, annotated and predicted, and the kinds of errors. uint8 RGB out."""

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.contact_sheet import contact_sheet
from nucseg_jax.evaluation.examples import Examples
from nucseg_jax.evaluation.instances.instance_map import instance_map
from nucseg_jax.evaluation.instances.nucleus_errors import NucleusErrors, nucleus_errors
from nucseg_jax.evaluation.instances.overlap import overlap
from nucseg_jax.evaluation.instances.panoptic import fsum, panoptic_quality
from nucseg_jax.evaluation.overlays import VOID_LEGEND, Color, shaded

# Of a nucleus without a class; no class of `dataset_info.PALETTE` has it.
UNCLASSIFIED: Color = (255, 255, 255)
FOUND: Color = (30, 90, 255)
EXTRA: Color = (255, 160, 0)
MISSED: Color = (255, 20, 20)
SPLIT: Color = (0, 225, 230)
MERGED: Color = (255, 0, 220)
ERROR_LEGEND = (
    ("found", FOUND),
    ("extra", EXTRA),
    ("missed", MISSED),
    ("split", SPLIT),
    ("merged", MERGED),
)
_HEADINGS = ("image", "annotated nuclei", "predicted nuclei", "errors")


def outline(nuclei: np.ndarray) -> np.ndarray:
    """Returns the pixels of nuclei that have another nucleus or background to the left, right, above or below.

    Args:
      nuclei: integer [H, W], 0 = background.

    Returns:
      bool [H, W]; the border of the image alone makes no outline.
    """
    padded = np.pad(nuclei, 1, mode="edge")
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    is_edge = np.logical_or.reduce([nuclei != neighbour for neighbour in neighbours])
    return np.asarray(is_edge & (nuclei > 0))


def class_outlines(
    image: np.ndarray, nuclei: np.ndarray, class_map: np.ndarray, info: DatasetInfo
) -> np.ndarray:
    """Draws outlines in the colours of the data set's classes.

    Args:
      image: uint8 [H, W, 3].
      nuclei: integer [H, W], 0 = background.
      class_map: uint8 [H, W], class of each pixel's nucleus, 0 = none.
      info: of the data set.

    Returns:
      uint8 [H, W, 3].
    """
    colors = np.array([UNCLASSIFIED, *(each.color for each in info.classes)], np.uint8)
    picture = image.copy()
    is_edge = outline(nuclei)
    picture[is_edge] = colors[class_map[is_edge]]
    return picture


def error_outlines(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, str]:
    """Draws what was found in blue, what is extra in orange, missed in red, split in cyan and merged in magenta.

    Found, extra and merged are outlines of predicted nuclei, missed and split of annotated ones.

    Args:
      image: uint8 [H, W, 3].
      truth, prediction: integer [H, W], 0 = background.

    Returns:
      uint8 [H, W, 3], and PQ and errors of the image in words.
    """
    of_truth, of_prediction = instance_map(truth), instance_map(prediction)
    pairs = overlap(of_truth, of_prediction)
    errors = nucleus_errors(pairs)
    picture = image.copy()
    for nuclei, is_drawn, color in (
        (of_prediction, ~errors.extra, FOUND),
        (of_prediction, errors.extra, EXTRA),
        (of_truth, errors.missed, MISSED),
        (of_truth, errors.split, SPLIT),
        (of_prediction, errors.merged, MERGED),
    ):
        picture[outline(nuclei.keep(is_drawn).number)] = color
    tp, fp, fn = (np.count_nonzero(kind) for kind in (~errors.missed, errors.extra, errors.missed))
    iou_sum = fsum(pairs.iou[pairs.is_match])
    pq = float(panoptic_quality(*map(np.array, (tp, fp, fn, iou_sum))).pq)
    return picture, _words(errors, pq)


def nuclei_sheet(examples: Examples, info: DatasetInfo, captions: list[str] | None = None) -> np.ndarray:
    """Draws a sheet with one row per example: image, annotated and predicted nuclei by class, errors; PQ below it.

    Args:
      examples: K >= 1 patches with nuclei.
      info: of the data set.
      captions: of the patches; None = their names.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: the examples have no nuclei, or there are none.
    """
    nuclei = examples.nuclei
    if nuclei is None:
        raise ValueError("examples without nuclei")
    rows, texts = [], []
    for number, image in enumerate(examples.image):
        truth, prediction, truth_class, prediction_class = (values[number] for values in nuclei)
        errors, text = error_outlines(image, truth, prediction)
        pictures = (
            class_outlines(image, truth, truth_class, info),
            class_outlines(image, prediction, prediction_class, info),
            errors,
        )
        rows.append((image, *(shaded(picture, examples.void[number]) for picture in pictures)))
        name = examples.name(number, info) if captions is None else captions[number]
        texts.append(f"{name} · {'not annotated' if examples.void[number].all() else text}")
    seen = np.union1d(nuclei.truth_class, nuclei.prediction_class)
    classes = [(each.name, each.color) for each in info.classes] if seen.any() else []
    has_unclassified = any(
        ((values > 0) & (class_map == 0)).any()
        for values, class_map in (
            (nuclei.truth, nuclei.truth_class),
            (nuclei.prediction, nuclei.prediction_class),
        )
    )
    unclassified = [("no class" if classes else "nucleus", UNCLASSIFIED)] if has_unclassified else []
    void = VOID_LEGEND if examples.void.any() else ()
    legend = (*classes, *unclassified, *ERROR_LEGEND, *void)
    return contact_sheet(rows, headings=_HEADINGS, captions=texts, legend=legend)


def _words(errors: NucleusErrors, pq: float) -> str:
    """Returns such as 'PQ 0.512 · 12 nuclei, 10 predicted: 3 missed, 1 extra, 0 split, 0 merged'."""
    if np.isnan(pq):
        return "no nucleus, none predicted"
    kinds = ", ".join(
        f"{int(getattr(errors, kind).sum())} {kind}" for kind in ("missed", "extra", "split", "merged")
    )
    return f"PQ {pq:.3f} · {counted(len(errors.missed), 'nucleus')}, {len(errors.extra)} predicted: {kinds}"
