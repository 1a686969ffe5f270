"""What every encoder and every decoder must do; a new row of the tables is tested by being there.

Full-size rows are looked at abstractly; their families run narrow and shallow, jitted.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.tree import leaf_name
from nucseg_jax.models import build
from nucseg_jax.models.build import (
    DECODERS,
    ENCODERS,
    DecoderRow,
    build_encoder,
    build_segmenter,
    decoders_for,
)
from nucseg_jax.models.initial import abstract_variables, initial_variables
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.models.pyramid import Pyramid
from nucseg_jax.models.unet import UNET_RESNET50, UNet

PX = 64
# One row of each kind that differs in more than sizes.
FAMILIES = ("resnet50", "resnet50_v1_5", "efficientnet_b4", "convnext_tiny")
# Tracing their hundreds of layers takes long, and they differ from others in sizes alone.
DEEP = [name for name in ENCODERS if name not in (*FAMILIES, "efficientnet_b0")]


def marked(encoder, *row):
    return pytest.param(encoder, *row, marks=[pytest.mark.long] if encoder in DEEP else [])


# Every row at least once: all encoders with one decoder, one encoder of each family with all. Quick ones have every
# family and every decoder.
PAIRS = [
    pytest.param(
        encoder,
        decoder,
        marks=[]
        if encoder == "resnet50" or (decoder == "unet" and encoder in FAMILIES)
        else pytest.mark.long,
    )
    for encoder, decoder in itertools.product(ENCODERS, DECODERS)
    if decoder == "unet" or encoder in FAMILIES
]
# Every family and every decoder, in both dtypes; the other pairs take minutes of compilation together.
QUICK = {
    ("resnet50", "deeplabv3plus_dilated", "bfloat16"),
    ("resnet50_v1_5", "unet_five_levels", "float32"),
    ("resnet50", "unet", "float32"),
    ("efficientnet_b4", "deeplabv3plus", "bfloat16"),
    ("convnext_tiny", "fpn", "float32"),
}
NARROW = [
    pytest.param(*row, marks=[] if row in QUICK else pytest.mark.long)
    for row in itertools.product(FAMILIES, DECODERS, ("float32", "bfloat16"))
]


def default_stride(decoder):
    return DECODERS[decoder].output_strides[0] if decoder in DECODERS else 16


def segmenter(encoder, decoder, **options):
    return build_segmenter(
        encoder=encoder,
        decoder=decoder,
        **{"output_stride": default_stride(decoder), "num_classes": 1, "dropout": 0.0, **options},
    )


def narrow(encoder, decoder, **options):
    """Width 1/8, one block a stage, but for one stage with a second, which differs from the first."""
    stages = len(build_encoder(encoder, extent=DECODERS[decoder].extent).depths)
    depths = (1, 2, *(1,) * (stages - 2))
    return segmenter(
        encoder, decoder, width=0.125, encoder_depths=depths, moving=MovingStatistics(0.9), **options
    )


def images(N=3):
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (N, PX, PX, 3)), jnp.uint8)


def initial(model):
    return initial_variables(model, 0, px=PX)


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_every_row_gives_float32_logits_of_the_images_size(encoder, decoder):
    for output_stride in DECODERS[decoder].output_strides:
        model = segmenter(encoder, decoder, output_stride=output_stride, num_classes=6, dtype=jnp.bfloat16)
        variables = abstract_variables(model, px=64)
        logits = jax.eval_shape(
            lambda v, x, model=model: model.apply(v, x, train=False),
            variables,
            jax.ShapeDtypeStruct((2, 64, 128, 3), jnp.uint8),
        )
        assert (logits.shape, logits.dtype) == ((2, 64, 128, 6), jnp.float32)
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("encoder", [marked(encoder) for encoder in ENCODERS])
def test_taps_have_their_strides_and_the_cut_is_a_part_of_the_whole(encoder):
    def taps(extent, output_stride):
        model = build_encoder(encoder, extent=extent, output_stride=output_stride)
        image = jax.ShapeDtypeStruct((1, 128, 192, 3), jnp.uint8)
        pyramid, variables = jax.eval_shape(
            lambda x: model.init_with_output(jax.random.key(0), x, train=False), image
        )
        assert model.taps == tuple(name for name, tap in pyramid._asdict().items() if tap is not None)
        for name, tap in pyramid._asdict().items():
            stride = {"image": 1, "stride4_low_level": 4, "output": output_stride}.get(name) or int(name[6:])
            if tap is not None:
                assert tap.shape[1:3] == (128 // stride, 192 // stride), name
        return pyramid, variables

    cut, cut_variables = taps("cut", 16)
    assert cut.output == cut.stride16
    whole, whole_variables = taps("whole", 32)
    assert whole[:-1] == cut[:-1]
    dense, dense_variables = taps("whole", 8)
    assert dense.stride16 is None
    assert jax.tree.map(lambda leaf: leaf.shape, dense_variables) == jax.tree.map(
        lambda leaf: leaf.shape, whole_variables
    )
    for collection, layers in cut_variables.items():
        for layer, leaves in layers.items():
            assert whole_variables[collection][layer] == leaves


def gradients_of(model):
    variables = initial(model)

    @jax.jit
    def gradient(params):
        def loss(params):
            logits, _ = model.apply(
                {**variables, "params": params}, images(), train=True, mutable=["batch_stats"]
            )
            return jnp.mean(jnp.square(logits - 1.0))

        return jax.grad(loss)(params)

    return jax.tree_util.tree_leaves_with_path(gradient(variables["params"]))


def is_bias_before_batch_norm(name):
    """The norm's mean takes such a bias out again: it has no true gradient."""
    return name.endswith("_conv/bias") or name.endswith("/conv/bias")


