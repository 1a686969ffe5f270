"""The state of training as one pytree; a checkpoint holds it."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from nucseg_jax.core.arrays import Array, Tree, Variables
from nucseg_jax.models.layers import CONSTANTS
from nucseg_jax.ops.epoch_sums import EpochSums
from nucseg_jax.ops.objective import WITH_NUCLEI


class TrainState(struct.PyTreeNode):
    """Training's whole memory. Random keys are not in it: they follow from (seed, step) and (seed, epoch, example).

    Attributes:
      step: int32 [], steps taken since the start.
      params, batch_stats: the model's variables, float32; no batch statistics in a model without batch norms.
      constants: variables that no step changes, such as the mean and variance an encoder's input is brought to.
      opt_state: of the optimizer.
      plateau: of `optimizer.plateau_schedule`; its `scale` multiplies every update.
      epoch_sums: see `EpochSums`.
      ema: averages of `params` and `batch_stats` under these names, see `training.ema`; None in a run without.
    """

    step: Array
    params: Tree
    batch_stats: Tree
    constants: Tree
    opt_state: optax.OptState
    plateau: optax.OptState
    epoch_sums: EpochSums
    ema: Variables | None = None

    @property
    def variables(self) -> Variables:
        """Variables that are trained, for the model's `apply`."""
        return {"params": self.params, "batch_stats": self.batch_stats, CONSTANTS: self.constants}

    @property
    def evaluated_variables(self) -> Variables:
        """Variables that are validated, scored and used: the averages where there are any, else `variables`."""
        return {**self.variables, **(self.ema or {})}


def init_state(
    variables: Variables,
    optimizer: optax.GradientTransformation,
    plateau: optax.GradientTransformationExtraArgs,
    *,
    term_names: tuple[str, ...],
    counted_classes: int,
    with_ema: bool = False,
) -> TrainState:
    """Returns the state before the first step.

    Args:
      variables: of the model, numpy arrays from `initial_variables`; or abstract ones, under `jax.eval_shape`.
      optimizer, plateau: what keeps the rest of the state.
      term_names: of everything that is added up to the reported loss.
      counted_classes: K of the running counts.
      with_ema: whether averages are kept too; they begin as the variables.
    """
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    return TrainState(
        step=np.zeros((), np.int32),
        params=params,
        batch_stats=batch_stats,
        constants=variables.get(CONSTANTS, {}),
        opt_state=optimizer.init(variables["params"]),
        # It keeps scalars and asks of the parameters but their dtype; of numpy's it would compile a copy of each.
        plateau=plateau.init(np.zeros((), jax.tree.leaves(variables["params"])[0].dtype)),
        epoch_sums=EpochSums.zero(term_names, counted_classes),
        ema=_copied({"params": params, "batch_stats": batch_stats}) if with_ema else None,
    )


def _copied(variables: Variables) -> Variables:
    """Returns arrays of their own memory: a step is donated each of them."""
    copies: Variables = jax.tree.map(lambda leaf: leaf.copy(), variables)
    return copies


def with_modules(state: TrainState, variables: Mapping[str, Tree]) -> TrainState:
    """Returns the same state with variables of some modules in place of its own; for a state before its first step.

    Averages begin as the new variables.

    Args:
      state: its optimizer's moments stay as they are: zero.
      variables: {collection: {module: tree}}, every variable that each module has, such as those of 'encoder' in
        'params', 'batch_stats' and maybe 'constants'.

    Raises:
      ValueError: another structure, shape or dtype than the state's.
    """
    collections = {"params": state.params, "batch_stats": state.batch_stats, CONSTANTS: state.constants}
    replaced = {name: {**tree, **variables.get(name, {})} for name, tree in collections.items()}
    # optax and flax would take a wrong shape for broadcasting.
    jax.tree.map(_require_like, replaced, collections)
    if state.ema is not None:
        replaced["ema"] = _copied({name: replaced[name] for name in state.ema})
    return state.replace(**replaced)


def _require_like(new: Array | jax.ShapeDtypeStruct, old: Array | jax.ShapeDtypeStruct) -> None:
    if (new.shape, new.dtype) != (old.shape, old.dtype):
        raise ValueError(f"{new.shape} {new.dtype} in place of {old.shape} {old.dtype}")


def close_epoch(
    state: TrainState, plateau: optax.GradientTransformationExtraArgs, validation_loss: jax.Array
) -> TrainState:
    """The state between two epochs: the plateau schedule has seen the validation loss, the sums are zero."""
    _, plateau_state = plateau.update({}, state.plateau, value=validation_loss)
    return state.replace(plateau=plateau_state, epoch_sums=jax.tree.map(jnp.zeros_like, state.epoch_sums))


def stored_fields(state: TrainState) -> dict[str, Tree]:
    """Returns what a checkpoint holds, by the names of fields; averages only where there are any, as ever."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: value for name, value in fields.items() if value is not None}


def without_sums_with_nuclei(state: TrainState) -> TrainState:
    """Returns the state as earlier versions kept it: without the sums over tiles with nuclei."""
    terms = {name: total for name, total in state.epoch_sums.terms.items() if not name.endswith(WITH_NUCLEI)}
    return state.replace(epoch_sums=state.epoch_sums.replace(terms=terms))


def with_sums_unknown(state: TrainState, like: TrainState) -> TrainState:
    """Adds the sums that a state of an earlier version lacks: 0 before an epoch's first step, else unknown, NaN.

    Args:
      state: on the mesh.
      like: the state as it should be, of `jax.ShapeDtypeStruct` with shardings.
    """
    sums = state.epoch_sums
    missing = like.epoch_sums.terms.keys() - sums.terms.keys()
    if not missing:
        return state
    shardings: dict[str, jax.sharding.Sharding] = jax.tree.map(
        lambda leaf: leaf.sharding, like.epoch_sums.terms
    )
    value = np.float32(np.nan if int(sums.steps) else 0.0)
    added = {name: jax.make_array_from_callback((), shardings[name], lambda _: value) for name in missing}
    return state.replace(epoch_sums=sums.replace(terms={**sums.terms, **added}))
