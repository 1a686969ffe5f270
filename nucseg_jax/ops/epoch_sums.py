"""Sums over the steps of an epoch, from which its training scores are computed."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from nucseg_jax.core.arrays import Array


class EpochSums(struct.PyTreeNode):
    """Running sums of the current epoch; in the state so that a resumed epoch reports what an unbroken one does.

    Attributes:
      steps: int32 [], steps taken in this epoch, without those in which no pixel is annotated.
      terms: dict of float32 [], each loss term summed over steps, and what `Objective.sums_with_nuclei` gives, summed
        over tiles.
      counts: uint32 [K, 4], TP, FP, FN, TN of the training forward passes (batch statistics, dropout on).
    """

    steps: Array
    terms: dict[str, Array]
    counts: Array

    @classmethod
    def zero(cls, term_names: tuple[str, ...], counted_classes: int) -> "EpochSums":
        """The sums before an epoch's first step."""
        return cls(
            steps=np.zeros((), np.int32),
            terms={name: np.zeros((), np.float32) for name in term_names},
            counts=np.zeros((counted_classes, 4), np.uint32),
        )

    def add(
        self, terms: dict[str, jax.Array], counts: jax.Array, *, counted: jax.Array | None = None
    ) -> "EpochSums":
        """Adds one step's terms and its counts [N, K, 4]; not where `counted`, bool [], is False; None = True."""
        if counted is not None:
            terms = {name: jnp.where(counted, value, 0.0) for name, value in terms.items()}
        return EpochSums(
            steps=self.steps + (1 if counted is None else counted.astype(jnp.int32)),
            terms={name: total + terms[name] for name, total in self.terms.items()},
            counts=self.counts + jnp.sum(counts, axis=0).astype(jnp.uint32),
        )
