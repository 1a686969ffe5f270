"""`describe`: the paper's Table 1 from the models themselves, without data and without training."""

import json
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import tqdm
from clu import parameter_overview

from nucseg_jax.cli.table import render
from nucseg_jax.data.batch import Batch
from nucseg_jax.experiment import Experiment
from nucseg_jax.models.cost import count_parameters, forward_flops
from nucseg_jax.models.initial import TABLE_1_PX, abstract_variables
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.training.step import compile_train_steps

RULES = (
    "Parameters are counted as Keras's count_params does: batch norm's moving means and variances are in the total,",
    "and so are the constants, the seven values of the Normalization layer in Keras's EfficientNets: part of the",
    "checkpoint here, never trained. Size: 4 bytes a parameter, in units of 2^20 bytes.",
    f"Arithmetic is of one {TABLE_1_PX}x{TABLE_1_PX} image. Forward: the convolutions, 2 operations a multiply-add.",
    "Train step: what XLA counts in the compiled step of this backend, update included, divided by the batch.",
)


def describe(experiments: Sequence[Experiment], *, as_json: bool, layers: bool) -> None:
    """Prints parameters, size and arithmetic of each model.

    Args:
      experiments: one a row.
      as_json: print JSON: one object, or a list when there are several models.
      layers: print every array of the models before the table.
    """
    if layers and not as_json:
        for experiment in experiments:
            variables = abstract_variables(experiment.model)
            print(f"{parameter_overview.get_parameter_overview(variables, include_stats=False)}\n")
    facts = []
    # Compiling the train step takes up to a minute a model.
    for experiment in tqdm.tqdm(experiments, "compiling train steps", leave=False, disable=None):
        facts.append(model_facts(experiment))
    if as_json:
        print(json.dumps(facts[0] if len(facts) == 1 else facts, indent=2))
        return
    table_1 = [
        (
            row["decoder"],
            row["encoder"],
            f"{row['encoder_end']}, stride {row['output_stride']}",
            f"{row['parameters_total']:,}",
            f"{row['size_mb']:.2f}",
            f"{row['dropout']:g}",
            f"{row['l2']:g}",
        )
        for row in facts
    ]
    print(render(("model", "encoder", "cut at", "parameters", "MB", "dropout", "L2"), table_1))
    print()
    details = [
        (
            f"{row['decoder']} {row['encoder']}",
            f"{row['parameters_trainable']:,}",
            f"{row['parameters_moving']:,}",
            row["parameters_constant"],
            f"{row['flops_forward'] / 1e9:.1f}",
            f"{row['flops_train_step'] / 1e9:.1f}",
        )
        for row in facts
    ]
    headers = ("of them", "trainable", "moving", "constant", "forward GFLOP", "train step GFLOP")
    print(render(headers, details))
    print()
    print("\n".join(dict.fromkeys(map(first_weights_line, experiments))))
    print("\n".join(RULES))


def first_weights_line(experiment: Experiment) -> str:
    """Returns what the config has a model start from; nothing is read."""
    source, model = experiment.config.pretrained, experiment.config.model
    if source.run:
        return f"First weights: the whole model of the run {source.run}; its classifier if the classes are the same."
    if source.path:
        return f"First weights: {model.encoder} from {source.path}; decoder and head from scratch."
    return "First weights: none; everything from scratch."


def model_facts(experiment: Experiment) -> dict[str, Any]:
    """Returns a model's row as JSON values; operations are per 256x256 image. Compiles the train step."""
    return {**network_facts(experiment), "flops_train_step": train_step_flops(experiment)}


def network_facts(experiment: Experiment) -> dict[str, Any]:
    """Returns the part of a model's row that needs no compilation."""
    model = experiment.config.model
    count = count_parameters(abstract_variables(experiment.model))
    return {
        "encoder": model.encoder,
        "encoder_end": experiment.model.encoder.end,
        "output_stride": model.output_stride,
        "decoder": model.decoder,
        "parameters_total": count.total,
        "parameters_trainable": count.trainable,
        "parameters_moving": count.moving,
        "parameters_constant": count.constant,
        "size_mb": round(count.size_mb, 2),
        "dropout": model.dropout,
        "l2": experiment.config.loss.l2,
        "flops_forward": forward_flops(experiment.model),
    }


def train_step_flops(experiment: Experiment) -> float:
    """Returns the operations an image in the compiled train step, by XLA's own count, on one device."""
    static = experiment.static_arguments(steps_per_epoch=1)
    state = experiment.abstract_state(static)
    examples = experiment.config.train.batch_size

    def abstract(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((1, examples, *shape), dtype)

    batch = Batch(
        image=abstract((TABLE_1_PX, TABLE_1_PX, 3), jnp.uint8),
        label=abstract((TABLE_1_PX, TABLE_1_PX), jnp.uint8),
        valid=abstract((), bool),
        index=abstract((), jnp.int32),
        group=abstract((), jnp.int32),
        instance=abstract((TABLE_1_PX, TABLE_1_PX), jnp.uint16) if experiment.scores_instances else None,
    )
    steps = compile_train_steps(static, make_mesh(1), fetch=lambda source, ticket: ticket)
    compiled = steps.lower(state, (), batch).compile()
    return float(compiled.cost_analysis()["flops"]) / examples
