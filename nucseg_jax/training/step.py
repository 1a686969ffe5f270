"""One training step as a pure function, and its jitted, sharded form."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh

from nucseg_jax.config.augment import AugmentConfig
from nucseg_jax.config.loss import L2Scope
from nucseg_jax.core.arrays import Array, Tree, Variables
from nucseg_jax.core.keys import Stream, stream_key
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.void import annotated_px, nucleus_px
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.heads.table import HEADS
from nucseg_jax.models.frozen_stages import frozen_mask
from nucseg_jax.ops.augment.augmentation import augment
from nucseg_jax.ops.counts import count_pixels
from nucseg_jax.ops.objective import TILES_WITH_NUCLEI, Objective
from nucseg_jax.runtime.mesh import batch_sharded, keep_state_sharded, replicated
from nucseg_jax.training.ema import updated_ema
from nucseg_jax.training.feed import Source, Ticket
from nucseg_jax.training.optimizer import l2_mask, l2_penalty
from nucseg_jax.training.state import TrainState
from nucseg_jax.training.unfreezing import hold_encoder


@dataclasses.dataclass(frozen=True)
class StaticArguments:
    """Static arguments of the training step.

    Attributes:
      model: a linen module, `apply(variables, image, train=...)` to logits.
      objective: what is minimised.
      optimizer: from gradients to updates, L2 included.
      l2, l2_scope: for the penalty that is reported; its gradient is the optimizer's business.
      frozen_stages: encoder stages whose parameters get no gradient.
      augmentation: how examples are changed.
      seed: of dropout and augmentation.
      steps_per_epoch: to know the epoch of a step.
      head: of the model, whose target maps are computed from the batch's instance ids.
      lr_factor: factor on the learning rate at a step, instead of the plateau schedule's; None = the latter.
      encoder_held_steps: first steps that leave the encoder's parameters alone.
      ema_decay: of the averages in the state; 0 = it has none.
      has_void: whether labels have pixels that nobody annotated, of the data set or beyond the edge of a deformed
        tile; see `data.void`. They count nowhere, and an example without another pixel is as padding.
    """

    model: nn.Module
    objective: Objective
    optimizer: optax.GradientTransformation
    l2: float
    l2_scope: L2Scope
    frozen_stages: tuple[str, ...]
    augmentation: AugmentConfig
    seed: int
    steps_per_epoch: int
    head: Head = HEADS["none"]
    has_void: bool = False
    lr_factor: optax.Schedule | None = None
    encoder_held_steps: int = 0
    ema_decay: float = 0.0

    def update_scale(self, state: TrainState, step: Array | int) -> jax.Array:
        """Factor on every update at a step, float32 []; `state` has that of the plateau schedule."""
        if self.lr_factor is None:
            scale: jax.Array = state.plateau.scale
            return scale
        return jnp.asarray(self.lr_factor(step))

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of everything that an epoch reports the mean of."""
        return (*self.objective.terms, "l2_penalty")

    @property
    def summed_names(self) -> tuple[str, ...]:
        """Names of everything that an epoch adds up: the terms, and the sums over tiles with nuclei."""
        return (*self.term_names, *self.objective.sum_names)

    @property
    def undefined_logs(self) -> frozenset[str]:
        """Names of logs that are NaN in a step whose tiles hold no nucleus."""
        return frozenset(self.objective.sum_names) - {TILES_WITH_NUCLEI}


