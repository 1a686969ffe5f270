"""The losses that a config weighs, in one table; a new one is a function in `ops/losses.py`, a row and a field.

The field in `config.LossConfig` names the row by `loss_term` and holds its weight. Names end in `_loss`: results,
logs and tables of images know a loss by that.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from nucseg_jax.config.loss import LossConfig, Reduction
from nucseg_jax.config.model import ModelConfig
from nucseg_jax.heads.table import HEADS
from nucseg_jax.ops.losses import Loss, cross_entropy, focal, plain_dice, soft_dice, tversky
from nucseg_jax.ops.objective import Objective, Term


class LossRow(NamedTuple):
    """A row of `LOSS_TERMS`.

    Attributes:
      make: from the config's section and the reduction to the loss.
      is_ratio: it is a ratio of an image's sums over pixels; see `objective.Term`.
      of: which of a model's outputs it takes; see `objective.Term`.
    """

    make: Callable[[LossConfig, Reduction], Loss]
    is_ratio: bool
    of: Literal["nucleus", "classes", "maps"] = "nucleus"


def _of_maps(loss: Loss) -> LossRow:
    return LossRow(lambda config, reduce: loss, is_ratio=False, of="maps")


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
    "class_cross_entropy_loss": LossRow(lambda config, reduce: cross_entropy, is_ratio=False, of="classes"),
    "class_dice_loss": LossRow(
        lambda config, reduce: functools.partial(plain_dice, reduce=reduce, smooth=config.smooth),
        is_ratio=True,
        of="classes",
    ),
    **{name: _of_maps(loss) for head in HEADS.values() for name, loss in head.losses.items()},
}


def make_objective(
    config: LossConfig, model: ModelConfig, *, reduce: Reduction, always: tuple[str, ...] = ()
) -> Objective:
    """Makes the objective of the losses that have a weight.

    Args:
      config: weights and parameters.
      model: whose outputs there are losses of.
      reduce: in place of the config's.
      always: names of losses that are reported without a weight too.
    """
    # The ratio of a whole batch is no image's.
    is_of_images = reduce == "image"
    weights = config.weights(model)
    return Objective(
        {
            name: Term(
                weights[name],
                row.make(config, reduce),
                is_ratio=row.is_ratio and is_of_images,
                skips_empty=row.is_ratio and is_of_images and config.skip_empty,
                of=row.of,
            )
            for name, row in LOSS_TERMS.items()
            if weights.get(name) or name in always
        }
    )
