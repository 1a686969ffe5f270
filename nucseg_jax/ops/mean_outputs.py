"""The mean of a model's outputs over views of the same images: of probabilities and maps, with logits that give it.

Probabilities are averaged, not logits; the logits of the mean are those whose sigmoid, or softmax, it is, so that
whatever reads logits reads the mean. Sums are kept as logarithms: no probability underflows, and a pixel of which all
views are sure keeps a logit that is not cut off.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nucseg_jax.ops.outputs import Outputs

# Logarithms of summed probabilities, floating [N, H, W, C]: of all classes for C logits; for one logit two arrays, of
# background and of nucleus.
LogSums = tuple[jax.Array, ...]


class OutputSums(NamedTuple):
    """Sums over views of what `Outputs` has under the same names; `nucleus` is None where it is the logits."""

    logits: LogSums
    nucleus: LogSums | None
    classes: LogSums | None
    maps: jax.Array | None


def sums_of_one(outputs: Outputs) -> OutputSums:
    """Returns the sums over a single view."""
    return OutputSums(
        logits=_log_probability(outputs.logits),
        nucleus=None if outputs.nucleus is outputs.logits else _log_probability(outputs.nucleus),
        classes=None if outputs.classes is None else _log_probability(outputs.classes),
        maps=outputs.maps,
    )


def add_sums(one: OutputSums, other: OutputSums) -> OutputSums:
    """Adds up the sums over two sets of views of one model."""
    logs: OutputSums = jax.tree.map(jnp.logaddexp, one._replace(maps=None), other._replace(maps=None))
    return logs._replace(maps=None if one.maps is None or other.maps is None else one.maps + other.maps)


def mean_of_sums(sums: OutputSums, views: int) -> Outputs:
    """Computes the mean of `views` views.

    Returns:
      Outputs of the shapes and dtypes of a view. Of views that are alike it is the view itself within rounding, and
      not a number where a view is none.
    """
    logits = _logits(sums.logits, views)
    return Outputs(
        logits=logits,
        nucleus=logits if sums.nucleus is None else _logits(sums.nucleus, views),
        classes=None if sums.classes is None else _logits(sums.classes, views),
        maps=None if sums.maps is None else sums.maps / views,
    )


def _log_probability(logits: jax.Array) -> LogSums:
    if logits.shape[-1] == 1:
        return jax.nn.log_sigmoid(-logits), jax.nn.log_sigmoid(logits)
    return (jax.nn.log_softmax(logits, axis=-1),)


def _logits(sums: LogSums, views: int) -> jax.Array:
    if len(sums) == 2:
        background, nucleus = sums
        return nucleus - background
    (of_classes,) = sums
    return of_classes - math.log(views)
