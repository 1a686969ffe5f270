"""What is minimised: a weighted sum of named losses."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from nucseg_jax.ops.losses import Loss


class Term(NamedTuple):
    """One summand.

    Attributes:
      weight: factor on the loss; 0 = the loss is only reported.
      loss: `loss(logits, label) -> float32 [N]`.
    """

    weight: float
    loss: Loss


class Objective(NamedTuple):
    """Named terms. They are reported bare; only their sum has the weights in it.

    Attributes:
      terms: {"dice_loss": Term(1.0, soft_dice), ...}.
    """

    terms: dict[str, Term]

    def values(self, logits: jax.Array, label: jax.Array) -> dict[str, jax.Array]:
        """Every term of every image, bare: {name: float32 [N]}."""
        return {name: term.loss(logits, label) for name, term in self.terms.items()}

    def total(self, values: Mapping[str, Any]) -> Any:
        """The weighted sum of values by term name, numbers or arrays; other names are not looked at.

        >>> Objective({"a": Term(2.0, abs), "b": Term(0.5, abs)}).total({"a": 1.0, "b": 4.0, "c": 9.0})
        4.0
        """
        return sum(term.weight * values[name] for name, term in self.terms.items())
