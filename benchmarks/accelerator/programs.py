"""The training step and the inference of a config as programs to be lowered, without values or a device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from nucseg_jax.data.batch import Batch
from nucseg_jax.experiment import read_experiment
from nucseg_jax.runtime.mesh import dispatch_sharded, examples_sharded
from nucseg_jax.training.checkpoint import abstract_like
from nucseg_jax.training.step import compile_train_steps

# What is jitted, and its abstract arguments with their places.
Program = tuple[Callable[..., Any], tuple[Any, ...]]


def training_program(config: Any, mesh: Mesh, *, steps: int, batch_size: int, px: int) -> Program:
    """Returns a training step and its arguments: state, nothing, and `steps` batches.

    Args:
      config: of a run.
      mesh: where it would run.
      steps: of a dispatch.
      batch_size, px: of the images.
    """
    experiment = read_experiment(config)
    static = experiment.static_arguments(steps_per_epoch=10)

    def abstract(*shape: int, dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((steps, batch_size, *shape), dtype)

    batch: Batch[Any] = Batch(
        image=abstract(px, px, 3, dtype=jnp.uint8),
        label=abstract(px, px, dtype=jnp.uint8),
        valid=abstract(dtype=bool),
        index=abstract(dtype=jnp.int32),
        group=abstract(dtype=jnp.int32),
        instance=abstract(px, px, dtype=jnp.uint16) if experiment.scores_instances else None,
    )
    shardings: Batch[Any] = dispatch_sharded(mesh)
    if batch.instance is None:
        shardings = shardings.replace(instance=None)
    batch = jax.tree.map(lambda leaf, sharding: leaf.update(sharding=sharding), batch, shardings)
    state = abstract_like(experiment.abstract_state(static), mesh)
    return compile_train_steps(static, mesh, fetch=lambda source, ticket: ticket), (state, (), batch)


def inference_program(config: Any, mesh: Mesh, *, batch_size: int, px: int) -> Program:
    """Returns the model's logits of a batch, and its arguments: variables and images; arguments as above."""
    experiment = read_experiment(config)
    state = experiment.abstract_state(experiment.static_arguments(steps_per_epoch=10))
    image = jax.ShapeDtypeStruct((batch_size, px, px, 3), jnp.uint8, sharding=examples_sharded(mesh))

    def infer(variables: Any, image: jax.Array) -> jax.Array:
        logits: jax.Array = experiment.model.apply(variables, image, train=False)
        return logits

    return jax.jit(infer), (abstract_like(state, mesh).variables, image)
