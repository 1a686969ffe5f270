"""PanNuke's instance masks to a class map and an instance map (the rules of the field's evaluation code).

Letters: H, W are the patch's sides, 256 px; channels 0..4 of the masks are the nucleus classes in the order
of `core.vocabulary.NUCLEUS_CLASSES` and hold instance ids, 0 = none; channel 5 is background, 1 = background.

A nucleus is a pair (channel, id): one id in two channels is two nuclei.
"""

from typing import NamedTuple

import numpy as np

from nucseg_jax.data.pieces import count_disconnected
from nucseg_jax.data.sources.pannuke import vocabulary

NUM_CLASSES = len(vocabulary.NUCLEUS_CLASSES)
NUM_CHANNELS = NUM_CLASSES + 1
_ID_BITS = 32


class Observations(NamedTuple):
    """Counts of the masks of one patch, before anything is flattened.

    Attributes:
      nuclei: int64 [5], nuclei of each class, those without a visible pixel included.
      void_px: pixels that are zero in all six channels.
      overlap_px: pixels that two or more classes claim.
      hidden_nuclei: nuclei of which no pixel is left once later channels have won.
      disconnected_nuclei: nuclei that are not 8-connected in their channel.
      largest_id: the largest id of channels 0..4, 0 where there is none.
      largest_nucleus_px: visible pixels of the largest nucleus.
      background_px: pixels of channel 5 that are not 0.
      background_overlap_px: those of them that a nucleus claims too.
      background_values: the least and the largest of channel 5's values beside 0; one or none if there are no two.
    """

    nuclei: np.ndarray
    void_px: int
    overlap_px: int
    hidden_nuclei: int
    disconnected_nuclei: int
    largest_id: int
    largest_nucleus_px: int
    background_px: int
    background_overlap_px: int
    background_values: tuple[int, ...]


class Labels(NamedTuple):
    """The two maps of one patch and what was seen on the way.

    Attributes:
      label: uint8 [H, W], 0 = background, 1..5 = channel + 1.
      instance: uint16 [H, W], 0 = background, 1..K without gaps, ordered by channel, then by id.
      observations: counts for the audit.
    """

    label: np.ndarray
    instance: np.ndarray
    observations: Observations


def from_masks(masks: np.ndarray) -> Labels:
    """Flattens the masks of one patch.

    Foreground is any(channel 0..4 > 0). `1 - background` would be wrong: it turns void pixels, which are zero
    in all six channels, into nucleus. Where two classes claim a pixel the later channel wins; a nucleus wholly
    hidden so disappears, and ids are given after that, so they have no gaps. In the release ids run on from
    patch to patch and may exceed 65,535; here each patch has its own.

    Args:
      masks: integer [H, W, 6], ids of channels 0..4 at least 0, channel 5 = background.

    Returns:
      Class map, instance map and observations.

    Raises:
      ValueError: there are more than 65,535 nuclei, which 256x256 px cannot hold but larger masks could.

    >>> masks = np.zeros([1, 3, 6], np.int32)
    >>> masks[0, :2, 0] = 70_000  # a neoplastic nucleus of two pixels ...
    >>> masks[0, 1, 3] = 9  # ... the second of which a dead one claims; the third pixel is void.
    >>> from_masks(masks).label.tolist(), from_masks(masks).instance.tolist()
    ([[1, 4, 0]], [[1, 2, 0]])
    """
    H, W, C = masks.shape
    is_claim = masks != 0
    is_claim[..., NUM_CLASSES:] = False
    # Row-major: pixels ascend, and channels within a pixel, so a pixel's last claim is its latest channel.
    claim = np.flatnonzero(is_claim)
    pixel, channel = claim // C, claim % C
    ids = masks.reshape(-1)[claim]
    nucleus = (channel.astype(np.int64) << _ID_BITS) | ids
    is_covered: np.ndarray = np.zeros(len(claim), bool)
    is_covered[:-1] = pixel[1:] == pixel[:-1]
    has_overlap = bool(is_covered.any())
    is_visible = ~is_covered if has_overlap else slice(None)

    visible, visible_rank = np.unique(nucleus[is_visible], return_inverse=True)
    if len(visible) > np.iinfo(np.uint16).max:
        raise ValueError(f"{len(visible)} nuclei in one patch do not fit into uint16")
    label: np.ndarray = np.zeros([H, W], np.uint8)
    label.reshape(-1)[pixel[is_visible]] = channel[is_visible] + 1
    instance: np.ndarray = np.zeros([H, W], np.uint16)
    instance.reshape(-1)[pixel[is_visible]] = visible_rank + 1

    claimed = np.unique(nucleus) if has_overlap else visible
    if has_overlap:
        disconnected = sum(count_disconnected(masks[..., c]) for c in range(NUM_CLASSES))
    else:
        disconnected = count_disconnected(instance)
    is_background = masks[..., NUM_CLASSES] != 0
    background = masks[..., NUM_CLASSES][is_background]
    observations = Observations(
        nuclei=np.bincount(claimed >> _ID_BITS, minlength=NUM_CLASSES),
        void_px=int(np.count_nonzero((label == 0) & ~is_background)),
        overlap_px=len(np.unique(pixel[is_covered])),
        hidden_nuclei=len(claimed) - len(visible),
        disconnected_nuclei=disconnected,
        largest_id=int(ids.max(initial=0)),
        largest_nucleus_px=int(np.bincount(visible_rank).max(initial=0)),
        background_px=len(background),
        background_overlap_px=int(np.count_nonzero((label > 0) & is_background)),
        background_values=tuple(sorted({int(background.min()), int(background.max())}))
        if len(background)
        else (),
    )
    return Labels(label, instance, observations)
