"""The objective: a weighted sum of named losses.

A ratio of one tile's sums, such as soft Dice, is about 1 on a tile without a nucleus unless nothing at all is
predicted there: at a smooth of 1e-6 a sum of squared probabilities of 1e-3 already costs .999. So the mean over tiles
does not fall below the share of such tiles, and it differs between training tiles and whole patches. Beside each such
term its mean over the tiles with nuclei is reported, under the term's name and `WITH_NUCLEI`. With several classes an
absent class costs the same, in that mean too.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, overload

import jax
import jax.numpy as jnp

from nucseg_jax.ops.losses import Loss
from nucseg_jax.ops.outputs import Outputs

# Ends the name of a mean over the tiles or patches that hold a nucleus.
WITH_NUCLEI = "_with_nuclei"
# How many there were; the name of a sum over an epoch.
TILES_WITH_NUCLEI = f"tiles{WITH_NUCLEI}"


class Term(NamedTuple):
    """One summand.

    Attributes:
      weight: factor on the loss; 0 = the loss is only reported.
      loss: `loss(logits, label, valid_px) -> float32 [N]`; see `ops.losses`.
      of: which of a model's outputs the loss takes; with 'maps' the target maps stand in the label's place.
      is_ratio: it is a ratio of each image's sums, so that images without a nucleus set it a floor.
      skips_empty: only images with a nucleus are minimised.
    """

    weight: float
    loss: Loss
    is_ratio: bool = False
    skips_empty: bool = False
    of: Literal["nucleus", "classes", "maps"] = "nucleus"


class Objective(NamedTuple):
    """Named terms. They are reported bare; only their sum has the weights in it.

    Attributes:
      terms: {"dice_loss": Term(1.0, soft_dice), ...}.
    """

    terms: dict[str, Term]

    @property
    def ratios(self) -> tuple[str, ...]:
        """Names of the terms that images without a nucleus set a floor."""
        return tuple(name for name, term in self.terms.items() if term.is_ratio)

    def values(
        self,
        outputs: Outputs,
        label: jax.Array,
        valid_px: jax.Array | None = None,
        target_maps: jax.Array | None = None,
    ) -> dict[str, jax.Array]:
        """Computes every term of every image, bare: {name: float32 [N]}.

        Args:
          outputs: of the model.
          label: uint8 [N, H, W].
          valid_px: as in `ops.losses`.
          target_maps: of the instance head; None without one.
        """
        values = {}
        for name, term in self.terms.items():
            truth = target_maps if term.of == "maps" else label
            if truth is None:
                raise ValueError(f"{name} needs target maps")
            values[name] = term.loss(getattr(outputs, term.of), truth, valid_px)
        return values

    def means(
        self,
        values: Mapping[str, jax.Array],
        valid: jax.Array,
        has_nucleus: jax.Array,
        *,
        can_be_none: bool = False,
    ) -> dict[str, jax.Array]:
        """Averages every term over the images that it is minimised on, bare.

        Args:
          values: of `values`.
          valid: bool [N], False = padding, or no pixel of it is annotated.
          has_nucleus: bool [N], the images whose label holds a nucleus.
          can_be_none: whether all of `valid` may be False.

        Returns:
          {name: float32 []}; 0 where a term has no image to be minimised on.
        """
        means = {}
        for name, term in self.terms.items():
            counted = valid & has_nucleus if term.skips_empty else valid
            number = jnp.sum(counted)
            means[name] = jnp.sum(jnp.where(counted, values[name], 0.0)) / (
                jnp.maximum(number, 1) if term.skips_empty or can_be_none else number
            )
        return means

    def sums_with_nuclei(
        self, values: Mapping[str, jax.Array], has_nucleus: jax.Array
    ) -> dict[str, jax.Array]:
        """Sums every ratio over the images with a nucleus, and counts them.

        Args:
          values: of `values`.
          has_nucleus: bool [N], valid images whose label holds a nucleus.

        Returns:
          {"dice_loss_with_nuclei": float32 [], ..., TILES_WITH_NUCLEI: float32 []}; empty without a ratio.
        """
        if not self.ratios:
            return {}
        sums = {
            f"{name}{WITH_NUCLEI}": jnp.sum(jnp.where(has_nucleus, values[name], 0.0)) for name in self.ratios
        }
        return {**sums, TILES_WITH_NUCLEI: jnp.sum(has_nucleus).astype(jnp.float32)}

    @property
    def sum_names(self) -> tuple[str, ...]:
        """Names of what `sums_with_nuclei` gives."""
        names = tuple(f"{name}{WITH_NUCLEI}" for name in self.ratios)
        return (*names, TILES_WITH_NUCLEI) if names else ()

    @overload
    def total(self, values: Mapping[str, float]) -> float: ...
    @overload
    def total(self, values: Mapping[str, jax.Array]) -> jax.Array: ...
    def total(self, values: Mapping[str, float] | Mapping[str, jax.Array]) -> float | jax.Array:
        """The weighted sum of values by term name, numbers or arrays; other names are not looked at.

        >>> Objective({"a": Term(2.0, abs), "b": Term(0.5, abs)}).total({"a": 1.0, "b": 4.0, "c": 9.0})
        4.0
        """
        return sum(term.weight * values[name] for name, term in self.terms.items())