def train_step(
    static: StaticArguments,
    state: TrainState,
    batch: Batch[jax.Array],
    *,
    gather: Callable[[Variables], Variables] = lambda variables: variables,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Forward, loss, gradient, update, logs.

    Args:
      static: arguments that are fixed when the step is compiled.
      state: before the step.
      batch: a full training batch; `group` is not looked at.
      gather: brings variables that are split over devices together for the forward pass.

    Returns:
      The state after the step and its logs: every term of `static.term_names` bare, `loss` (the objective and the
      L2 penalty), `gradient_norm` (of the objective, without L2), and the means over tiles with nuclei, NaN where
      there is none; each float32 [].
    """
    epoch = state.step // static.steps_per_epoch
    image, (label, instance) = augment(
        batch.image,
        (batch.label, batch.instance),
        batch.index,
        how=static.augmentation,
        seed=static.seed,
        epoch=epoch,
        outside=(VOID_LABEL, 0 if batch.instance is not None else None),
    )
    target_maps = static.head.target_maps(instance)
    dropout_key = jax.random.fold_in(stream_key(static.seed, Stream.DROPOUT), state.step)

    frozen = frozen_mask(state.params, static.frozen_stages)

    valid_px = annotated_px(label, has_void=static.has_void)
    has_nucleus = jnp.any(nucleus_px(label, valid_px), axis=(1, 2))
    valid = batch.valid if valid_px is None else batch.valid & jnp.any(valid_px, axis=(1, 2))

    def loss_of(
        params: Tree,
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], dict[str, jax.Array], jax.Array, Tree]]:
        params = jax.tree.map(
            lambda leaf, stays: jax.lax.stop_gradient(leaf) if stays else leaf, params, frozen
        )
        outputs, updated = static.model.apply(
            gather({**state.variables, "params": params}),
            image,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": dropout_key},
            method="outputs",
        )
        values = static.objective.values(outputs, label, valid_px, target_maps)
        terms = static.objective.means(values, valid, has_nucleus, can_be_none=static.has_void)
        return static.objective.total(terms), (terms, values, outputs.logits, updated.get("batch_stats", {}))

    gradient, (terms, values, logits, batch_stats) = jax.grad(loss_of, has_aux=True)(state.params)
    updates, opt_state = static.optimizer.update(gradient, state.opt_state, state.params)
    updates = optax.tree.scale(static.update_scale(state, state.step), updates)
    if static.encoder_held_steps:
        updates = hold_encoder(updates, state.step, steps=static.encoder_held_steps)

    mask = l2_mask(state.params, static.l2_scope, static.frozen_stages)
    terms["l2_penalty"] = l2_penalty(state.params, mask, static.l2)
    sums = static.objective.sums_with_nuclei(values, batch.valid & has_nucleus)
    counts = jnp.where(batch.valid[:, None, None], count_pixels(logits, label, valid_px), 0)
    logs = {
        **terms,
        **{name: sums[name] / sums[TILES_WITH_NUCLEI] for name in sums if name != TILES_WITH_NUCLEI},
        "loss": static.objective.total(terms) + terms["l2_penalty"],
        "gradient_norm": optax.tree.norm(gradient),
    }
    new_state = state.replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
        epoch_sums=state.epoch_sums.add(
            terms | sums, counts, counted=jnp.any(valid) if static.has_void else None
        ),
    )
    if state.ema is not None:
        ema = updated_ema(state.ema, new_state.variables, state.step, decay=static.ema_decay)
        new_state = new_state.replace(ema=ema)
    return new_state, logs


def compile_train_steps(
    static: StaticArguments, mesh: Mesh, fetch: Callable[[Source, Ticket], Batch[jax.Array]]
) -> jax.stages.Wrapped:
    """K steps as one program over the mesh, batch and state laid out as on `mesh`, the state donated.

    Variables that are split over 'fsdp' are gathered for each forward pass; gradients come back split.

    Args:
      static: arguments that are fixed when the step is compiled.
      mesh: the devices.
      fetch: pure, `fetch(source, ticket)` gives a step's batch; see `feed.TrainingFeed`.

    Returns:
      (state, source, tickets) -> (state after K steps, logs of each step, every leaf float32 [K]). K is the
      leading axis of the tickets' leaves; one program is compiled for each K, and for K = 1 without a loop.
    """

    def gather(variables: Variables) -> Variables:
        gathered: Variables = jax.lax.with_sharding_constraint(variables, replicated(mesh))
        return gathered

    def train_steps(
        state: TrainState, source: Source, tickets: Ticket
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        def one_step(state: TrainState, ticket: Ticket) -> tuple[TrainState, dict[str, jax.Array]]:
            # Keeps the step's arithmetic the same whatever the batch was fetched from; on CPU XLA drops it once it has
            # simplified and before it fuses, so that a feed must not make constants.
            batch = jax.lax.optimization_barrier(fetch(source, ticket))
            batch = jax.lax.with_sharding_constraint(batch, batch_sharded(mesh))
            state, logs = train_step(static, state, batch, gather=gather)
            return keep_state_sharded(state, mesh), jax.lax.with_sharding_constraint(logs, replicated(mesh))

        if jax.tree.leaves(tickets)[0].shape[0] > 1:
            after: tuple[TrainState, dict[str, jax.Array]] = jax.lax.scan(one_step, state, tickets)
            return after
        # XLA's convolutions are slower inside loops on CPU, so one step has none.
        state, logs = one_step(state, jax.tree.map(lambda leaf: leaf[0], tickets))
        return state, jax.tree.map(lambda leaf: leaf[None], logs)

    return jax.jit(train_steps, donate_argnums=0)