@pytest.mark.parametrize(("encoder", "decoder", "dtype"), NARROW)
def test_gradients_are_float32_and_finite_and_reach_every_parameter(encoder, decoder, dtype):
    """Whatever the dtype of computation, which the encoder's output has."""
    model = narrow(encoder, decoder, dtype=jnp.dtype(dtype))
    pyramid = jax.eval_shape(
        lambda x: model.encoder.init_with_output(jax.random.key(0), x, train=False)[0], images()
    )
    assert pyramid.output.dtype == dtype
    for path, leaf in gradients_of(model):
        name = leaf_name(path)
        assert leaf.dtype == jnp.float32
        assert np.isfinite(leaf).all(), name
        if not is_bias_before_batch_norm(name):
            assert np.any(leaf), name


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ("resnet50", "unet"),
        pytest.param("convnext_tiny", "deeplabv3plus", marks=pytest.mark.long),
        pytest.param("efficientnet_b4", "deeplabv3plus", marks=pytest.mark.long),
    ],
)
def test_inference_uses_moving_statistics_and_drops_nothing(encoder, decoder):
    """So an image's logits do not depend on the others in its batch; in training they do."""
    model = narrow(encoder, decoder, dropout=0.5, drop_connect=0.5)
    variables = initial(model)
    infer = jax.jit(lambda x: model.apply(variables, x, train=False))
    together = infer(images())
    scale = np.abs(together).max()
    np.testing.assert_allclose(together[:1], infer(images()[:1]), rtol=0, atol=1e-4 * scale)

    @jax.jit
    def train(x, key):
        return model.apply(variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": key})

    logits, updated = train(images(), jax.random.key(1))
    assert not np.allclose(logits[:1], train(images()[:1], jax.random.key(1))[0], atol=1e-3)
    assert not np.allclose(logits, train(images(), jax.random.key(2))[0], atol=1e-3)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), variables["batch_stats"], updated["batch_stats"])
    assert all(jax.tree.leaves(moved))
    # Nothing is left to draw, so no random key is asked for.
    jax.eval_shape(
        lambda x: model.without_dropout().apply(variables, x, train=True, mutable=["batch_stats"]), images()
    )


@pytest.mark.parametrize("encoder", ["resnet50", "efficientnet_b4"])
def test_frozen_stages_keep_and_use_their_statistics_in_training(encoder):
    model = narrow(encoder, "deeplabv3plus").encoder
    frozen = model.stages[:2]
    model = model.clone(frozen_statistics=frozen)
    variables = initial(model)
    _, updated = jax.jit(lambda x: model.apply(variables, x, train=True, mutable=["batch_stats"]))(images())
    for layer, statistics in updated["batch_stats"].items():
        before = variables["batch_stats"][layer]
        stays = all(np.array_equal(statistics[leaf], before[leaf]) for leaf in before)
        assert stays == layer.startswith(frozen), layer


@pytest.mark.parametrize("encoder", ["resnet50_v1_5", "efficientnet_b4"])
def test_encoders_take_odd_sizes(encoder):
    """Each stride-2 layer rounds up, as in the networks they are named after."""
    model = build_encoder(encoder, extent="whole")
    image = jax.ShapeDtypeStruct((1, 131, 197, 3), jnp.uint8)
    pyramid = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=False)[0], image)
    assert pyramid.stride2.shape[1:3] == (66, 99)
    assert pyramid.stride8.shape[1:3] == (17, 25)
    assert pyramid.output.shape[1:3] == (5, 7)


