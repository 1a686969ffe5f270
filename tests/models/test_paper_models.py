"""The paper's models by their counts, parts and taps; full nets, abstractly."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.models.build import build_encoder, build_segmenter
from nucseg_jax.models.cost import count_parameters, forward_flops
from nucseg_jax.models.initial import abstract_variables
from nucseg_jax.models.layers import ConvBatchNormRelu


def paper_model(encoder, decoder):
    return build_segmenter(encoder=encoder, decoder=decoder, num_classes=1, dropout=0.5)


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def sizes_by_part(variables, part_of):
    """Values of the decoder's layers, statistics included, added up by `part_of(layer)`."""
    parts = collections.Counter()
    for collection in ("params", "batch_stats"):
        for layer, leaves in variables[collection]["decoder"].items():
            parts[part_of(layer)] += size(leaves)
    return dict(parts)


@pytest.mark.parametrize(
    ("encoder", "decoder", "total", "constant", "size_mb", "gigaflops"),
    [
        ("resnet50", "unet", 15_676_865, 0, 59.80, 35.3),
        ("efficientnet_b4", "unet", 14_932_072, 7, 56.96, 57.8),
        ("resnet50", "deeplabv3plus", 30_462_849, 0, 116.21, 60.1),
        ("efficientnet_b4", "deeplabv3plus", 14_306_600, 7, 54.58, 30.7),
    ],
)
def test_totals_are_table_1_and_the_arithmetic_is_that_of_the_layers(
    encoder, decoder, total, constant, size_mb, gigaflops
):
    model = paper_model(encoder, decoder)
    count = count_parameters(abstract_variables(model))
    assert (count.total, count.constant) == (total, constant)
    assert round(count.size_mb, 2) == size_mb
    assert forward_flops(model) / 1e9 == pytest.approx(gigaflops, abs=0.06)


@pytest.mark.parametrize(
    ("encoder", "cut", "whole"),
    [
        ("resnet50", 8_589_184, 23_587_712),
        ("efficientnet_b4", 3_842_087, 17_673_823),
    ],
)
def test_encoders_have_the_counts_of_the_real_keras_models(encoder, cut, whole):
    for extent, total in (("cut", cut), ("whole", whole)):
        assert count_parameters(abstract_variables(build_encoder(encoder, extent=extent))).total == total


@pytest.mark.parametrize(
    ("encoder", "parts"),
    [
        (
            "resnet50",
            {
                "aspp_pool": 526_336,
                "aspp_1x1": 526_336,
                "aspp_rate_6": 4_720_640,
                "aspp_rate_12": 4_720_640,
                "aspp_rate_18": 4_720_640,
                "aspp_projection": 1_312_768,
                "low_level": 33_280,
                "decoder_1": 2_951_168,
                "decoder_2": 2_361_344,
            },
        ),
        (
            "efficientnet_b4",
            {
                "aspp_pool": 246_784,
                "aspp_1x1": 246_784,
                "aspp_rate_6": 2_212_864,
                "aspp_rate_12": 2_212_864,
                "aspp_rate_18": 2_212_864,
                "aspp_projection": 328_704,
                "low_level": 50_176,
                "decoder_1": 1_180_672,
                "decoder_2": 590_848,
                "decoder_3": 590_848,
                "decoder_4": 590_848,
            },
        ),
    ],
)
def test_every_part_of_deeplabv3plus_has_the_count_of_the_real_keras_layer(encoder, parts):
    """Part by part, as the paper's totals were reconstructed."""
    variables = abstract_variables(paper_model(encoder, "deeplabv3plus"))
    assert sizes_by_part(variables, lambda layer: layer) == parts
    assert size(variables["params"]["head"]) == (513 if encoder == "resnet50" else 257)


@pytest.mark.parametrize(
    ("encoder", "parts"),
    [
        (
            "resnet50",
            {
                "bridge": 2_951_680,
                "level1": 2_952_704,
                "level2": 886_528,
                "level3": 185_216,
                "level4": 111_488,
            },
        ),
        (
            "efficientnet_b4",
            {"level1": 8_238_592, "level2": 2_149_120, "level3": 593_280, "level4": 108_928},
        ),
    ],
)
def test_every_level_of_unet_has_the_count_of_the_real_keras_layers(encoder, parts):
    variables = abstract_variables(paper_model(encoder, "unet"))
    assert sizes_by_part(variables, lambda layer: layer.split("_")[0]) == parts
    assert size(variables["params"]["head"]) == 65


