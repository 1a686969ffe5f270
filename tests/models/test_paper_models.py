"""The paper's models by their counts and shapes; full nets, abstractly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.models.cost import abstract_variables, count_parameters, forward_flops
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.models.tables import build_segmenter

PAPER = dict(
    encoder="resnet50",
    num_classes=1,
    width=1.0,
    encoder_depths=(),
    moving=MovingStatistics(0.99),
    dtype=jnp.float32,
)


def paper_model(decoder, **changes):
    return build_segmenter(**{**PAPER, "decoder": decoder, "dropout": 0.7, **changes})


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("decoder", "total", "size_mb"), [("unet", 15_676_865, 59.80), ("deeplabv3plus", 30_462_849, 116.21)]
)
def test_parameter_totals_are_table_1(decoder, total, size_mb):
    count = count_parameters(abstract_variables(paper_model(decoder)))
    assert count.total == total
    assert round(count.size_mb, 2) == size_mb


def test_every_part_has_the_count_of_the_real_keras_model():
    """Part by part, as the paper's totals were reconstructed."""
    variables = abstract_variables(paper_model("deeplabv3plus"))
    parts = {
        name: size(variables["params"]["decoder"][name]) + size(variables["batch_stats"]["decoder"][name])
        for name in variables["params"]["decoder"]
    }
    assert parts == {
        "aspp_pool": 526_336,
        "aspp_1x1": 526_336,
        "aspp_rate_6": 4_720_640,
        "aspp_rate_12": 4_720_640,
        "aspp_rate_18": 4_720_640,
        "aspp_projection": 1_312_768,
        "low_level": 33_280,
        "decoder_1": 2_951_168,
        "decoder_2": 2_361_344,
    }
    assert size(variables["params"]["encoder"]) + size(variables["batch_stats"]["encoder"]) == 8_589_184
    assert size(variables["params"]["head"]) == 513

    unet = abstract_variables(paper_model("unet"))
    levels: dict[str, int] = {}
    for collection in ("params", "batch_stats"):
        for name, leaves in unet[collection]["decoder"].items():
            level = name.split("_")[0]
            levels[level] = levels.get(level, 0) + size(leaves)
    assert levels == {
        "bridge": 2_951_680,
        "level1": 2_952_704,
        "level2": 886_528,
        "level3": 185_216,
        "level4": 111_488,
    }


def test_encoder_names_and_shapes_are_those_of_the_keras_weights(shared):
    """Every array of the real ImageNet file has its place, and every place its array."""
    variables = abstract_variables(paper_model("unet"))
    ours = {}
    leaves = {
        "kernel": "kernel",
        "bias": "bias",
        "scale": "gamma",
        "mean": "moving_mean",
        "var": "moving_variance",
    }
    for collection in ("params", "batch_stats"):
        for layer, arrays in variables[collection]["encoder"].items():
            for leaf, array in arrays.items():
                name = "beta" if layer.endswith("_bn") and leaf == "bias" else leaves[leaf]
                ours[f"{layer}/{name}"] = array.shape
    with np.load(shared / "weights" / "resnet50_keras_imagenet_conv1_to_conv4.npz") as keras:
        theirs = {name: keras[name].shape for name in keras}
    assert ours == theirs


@pytest.mark.parametrize("decoder", ["unet", "deeplabv3plus"])
@pytest.mark.parametrize("px", [128, 256])
@pytest.mark.parametrize("num_classes", [1, 6])
def test_logits_have_the_size_of_the_image_and_float32_whatever_the_dtype(decoder, px, num_classes):
    model = paper_model(decoder, num_classes=num_classes, dtype=jnp.bfloat16)
    variables = abstract_variables(model, px=px)
    logits = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=False),
        variables,
        jax.ShapeDtypeStruct((2, px, px, 3), jnp.uint8),
    )
    assert logits.shape == (2, px, px, num_classes)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_taps_have_the_strides_and_channels_of_the_paper():
    model = paper_model("unet")
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.uint8)
    pyramid, _ = jax.eval_shape(
        lambda x: model.encoder.init_with_output(jax.random.key(0), x, train=False), image
    )
    assert {name: tap.shape[1:] for name, tap in pyramid._asdict().items()} == {
        "image": (256, 256, 3),
        "stride2": (128, 128, 64),
        "stride4_low_level": (64, 64, 256),
        "stride4": (64, 64, 256),
        "stride8": (32, 32, 512),
        "stride16": (16, 16, 1024),
        "output": (16, 16, 1024),
    }


@pytest.mark.parametrize(("decoder", "gigaflops"), [("unet", 35.3), ("deeplabv3plus", 60.1)])
def test_forward_arithmetic(decoder, gigaflops):
    assert forward_flops(paper_model(decoder)) / 1e9 == pytest.approx(gigaflops, abs=0.06)


@pytest.mark.parametrize(
    "fault",
    [
        dict(encoder="vgg16"),
        dict(decoder="fpn"),
        dict(num_classes=2),
        dict(dropout=1.0),
        dict(width=0.0),
        dict(moving=MovingStatistics(1.0)),
        dict(encoder_depths=(3, 4)),
    ],
)
def test_wrong_choices_are_refused_by_name(fault):
    with pytest.raises(UserError, match=r"model\."):
        paper_model(**{"decoder": "unet", **fault})
