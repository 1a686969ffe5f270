"""Frozen encoder stages (Keras's `layer.trainable = False`)."""

from collections.abc import Sequence

from nucseg_jax.core.arrays import Tree
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.tree import mask_by_name

ALL_STAGES = "all"


def stages_through(stages: Sequence[str], last: str) -> tuple[str, ...]:
    """The first stages up to and including one of them.

    Args:
      stages: of an encoder, from the image on.
      last: one of them, '' for none, 'all' for all.

    Raises:
      UserError: another name.

    >>> stages_through(("conv1", "conv2", "conv3"), "conv2")
    ('conv1', 'conv2')
    """
    if not last:
        return ()
    if last == ALL_STAGES:
        return tuple(stages)
    if last not in stages:
        raise UserError(
            f"transfer.freeze_through is {last!r}",
            expected=f"'' (nothing), one of {', '.join(stages)}, or {ALL_STAGES}",
        )
    return tuple(stages[: stages.index(last) + 1])


def is_frozen(name: str, frozen_stages: Sequence[str]) -> bool:
    """Returns True if a leaf such as 'encoder/conv2_block1_1_conv/kernel' belongs to a frozen stage."""
    return name.startswith(tuple(f"encoder/{stage}" for stage in frozen_stages))


def frozen_mask(params: Tree, frozen_stages: Sequence[str]) -> Tree:
    """True at every leaf of a frozen stage; same structure as `params`."""
    return mask_by_name(params, lambda name: is_frozen(name, frozen_stages))
