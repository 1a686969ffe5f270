"""The training step of every model lowers for accelerators on a machine that has none, state donated and sharded."""

import importlib
import re

import jax
import jax.numpy as jnp
import pytest

from configs import paper, quickstart
from nucseg_jax.data.batch import Batch
from nucseg_jax.experiment import read_experiment
from nucseg_jax.ops.lowering import traced_for
from nucseg_jax.runtime.mesh import dispatch_sharded, make_mesh
from nucseg_jax.training.checkpoint import abstract_like
from nucseg_jax.training.step import compile_train_steps

# Lowered in `make test-long`: what differs by platform shows in the other three.
LONG = ("tpu", "efficientnet_b4")
PLATFORMS = ("cuda", "tpu")
BATCH = 8


def exported_step(config, platform, *, devices, steps, px):
    """The program of `steps` training steps a dispatch."""
    experiment = read_experiment(config)
    static = experiment.static_arguments(steps_per_epoch=10)
    mesh = make_mesh(devices)

    def abstract(*shape, dtype):
        return jax.ShapeDtypeStruct((steps, BATCH, *shape), dtype)

    batch = Batch(
        image=abstract(px, px, 3, dtype=jnp.uint8),
        label=abstract(px, px, dtype=jnp.uint8),
        valid=abstract(dtype=bool),
        index=abstract(dtype=jnp.int32),
        group=abstract(dtype=jnp.int32),
        instance=abstract(px, px, dtype=jnp.uint16) if experiment.scores_instances else None,
    )
    shardings = dispatch_sharded(mesh)
    if batch.instance is None:
        shardings = shardings.replace(instance=None)
    batch = jax.tree.map(lambda leaf, sharding: leaf.update(sharding=sharding), batch, shardings)
    state = abstract_like(experiment.abstract_state(static), mesh)
    with traced_for(platform):
        jitted = compile_train_steps(static, mesh, fetch=lambda source, ticket: ticket)
        return jax.export.export(jitted, platforms=[platform])(state, (), batch), state


def check(exported, state, platform, *, devices):
    assert exported.platforms == (platform,)
    assert exported.nr_devices == devices
    text = exported.mlir_module()
    start = text.index("@main(")
    arguments = text[start : text.index(") -> ", start)].split("%arg")[1:]
    donated = ("tf.aliasing_output", "jax.buffer_donor")
    kept = [argument for argument in arguments if any(mark in argument for mark in donated)]
    batch = [argument for argument in arguments if argument not in kept]
    # All of the state may be written over, in place, and is whole on every device.
    assert len(kept) == len(jax.tree.leaves(state))
    assert not any('"data"' in argument for argument in kept)
    # Batches are split along their second axis; what the step does not look at is no argument.
    # Image, label, numbers, and ids of nuclei for an instance head.
    assert 2 <= len(batch) <= 6
    if devices > 1:
        assert all('[{}, {"data", "fsdp"}' in argument for argument in batch)
    # The model computes there, and nothing calls back to Python.
    assert text.count("stablehlo.convolution") + text.count("stablehlo.dot_general") > 40
    assert "callback" not in text


def check_full_precision(text):
    """Of a step that computes in bfloat16: its float32 products, those of head and upsampling, are not TF32."""
    products = re.findall(r"stablehlo\.(?:dot_general|convolution).*", text)
    narrow = [line for line in products if re.search(r": \(tensor<[^>]*xbf16>", line)]
    wide = [line for line in products if re.search(r": \(tensor<[^>]*xf32>", line)]
    assert len(narrow) + len(wide) == len(products)
    assert len(narrow) > 40
    # The head's alone, C = 1: forward, and the gradients of its kernel and of its input.
    assert sum("x1xf32>" in line for line in wide) >= 3
    for line in wide:
        assert len(re.findall(r"HIGHEST", line)) == 2, line


@pytest.mark.parametrize(
    ("platform", "encoder"),
    [
        pytest.param(platform, encoder, marks=pytest.mark.long if (platform, encoder) == LONG else ())
        for platform in PLATFORMS
        for encoder in ("resnet50", "efficientnet_b4")
    ],
)
def test_a_narrow_models_step_lowers_for_it(platform, encoder):
    config = quickstart.get_config()
    config.model.width, config.model.encoder = 0.125, encoder
    config.model.encoder_depths = (1, 1, 1) if encoder == "resnet50" else (1, 1, 1, 1, 1)
    config.train.dtype = "bfloat16"
    exported, state = exported_step(config, platform, devices=8, steps=2, px=32)
    check(exported, state, platform, devices=8)
    check_full_precision(exported.mlir_module())
    # Depthwise convolutions are left to the vendor's library there, and written out on CPU.
    grouped = re.search(r"feature_group_count = ([2-9]|\d\d)", exported.mlir_module())
    assert (grouped is not None) == (encoder == "efficientnet_b4")


@pytest.mark.parametrize(("platform", "head"), [("cuda", "hover"), ("tpu", "distance")])
def test_a_step_with_an_instance_head_lowers_for_it(platform, head):
    config = quickstart.get_config()
    config.model.width, config.model.head, config.model.num_classes = 0.125, head, 6
    exported, state = exported_step(config, platform, devices=8, steps=2, px=32)
    check(exported, state, platform, devices=8)


@pytest.mark.long
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", paper.NAMES)
def test_every_paper_models_step_lowers_for_it(platform, dtype, name):
    config = importlib.import_module(f"configs.{name}").get_config()
    config.train.dtype = dtype
    exported, state = exported_step(config, platform, devices=1, steps=8, px=256)
    check(exported, state, platform, devices=1)
