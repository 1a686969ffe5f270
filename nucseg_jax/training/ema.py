"""Exponential moving average (EMA) of a model's weights, which is what is validated, scored and used.

Moving statistics of batch norms are averaged with the parameters, as timm's `ModelEmaV3` averages every buffer: the
statistics of another point in weight space would not fit. In early steps the decay is smaller, min(decay,
(1 + t) / (10 + t)) after t steps, as in TensorFlow's `tf.train.ExponentialMovingAverage`: the first, random weights
are soon forgotten.
"""

import jax
import jax.numpy as jnp

from nucseg_jax.core.arrays import Array, Variables


def updated_ema(ema: Variables, variables: Variables, step: Array, *, decay: float) -> Variables:
    """Returns the average after a step.

    What a step leaves as it is, such as a frozen layer, keeps its bits in the average too.

    Args:
      ema: before the step.
      variables: after the step; of the collections that `ema` has.
      step: int32 [], steps done before this one.
      decay: 0 <= decay < 1; the share of the old average after many steps.
    """
    done = jnp.asarray(step, jnp.float32)
    share = 1.0 - jnp.minimum(decay, (1.0 + done) / (10.0 + done))
    current = {name: variables[name] for name in ema}
    updated: Variables = jax.tree.map(lambda old, new: old + share * (new - old), ema, current)
    return updated
