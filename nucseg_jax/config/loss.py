"""Fields of `loss`."""

import dataclasses
import typing
from typing import Literal

from nucseg_jax.config.model import HeadName, ModelConfig
from nucseg_jax.core.config_field import declared_fields, field

L2Scope = Literal["added", "all"]


Reduction = Literal["image", "batch"]


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """The objective: a weighted sum of named losses, and L2."""

    l2: float = field(
        0.02,
        "Adds l2 * sum(w^2) to the loss, as Keras's l2(); Table 1.",
        at_least=0,
        is_per_model=True,
        phrase="L2 {:g}",
    )
    l2_scope: L2Scope = field(
        "added", "added: kernels of the new layers, head included. all: of the encoder too."
    )
    dice: float = field(
        1.0, "Weight of soft Dice, eq. 4, the paper's loss.", at_least=0, loss_term="dice_loss"
    )
    plain_dice: float = field(
        0.0, "Weight of soft Dice without squares; 0 = without it.", at_least=0, loss_term="plain_dice_loss"
    )
    cross_entropy: float = field(
        0.0,
        "Weight of cross-entropy (BCE for one class); 0 = without it.",
        at_least=0,
        loss_term="cross_entropy_loss",
    )
    focal: float = field(0.0, "Weight of the focal loss; 0 = without it.", at_least=0, loss_term="focal_loss")
    tversky: float = field(
        0.0, "Weight of the Tversky loss; 0 = without it.", at_least=0, loss_term="tversky_loss"
    )
    class_cross_entropy: float = field(
        0.5,
        "With an instance head and classes: weight of the cross-entropy of background and classes.",
        at_least=0,
        loss_term="class_cross_entropy_loss",
        was_added=True,
    )
    class_dice: float = field(
        0.2,
        "With an instance head and classes: weight of soft Dice without squares of the classes.",
        at_least=0,
        loss_term="class_dice_loss",
        was_added=True,
    )
    hover_mse: float = field(
        2.5,
        "With model.head=hover: weight of the squared error of its maps; 2.5 and 8 are those of CellViT.",
        at_least=0,
        loss_term="hover_mse_loss",
        was_added=True,
    )
    hover_gradient: float = field(
        8.0,
        "With model.head=hover: weight of the squared error of the maps' derivatives inside nuclei. They are per pixel:"
        " at .5 microns per px this error is four times as large as at .25.",
        at_least=0,
        loss_term="hover_gradient_loss",
        was_added=True,
    )
    distance_mse: float = field(
        2.5,
        "With model.head=distance: weight of the squared error of its map.",
        at_least=0,
        loss_term="distance_mse_loss",
        was_added=True,
    )
    reduce: Reduction = field(
        "image", "Ratios of Dice and Tversky: one for each image, or one for the whole batch."
    )
    smooth: float = field(
        1e-6,
        "Summand that keeps the ratios of Dice and Tversky defined on empty patches. At 1e-6 a tile without a nucleus"
        " costs about 1 unless nothing is predicted there, so the mean does not fall below their share;"
        " `dice_loss_with_nuclei` is reported beside it.",
        above=0,
    )
    skip_empty: bool = field(
        False,
        "Leaves tiles without a nucleus out of the mean of Dice and Tversky (reduce = image); eq. 4 counts them.",
        was_added=True,
    )
    focal_gamma: float = field(
        2.0, "Exponent of the focal loss (Lin et al. 2017, arXiv:1708.02002).", at_least=1, or_equals=0
    )
    focal_alpha: float = field(
        0.25,
        "Weight of the foreground in the focal loss (the background's is 1 - alpha).",
        at_least=0,
        at_most=1,
    )
    tversky_alpha: float = field(
        0.3,
        "Weight of false positives in the Tversky loss (Salehi et al. 2017, arXiv:1706.05721).",
        at_least=0,
    )
    tversky_beta: float = field(0.7, "Weight of false negatives in the Tversky loss.", at_least=0)

    def weights(self, model: ModelConfig) -> dict[str, float]:
        """Returns the weight of every loss that a model can have: {'dice_loss': 1.0, 'plain_dice_loss': 0.0, ...}.

        A loss whose name begins with that of an instance head is of that head alone; one that begins with `class` is
        of models with a head and classes.
        """
        prefixes = {"class"} if model.head != "none" and model.num_classes > 1 else set()
        absent = {"class", *typing.get_args(HeadName)} - {model.head} - prefixes
        return {
            declared.loss_term: getattr(self, declared.key)
            for declared in declared_fields("loss", LossConfig)
            if declared.loss_term and declared.loss_term.partition("_")[0] not in absent
        }
