"""`describe`: a model's row of the paper's Table 1, without data and without training."""

import json
from typing import Any

import jax
import jax.numpy as jnp
from clu import parameter_overview

from nucseg_jax.core.vocabulary import PATCH_PX
from nucseg_jax.data.batch import Batch
from nucseg_jax.experiment import Experiment
from nucseg_jax.models.cost import abstract_variables, count_parameters, forward_flops
from nucseg_jax.reporting.table import render
from nucseg_jax.training.mesh import make_mesh
from nucseg_jax.training.step import compile_train_step

RULE = (
    "Counted as Keras's count_params does: batch norm's moving means and variances are in the total.\n"
    "Size: 4 bytes a parameter. Forward: the convolutions' arithmetic, 2 operations a multiply-add.\n"
    "Train step: what XLA counts in the compiled step of this backend, update included, divided by the batch."
)


def describe(experiment: Experiment, *, as_json: bool) -> None:
    """Prints parameters, size and arithmetic per 256x256 image."""
    facts = model_facts(experiment)
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    print(
        parameter_overview.get_parameter_overview(abstract_variables(experiment.model), include_stats=False)
    )
    print()
    headers = ["model", "parameters", "trainable", "MB", "forward GFLOP", "train step GFLOP"]
    row = [
        f"{facts['decoder']} {facts['encoder']}",
        f"{facts['parameters_total']:,}",
        f"{facts['parameters_trainable']:,}",
        f"{facts['size_mb']:.2f}",
        f"{facts['flops_forward'] / 1e9:.1f}",
        f"{facts['flops_train_step'] / 1e9:.1f}",
    ]
    print(render(headers, [row]))
    print()
    print(RULE)


def model_facts(experiment: Experiment) -> dict[str, Any]:
    """The same as JSON values; operations are per 256x256 image."""
    model = experiment.settings.model
    count = count_parameters(abstract_variables(experiment.model))
    return {
        "encoder": model.encoder,
        "decoder": model.decoder,
        "parameters_total": count.total,
        "parameters_trainable": count.trainable,
        "size_mb": round(count.size_mb, 2),
        "flops_forward": forward_flops(experiment.model),
        "flops_train_step": train_step_flops(experiment),
    }


def train_step_flops(experiment: Experiment) -> float:
    """Operations an image in the compiled train step, by XLA's own count, on one device."""
    recipe = experiment.recipe(steps_per_epoch=1)
    state = jax.eval_shape(lambda: experiment.init_state(recipe))
    examples = experiment.settings.train.batch_size

    def abstract(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((examples, *shape), dtype)

    batch = Batch(
        image=abstract((PATCH_PX, PATCH_PX, 3), jnp.uint8),
        label=abstract((PATCH_PX, PATCH_PX), jnp.uint8),
        valid=abstract((), bool),
        index=abstract((), jnp.int32),
        tissue=abstract((), jnp.int32),
    )
    compiled = compile_train_step(recipe, make_mesh(1)).lower(state, batch).compile()
    return float(compiled.cost_analysis()["flops"]) / examples
