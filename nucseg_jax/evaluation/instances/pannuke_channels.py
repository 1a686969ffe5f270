"""Instance maps in the layout of PanNuke's masks, and panoptic quality of them as its evaluation code computes it.

A stack of channels is [H, W, C + 1]: channel c-1 holds the ids of the nuclei of class c, 0 = none; the last channel is
background and is not looked at. A nucleus is a pair (channel, id): one id in two channels is two nuclei. PanNuke has
C = 5. (Gamper et al., arXiv:2003.10778, and the evaluation code published with it.)

Values of one image, NaN standing for undefined, which is left out of means:
    class PQ  of each channel alone, before it is flattened; NaN where the truth has no nucleus of the class
    mPQ       mean of the defined class PQs
    bPQ       of the flattened maps; NaN where the truth has no nucleus: false positives cost nothing there
A prediction without a nucleus has 0. Two modes:
    parity  refuses the images on which that code fails, or numbers nuclei wrongly: a channel or a flattened map without
            a background pixel, and a nucleus that later channels hide wholly
    safe    the same values elsewhere, and a value for these images too
"""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.labels.raster import whole_numbers
from nucseg_jax.evaluation.instances.instance_map import instance_map
from nucseg_jax.evaluation.instances.overlap import overlap
from nucseg_jax.evaluation.instances.panoptic import count_matches, panoptic_quality

Mode: TypeAlias = Literal["parity", "safe"]
_ID_BITS = 32


class FlattenedChannels(NamedTuple):
    """One instance map of all channels.

    Attributes:
      instance: uint32 [H, W], 0 = background, 1..K without gaps, ordered by channel, then by id.
      class_of: uint8 [K + 1], class 1..C of each id; 0 for the background.
      hidden: the count of nuclei of which later channels left no pixel.
      overlap_px: pixels that several channels claim.
    """

    instance: np.ndarray
    class_of: np.ndarray
    hidden: int
    overlap_px: int


class ChannelScores(NamedTuple):
    """Panoptic quality of one image.

    Attributes:
      bpq: of any nucleus.
      class_pq: float64 [C].
      mpq: mean of the defined `class_pq`.
    """

    bpq: float
    class_pq: np.ndarray
    mpq: float


def flatten_channels(channels: np.ndarray) -> FlattenedChannels:
    """Flattens a stack: where several channels claim a pixel, the last of them wins.

    Args:
      channels: whole numbers [H, W, C + 1], of any dtype, floats included; C at least 1.

    Raises:
      UserError: another shape, fractions, or values below 0 or above 2^32 - 1.

    >>> stack = np.zeros((1, 3, 3))
    >>> stack[0, :2, 0] = 70_000
    >>> stack[0, 1, 1] = 9
    >>> flat = flatten_channels(stack)
    >>> flat.instance.tolist(), flat.class_of.tolist(), flat.overlap_px
    ([[1, 2, 0]], [0, 1, 2], 1)
    """
    ids = _checked(channels)
    key: np.ndarray = np.zeros(ids.shape[:2], np.int64)
    for channel in range(ids.shape[-1]):
        is_nucleus = ids[..., channel] > 0
        key[is_nucleus] = (channel + 1) << _ID_BITS | ids[..., channel][is_nucleus]
    nuclei = sum(len(np.unique(ids[..., c][ids[..., c] > 0])) for c in range(ids.shape[-1]))
    known, number = np.unique(np.append(0, key), return_inverse=True)
    return FlattenedChannels(
        instance=number[1:].reshape(key.shape).astype(np.uint32),
        class_of=(known >> _ID_BITS).astype(np.uint8),
        hidden=nuclei - (len(known) - 1),
        overlap_px=int(np.count_nonzero(np.count_nonzero(ids, axis=-1) > 1)),
    )