@pytest.mark.parametrize(
    ("encoder", "channels"),
    [("resnet50", (3, 64, 256, 256, 512, 1024)), ("efficientnet_b4", (3, 144, 192, 192, 336, 960))],
)
def test_taps_have_the_channels_of_the_paper(encoder, channels):
    model = build_encoder(encoder, extent="cut")
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.uint8)
    pyramid, _ = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=False), image)
    sizes = (256, 128, 64, 64, 32, 16)
    taps = [pyramid.image, pyramid.stride2, pyramid.stride4_low_level, pyramid.stride4, pyramid.stride8]
    for tap, px, depth in zip([*taps, pyramid.output], sizes, channels, strict=True):
        assert tap.shape == (1, px, px, depth)


def test_the_raw_image_is_unet_efficientnets_last_skip():
    """0..255, before any normalisation (section 1 of the reconstruction of its 14,932,072)."""
    model = paper_model("efficientnet_b4", "unet")
    assert model.decoder.variant.skips[-1] == "image"
    encoder = build_encoder("efficientnet_b0", extent="cut", width=0.25, encoder_depths=(1, 1, 1, 1, 1))
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    pyramid, _ = jax.jit(lambda x: encoder.init_with_output(jax.random.key(0), x, train=False))(image)
    np.testing.assert_array_equal(pyramid.image, image)


def blocks_and_dropout(encoder, decoder, rate):
    """Names of the decoder's convolutional blocks and rates of its dropout, in the order in which they are called."""
    depths = (1, 1, 1) if encoder == "resnet50" else (2, 1, 1, 1, 1)
    model = build_segmenter(
        encoder=encoder, decoder=decoder, num_classes=1, dropout=rate, encoder_depths=depths
    )
    called = []

    def watch(call, arguments, options, context):
        module = context.module
        if module.path[:1] == ("decoder",) and isinstance(module, nn.Dropout | ConvBatchNormRelu):
            called.append(round(module.rate, 6) if isinstance(module, nn.Dropout) else module.name)
        return call(*arguments, **options)

    def train(variables, image):
        with nn.intercept_methods(watch):
            keys = {"dropout": jax.random.key(0)}
            return model.apply(variables, image, train=True, mutable=["batch_stats"], rngs=keys)

    jax.eval_shape(train, abstract_variables(model), jax.ShapeDtypeStruct((2, 256, 256, 3), jnp.uint8))
    return called


@pytest.mark.parametrize(
    ("encoder", "rate", "rates"),
    [
        # Section 3.1 and Table 1: 0.7 at the bridge, 0.5 in the two deep levels, 0.2 in the two shallow ones.
        ("resnet50", 0.7, {"bridge": 0.7, "level1": 0.5, "level2": 0.5, "level3": 0.2, "level4": 0.2}),
        # Section 3.2 and Table 1: no bridge, 0.5 and 0.25.
        ("efficientnet_b4", 0.5, {"level1": 0.5, "level2": 0.5, "level3": 0.25, "level4": 0.25}),
    ],
)
def test_unet_dropout_has_the_rates_of_the_text_and_stands_within_each_pair(encoder, rate, rates):
    expected = [each for pair, share in rates.items() for each in (f"{pair}_1", share, f"{pair}_2")]
    assert blocks_and_dropout(encoder, "unet", rate) == expected


@pytest.mark.parametrize(("encoder", "convs"), [("resnet50", 2), ("efficientnet_b4", 4)])
def test_deeplabv3plus_dropout_follows_the_projection_and_the_last_convolution(encoder, convs):
    called = blocks_and_dropout(encoder, "deeplabv3plus", 0.5)
    assert called[-(convs + 4) :] == [
        "aspp_projection",
        0.5,
        "low_level",
        *(f"decoder_{number}" for number in range(1, convs + 1)),
        0.5,
    ]
    assert called.count(0.5) == 2
