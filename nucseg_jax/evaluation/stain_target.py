"""The target of stain normalisation, measured on training patches."""

from collections.abc import Iterator

import numpy as np

from nucseg_jax.config.evaluation import StainNormalization
from nucseg_jax.data.patch_store import PatchStore
from nucseg_jax.evaluation.progress import with_bar
from nucseg_jax.ops.stain_normalization.target import StainTarget, pooled_target

_PATCHES_AT_ONCE = 64


def training_target(
    method: StainNormalization, patches: PatchStore, rows: np.ndarray, *, bar: str = ""
) -> StainTarget | None:
    """Measures the patches of a training split together; None for the method 'none'.

    Runs on the host alone, so that every process and device gets the same numbers.

    Args:
      method: value of `eval.stain_normalization`.
      patches: has them.
      rows: int [P], where they lie; their order is that of the split.
      bar: text of a progress bar; '' for none.

    Raises:
      UserError: none of them is tissue with stains.
    """
    if method == "none":
        return None

    def images() -> Iterator[np.ndarray]:
        starts = range(0, len(rows), _PATCHES_AT_ONCE)
        for first in with_bar(starts, bar, len(starts)):
            yield from patches.take(rows[first : first + _PATCHES_AT_ONCE]).image

    return pooled_target(method, images(), len(rows))
