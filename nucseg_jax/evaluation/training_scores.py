"""Scores of an epoch as training saw it: batch statistics, dropout on, augmented tiles."""

import jax
import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.results import Entry
from nucseg_jax.evaluation.scores import class_scores
from nucseg_jax.ops.epoch_sums import EpochSums
from nucseg_jax.ops.objective import TILES_WITH_NUCLEI, Objective


def training_scores(sums: EpochSums, objective: Objective) -> Entry:
    """Returns an epoch's sums as an entry like those of results.json, with the convention 'micro' alone.

    Means over tiles with nuclei are None where there was none, or where a part of the epoch ran in an earlier version.

    Raises:
      UserError: no pixel of the epoch was annotated.
    """
    sums = jax.device_get(sums)
    if not sums.steps:
        raise UserError(
            "no pixel of the epoch's training tiles is annotated",
            expected="training patches with annotated regions",
            advice="choose another split, or annotate more regions and prepare the data set again",
        )
    with_nuclei = {name: float(sums.terms[name]) for name in objective.sum_names}
    tiles = with_nuclei.pop(TILES_WITH_NUCLEI, 0.0)
    terms = {
        name: float(total) / int(sums.steps)
        for name, total in sums.terms.items()
        if name not in objective.sum_names
    }
    means = {name: total / tiles if tiles > 0 else None for name, total in with_nuclei.items()}
    nucleus = np.asarray(sums.counts[:1]).astype(np.int64)
    micro = class_scores(nucleus, np.zeros(1, np.int32), group_noun="group")["micro"]
    return {"micro": micro, "loss": objective.total(terms) + terms["l2_penalty"], **terms, **means}