@pytest.mark.parametrize("shape", [(1, 250, 256, 3), (1, 256, 40, 3), (1, 64, 64, 4), (64, 64, 3)])
def test_a_segmenter_refuses_sizes_it_cannot_give_back(shape):
    model = segmenter("resnet50", "unet")
    with pytest.raises(UserError, match="multiples of 16"):
        jax.eval_shape(
            lambda x: model.init(jax.random.key(0), x, train=False), jax.ShapeDtypeStruct(shape, jnp.uint8)
        )


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_says_what_it_is_before_it_computes(encoder):
    """Stages can be frozen by name, depths replaced, dropout left out; and the row's data are the module's."""
    for extent in ("cut", "whole"):
        module = build_encoder(encoder, extent=extent)
        assert len(set(module.stages)) == len(module.stages) > 2
        # A stage is found by the start of a layer's name.
        assert not any(
            one != other and one.startswith(other) for one, other in itertools.permutations(module.stages, 2)
        )
        depths = tuple(range(1, len(module.depths) + 1))
        assert build_encoder(encoder, extent=extent, encoder_depths=depths).depths == depths
        assert set(module.taps) <= set(Pyramid._fields)
        assert module.end
        module.without_dropout()
    assert (
        getattr(build_encoder(encoder, extent="cut", drop_connect=0.25), "drop_connect", None) == 0.25
    ) == (ENCODERS[encoder].has_stochastic_depth)
    stem = ENCODERS[encoder].variant.stem
    kernels = [
        leaf.shape
        for leaf in jax.tree.leaves(abstract_variables(build_encoder(encoder, extent="cut"), px=64)["params"])
    ]
    assert (stem[0], stem[0], 3, stem[1]) in kernels


@pytest.mark.parametrize("encoder", FAMILIES)
def test_every_decoder_goes_with_every_family(encoder):
    assert decoders_for(encoder) == tuple(DECODERS)


class NeedsStride2(UNet):
    """A decoder that cannot do without the tap at stride 2."""

    @property
    def required_taps(self):
        return ("output", "stride2")


def test_a_decoder_without_its_tap_is_refused_before_anything_is_traced(monkeypatch):
    """By a row of any family's: the table asks for no type."""
    row = DecoderRow("Needs stride 2", NeedsStride2, UNET_RESNET50, "cut", (16,))
    monkeypatch.setitem(build.DECODERS, "needs_stride2", row)
    segmenter("resnet50", "needs_stride2")
    with pytest.raises(UserError, match=r"(?s)stride2 features.*convnext_tiny.*one of unet, deeplabv3plus,"):
        segmenter("convnext_tiny", "needs_stride2")
    assert "needs_stride2" not in decoders_for("convnext_tiny")
    assert "needs_stride2" in decoders_for("efficientnet_b0")


def test_a_level_without_its_tap_goes_on_without_a_skip():
    """The level's first convolution takes what was upsampled, and nothing else."""
    kernels = {}
    for encoder in ("resnet50", "convnext_tiny"):
        decoder = abstract_variables(segmenter(encoder, "unet_five_levels"), px=64)["params"]["decoder"]
        kernels[encoder] = [decoder[f"level{n}_1"]["conv"]["kernel"].shape[2:] for n in range(1, 6)]
    assert kernels == {
        "resnet50": [(256 + 1024, 256), (128 + 512, 128), (64 + 256, 64), (32 + 64, 32), (16, 16)],
        "convnext_tiny": [(256 + 384, 256), (128 + 192, 128), (64 + 96, 64), (32, 32), (16, 16)],
    }


@pytest.mark.parametrize(
    "fault",
    [
        dict(encoder="vgg16"),
        dict(decoder="linknet"),
        dict(output_stride=8),
        dict(decoder="deeplabv3plus_dilated", output_stride=32),
        dict(num_classes=0),
        dict(num_classes=256),
        dict(dropout=1.0),
        dict(drop_connect=-0.1),
        dict(width=0.0),
        dict(moving=MovingStatistics(1.0)),
        dict(encoder_depths=(3, 4)),
        dict(encoder_depths=(3, 4, 0)),
    ],
)
def test_wrong_choices_are_refused_by_name(fault):
    with pytest.raises(UserError, match=r"model\."):
        segmenter(**{"encoder": "resnet50", "decoder": "unet", **fault})
