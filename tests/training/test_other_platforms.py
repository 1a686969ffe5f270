"""The training step of every model lowers for accelerators on a machine that has none, state donated and sharded."""

import importlib
import re

import jax
import pytest

from benchmarks.accelerator.programs import training_program
from benchmarks.accelerator.stablehlo_counts import counts
from configs import paper, quickstart
from nucseg_jax.ops.lowering import traced_for
from nucseg_jax.runtime.mesh import make_mesh

# Lowered in `make test-long`: what differs by platform shows in the other three.
LONG = ("tpu", "efficientnet_b4")
PLATFORMS = ("cuda", "tpu")
BATCH = 8


def exported_step(config, platform, *, devices, steps, px):
    """The program of `steps` training steps a dispatch, and its state."""
    mesh = make_mesh(devices)
    with traced_for(platform):
        jitted, arguments = training_program(config, mesh, steps=steps, batch_size=BATCH, px=px)
        return jax.export.export(jitted, platforms=[platform])(*arguments), arguments[0]


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
    check_forms(text)


def check_forms(text):
    """Convolutions have forms that a vendor's library has, and nothing large is moved value by value."""
    found = counts(text)
    # A transposed convolution's kernel gradient as JAX has it: a window as large as the image (docs/speed.md).
    assert found["foreign"] == 0
    assert found["large gathers"] == found["sort"] == 0
    # An image of uint8 may be turned; the rest is DeepLabV3+'s upsampling, and its 1x1 kernel.
    assert found["large transposes"] <= 8


def check_full_precision(text):
    """Of a step that computes in bfloat16: its float32 products, those of head and upsampling, are not TF32."""
    products = re.findall(r"stablehlo\.(?:dot_general|convolution).*", text)
    narrow = [line for line in products if re.search(r": \(tensor<[^>]*xbf16>", line)]
    wide = [line for line in products if re.search(r": \(tensor<[^>]*xf32>", line)]
    assert len(narrow) + len(wide) == len(products)
    assert len(narrow) > 40
    # No convolution is left in float32, and of products the head's and those of upsampling alone.
    found = counts(text)
    assert found["convolutions in float32"] == 0
    assert found["products in float32"] == len(wide)
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
    # Both decoders: transposed convolutions, and atrous ones.
    config.model.decoder = "unet" if encoder == "resnet50" else "deeplabv3plus"
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