def channels_of(
    instance: np.ndarray, class_of: np.ndarray, num_classes: int, *, label: np.ndarray | None = None
) -> np.ndarray:
    """Computes the stack of an instance map; `flatten_channels` gives the map back, its ids ordered by class.

    Args:
      instance: integer [H, W], 0 = background.
      class_of: integer [K + 1], class 1..C of each id; K at least the largest id.
      num_classes: C.
      label: uint8 [H, W]; pixels with `VOID_LABEL` are 0 in all channels, as in the release. None = no pixel is void.

    Returns:
      int64 [H, W, C + 1].

    Raises:
      UserError: a nucleus has a class outside of 1..C.
    """
    ids = instance.astype(np.int64)
    classes = np.asarray(class_of)[ids]
    is_nucleus = ids > 0
    if (is_nucleus & ((classes < 1) | (classes > num_classes))).any():
        raise UserError("a nucleus has no class in the layout of PanNuke", expected=f"1..{num_classes}")
    channels: np.ndarray = np.zeros((*ids.shape, num_classes + 1), np.int64)
    for number in range(1, num_classes + 1):
        channels[..., number - 1] = np.where(is_nucleus & (classes == number), ids, 0)
    channels[..., -1] = ~is_nucleus
    if label is not None:
        channels[label == VOID_LABEL] = 0
    return channels


def score_channels(truth: np.ndarray, prediction: np.ndarray, *, mode: Mode) -> ChannelScores:
    """Computes class PQ, mPQ and bPQ of one image.

    Args:
      truth, prediction: whole numbers [H, W, C + 1]; see the head of this file.
      mode: 'parity' or 'safe'.

    Raises:
      UserError: shapes differ or are no stacks of ids; in parity mode, also an image that the published code cannot
        score.
    """
    if truth.shape != prediction.shape:
        raise UserError(
            f"truth and prediction have the shapes {list(truth.shape)} and {list(prediction.shape)}",
            expected="one shape [H, W, C + 1]",
        )
    if mode == "parity":
        _require_parity("the truth", truth)
        _require_parity("the prediction", prediction)
    true_ids, predicted_ids = _checked(truth), _checked(prediction)
    class_pq = np.array([_pq(true_ids[..., c], predicted_ids[..., c]) for c in range(true_ids.shape[-1])])
    defined = class_pq[~np.isnan(class_pq)]
    mpq = float(defined.mean()) if len(defined) else np.nan
    return ChannelScores(
        _pq(flatten_channels(truth).instance, flatten_channels(prediction).instance), class_pq, mpq
    )


def _pq(truth: np.ndarray, prediction: np.ndarray) -> float:
    true_map, predicted_map = instance_map(truth), instance_map(prediction)
    if not true_map.nucleus_count:
        return np.nan
    found = count_matches(
        overlap(true_map, predicted_map),
        np.zeros(true_map.nucleus_count),
        np.zeros(predicted_map.nucleus_count),
        0,
    )
    return float(panoptic_quality(*found).pq[0])


def _require_parity(name: str, channels: np.ndarray) -> None:
    """Raises UserError for a stack that the published code cannot score."""
    ids, flat = _checked(channels), flatten_channels(channels)
    advice = "score it in the mode 'safe'"
    full = [c for c in range(ids.shape[-1]) if ids[..., c].all()]
    if full or flat.instance.all():
        where = f"channel {full[0]}" if full else "the flattened map"
        raise UserError(
            f"{where} of {name} has no background pixel, and the PanNuke evaluation code no value then",
            expected="0 somewhere in each of them",
            advice=advice,
        )
    if flat.hidden:
        raise UserError(
            f"{counted(flat.hidden, 'nucleus')} of {name} lie under later channels wholly, and the PanNuke evaluation"
            " code confuses ids then",
            expected="a visible pixel of each nucleus",
            advice=advice,
        )


def _checked(channels: np.ndarray) -> np.ndarray:
    """Returns the ids of the classes' channels, int64 [H, W, C]."""
    if channels.ndim != 3 or channels.shape[-1] < 2:
        raise UserError(
            f"the channels have the shape {list(channels.shape)}",
            expected="[H, W, classes + 1], the last one background",
        )
    ids = whole_numbers(channels[..., :-1]).astype(np.int64)
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >> _ID_BITS):
        wrong = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
        raise UserError(f"the channels hold the id {wrong}", expected="0 = none, 1..2^32 - 1")
    return ids
