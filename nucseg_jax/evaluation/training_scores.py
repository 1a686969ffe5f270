"""What training itself says of an epoch: batch statistics, dropout on, augmented tiles."""

from typing import Any

import jax
import numpy as np

from nucseg_jax.evaluation.scores import class_scores
from nucseg_jax.training.objective import Objective
from nucseg_jax.training.state import TrainState


def training_scores(state: TrainState, objective: Objective) -> dict[str, Any]:
    """The epoch's running sums as an entry like those of results.json, with the convention 'micro' alone."""
    sums = jax.device_get(state.epoch_sums)
    terms = {name: float(total) / int(sums.steps) for name, total in sums.terms.items()}
    nucleus = sums.counts[:1].astype(np.int64)
    micro = class_scores(nucleus, np.zeros(1, np.int32))["micro"]
    return {"micro": micro, "loss": objective.total(terms) + terms["l2_penalty"], **terms}
