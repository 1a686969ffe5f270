"""Scores of the baselines on a split, in the same conventions as a model's."""

from collections.abc import Callable, Iterable

import jax
import numpy as np

from nucseg_jax.core.results import Entry
from nucseg_jax.data.batches import evaluation_batches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.data.void import annotated_px, nucleus_px
from nucseg_jax.evaluation.baselines import BASELINES
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.progress import with_bar
from nucseg_jax.ops.counts import count_masks

_BATCH_SIZE = 8
_count_masks = jax.jit(count_masks)


def score_baselines(
    data: PreparedData, split: str, names: Iterable[str] = tuple(BASELINES)
) -> dict[str, dict[str, Entry]]:
    """Scores baselines on a split.

    Args:
      data: has the patches of the split.
      split: 'train', 'validation' or 'test'.
      names: keys of `BASELINES`.

    Returns:
      {name: {split: {convention: {metric: value or None}}}}; equal for equal data.
    """
    return {
        name: {split: baseline_counts(BASELINES[name], data, split, bar=f"scoring {name}").scores(data.info)}
        for name in names
    }


def baseline_counts(
    baseline: Callable[[np.ndarray], np.ndarray], data: PreparedData, split: str, *, bar: str = ""
) -> Counts:
    """Counts the pixels of a function from images uint8 [N, H, W, 3] to masks bool [N, H, W].

    Args:
      baseline: the function.
      data: has the patches of the split.
      split: 'train', 'validation' or 'test'.
      bar: text of a progress bar; '' for none.
    """
    counts, rows = Counts.empty(), data.rows(split)
    batches = evaluation_batches(data.patches, rows, batch_size=_BATCH_SIZE)
    for batch in with_bar(batches, bar, -(-len(rows) // _BATCH_SIZE)):
        valid_px = annotated_px(batch.label, has_void=data.info.has_void)
        counts = counts.merge(
            Counts.from_batch(
                counts=_count_masks(baseline(batch.image), nucleus_px(batch.label, valid_px), valid_px),
                index=batch.index,
                group=batch.group,
                losses={},
                valid=batch.valid,
            )
        )
    return counts
