"""Scores of masks: exact counts of pixels first, ratios last.

    logits, label  --count-->        Counts of a batch  --merge-->  Counts of a split  --scores-->  {"micro": ...}
    two masks      --count_masks-->  Counts of a batch

Counts are whole numbers, and no ratio is taken before all of them are merged: neither the batch size nor the order of
batches changes a digit of a score.

    counts = Counts.empty()
    for start, image, label in batches:
        logits = model.apply(variables, image, train=False)
        counts = counts.merge(count(logits, label, index=range(start, start + len(label))))
    scores(counts)["micro"]["dice"]

Letters: N images, H x W pixels, C logits a pixel, K counted classes: 1 when C = 1 (nucleus against background), else C
(any nucleus, then each of the C - 1 classes against all the rest).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.core.arrays import Array
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.results import Entry
from nucseg_jax.data.dataset_info import PALETTE, DatasetInfo, NucleusClass
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import METRICS
from nucseg_jax.ops.counts import count_labels, count_pixels

__all__ = ["METRICS", "Counts", "count", "count_masks", "scores"]

_count_pixels = jax.jit(count_pixels)
_count_labels = jax.jit(count_labels, static_argnames="num_classes")


def count(
    logits: Array,
    label: Array,
    valid_px: Array | None = None,
    *,
    index: Sequence[int] | Array | None = None,
    group: Sequence[int] | Array | None = None,
) -> Counts:
    """Counts the pixels of a batch that a model has right and wrong, image by image and class by class.

    A pixel is nucleus where the probability of any nucleus exceeds 0.5; its class is the likeliest one.

    Args:
      logits: floating [N, H, W, C].
      label: integer or bool [N, H, W], 0 = background; any other value is nucleus when C = 1, else 0..C-1.
      valid_px: bool [N, H, W], False = nobody annotated the pixel, it is not counted; None = every pixel counts.
      index: integer [N], number of each image, no two alike in all that is merged; None = 0..N-1.
      group: integer [N], such as the slide or the tissue that each image is from, for the convention that averages over
        groups; None = all are of one.

    Returns:
      `Counts` of N images, on the host.

    Raises:
      ValueError: shapes or dtypes that do not belong together, or a label outside of 0..C-1.

    >>> counts = count(np.array([[[[3.0], [-2.0]]]]), np.array([[[1, 1]]]))
    >>> counts.counts.tolist()    # TP, FP, FN, TN
    [[[1, 0, 1, 0]]]
    """
    label, valid_px = _checked_pixels("label", label, valid_px)
    if np.ndim(logits) == 4 and logits.shape[-1] > 1:
        _require_classes("label", label, valid_px, logits.shape[-1])
    return _as_counts(_count_pixels(jnp.asarray(logits), label, valid_px), index, group)


def count_masks(
    prediction: Array,
    truth: Array,
    valid_px: Array | None = None,
    *,
    num_classes: int = 1,
    index: Sequence[int] | Array | None = None,
    group: Sequence[int] | Array | None = None,
) -> Counts:
    """Counts the pixels of two masks that agree and disagree, from whatever model they are.

    Args:
      prediction: integer or bool [N, H, W], 0 = background.
      truth: the same; any other value is nucleus when `num_classes` is 1, else 0..num_classes-1. An instance map is a
        mask too.
      valid_px, index, group: as in `count`.
      num_classes: C, 1 or background and the classes of nuclei.

    Returns:
      `Counts` of N images, on the host.

    Raises:
      ValueError: as `count`.

    >>> mask = np.array([[[0, 1, 1]]])
    >>> scores(count_masks(mask, np.array([[[0, 1, 0]]])))["micro"]["dice"]
    0.6666666666666666
    """
    prediction, _ = _checked_pixels("prediction", prediction, None)
    truth, valid_px = _checked_pixels("truth", truth, valid_px)
    if num_classes > 1:
        _require_classes("prediction", prediction, valid_px, num_classes)
        _require_classes("truth", truth, valid_px, num_classes)
    return _as_counts(_count_labels(prediction, truth, valid_px, num_classes=num_classes), index, group)


def scores(counts: Counts, info: DatasetInfo | None = None) -> Entry:
    """Computes Dice, IoU, accuracy, sensitivity, precision and specificity in six conventions.

    'micro' pools the pixels of all images. The others average over images: where the truth is empty, Dice and IoU are 0
    in 'image_zero', the image is left out in 'image_skip', and they are 1 or 0 in 'image_one', as nothing or something
    was predicted. 'batch8' pools 8 consecutive images and averages over these. The last averages 'image_skip' over
    groups; its key is the data set's word for a group ('group' without `info`).

    Args:
      counts: of all images.
      info: names the classes and the groups; None = the classes are 'class 1', 'class 2', ...

    Returns:
      {convention: {metric: float, or None where it is undefined}} of nucleus against background, metrics as in
      `METRICS`; with several classes also 'classes': {class name: the same}.

    Raises:
      ValueError: `info` has other classes than the counts.

    >>> sorted(scores(Counts.empty()))
    ['batch8', 'group', 'image_one', 'image_skip', 'image_zero', 'micro']
    """
    counted_classes = counts.counts.shape[1]
    if info is None:
        return counts.scores(_unnamed_classes(counted_classes - 1))
    if counted_classes not in (1, len(info.classes) + 1):
        raise UserError(
            f"the counts are of num_classes={counted_classes}, and the data set {info.name!r} has"
            f" {len(info.classes)}: {', '.join(info.class_names) or 'nuclei without classes'}",
            expected=f"num_classes=1 (nucleus or not), or {len(info.classes) + 1} (background and each class)",
        )
    return counts.scores(info)


def _unnamed_classes(count: int) -> DatasetInfo:
    classes = [NucleusClass(f"class {number + 1}", PALETTE[number % len(PALETTE)]) for number in range(count)]
    return DatasetInfo(name="unnamed", classes=tuple(classes))


def _checked_pixels(name: str, label: Array, valid_px: Array | None) -> tuple[Array, Array | None]:
    """Returns both as arrays of whole numbers and of bool."""
    label = label if isinstance(label, jax.Array) else np.asarray(label)
    if label.ndim != 3 or not (label.dtype == bool or jnp.issubdtype(label.dtype, jnp.integer)):
        raise UserError(
            f"{name} is {label.dtype} {list(label.shape)}", expected="whole numbers or bool, [N, H, W]"
        )
    if valid_px is not None:
        valid_px = valid_px if isinstance(valid_px, jax.Array) else np.asarray(valid_px)
        if valid_px.dtype != bool or valid_px.shape != label.shape:
            raise UserError(
                f"valid_px is {valid_px.dtype} {list(valid_px.shape)}",
                expected=f"bool {list(label.shape)}, as {name} has",
            )
    return label, valid_px


def _require_classes(name: str, label: Array, valid_px: Array | None, num_classes: int) -> None:
    """Raises UserError if a pixel that counts has a label of no class: it would count as background nowhere."""
    values = np.asarray(label) if valid_px is None else np.asarray(label)[np.asarray(valid_px)]
    largest, smallest = (int(values.max()), int(values.min())) if values.size else (0, 0)
    if largest >= num_classes or smallest < 0:
        raise UserError(
            f"{name} has the value {largest if largest >= num_classes else smallest}",
            expected=f"0..{num_classes - 1} with num_classes={num_classes}",
            advice="leave out pixels that nobody annotated, such as valid_px=(label != 255)",
        )


def _as_counts(
    counts: jax.Array, index: Sequence[int] | Array | None, group: Sequence[int] | Array | None
) -> Counts:
    N = len(counts)
    return Counts.from_batch(
        counts=counts,
        index=np.arange(N) if index is None else np.asarray(index),
        group=np.zeros(N, np.int32) if group is None else np.asarray(group),
        losses={},
        valid=np.ones(N, bool),
    )
