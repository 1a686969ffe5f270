"""The losses that a config weighs, in one table; a new one is a function in `ops/losses.py`, a row and a field.

The field in `config.LossConfig` names the row by `loss_term` and holds its weight. Names end in `_loss`: results,
logs and tables of images know a loss by that.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nucseg_jax.config import LossConfig, Reduction
from nucseg_jax.ops.losses import Loss, cross_entropy, focal, plain_dice, soft_dice, tversky
from nucseg_jax.ops.objective import Objective, Term


class LossRow(NamedTuple):
    """A row of `LOSS_TERMS`.

    Attributes:
      make: from the config's section and the reduction to the loss.
      is_ratio: it is a ratio of an image's sums over pixels; see `objective.Term`.
    """

    make: Callable[[LossConfig, Reduction], Loss]
    is_ratio: bool


LOSS_TERMS: Mapping[str, LossRow] = {
    "dice_loss": LossRow(
        lambda config, reduce: functools.partial(soft_dice, reduce=reduce, smooth=config.smooth),
        is_ratio=True,
    ),
    "plain_dice_loss": LossRow(
        lambda config, reduce: functools.partial(plain_dice, reduce=reduce, smooth=config.smooth),
        is_ratio=True,
    ),
    "cross_entropy_loss": LossRow(lambda config, reduce: cross_entropy, is_ratio=False),
    "focal_loss": LossRow(
        lambda config, reduce: functools.partial(focal, gamma=config.focal_gamma, alpha=config.focal_alpha),
        is_ratio=False,
    ),
    "tversky_loss": LossRow(
        lambda config, reduce: functools.partial(
            tversky,
            alpha=config.tversky_alpha,
            beta=config.tversky_beta,
            reduce=reduce,
            smooth=config.smooth,
        ),
        is_ratio=True,
    ),
}


def make_objective(config: LossConfig, *, reduce: Reduction, always: tuple[str, ...] = ()) -> Objective:
    """Makes the objective of the losses that have a weight.

    Args:
      config: weights and parameters.
      reduce: in place of the config's.
      always: names of losses that are reported without a weight too.
    """
    # The ratio of a whole batch is no image's.
    is_of_images = reduce == "image"
    return Objective(
        {
            name: Term(
                config.weights[name],
                row.make(config, reduce),
                is_ratio=row.is_ratio and is_of_images,
                skips_empty=row.is_ratio and is_of_images and config.skip_empty,
            )
            for name, row in LOSS_TERMS.items()
            if config.weights[name] or name in always
        }
    )
