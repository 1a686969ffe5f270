"""The paper's four models against the same models in Keras: gradients of Dice and L2, then Adam, in float64."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nucseg_jax.core.tree import leaf_name
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.models.deeplabv3plus import (
    DEEPLABV3PLUS_EFFICIENTNET,
    DEEPLABV3PLUS_RESNET50,
    DeepLabV3Plus,
)
from nucseg_jax.models.efficientnet import EfficientNet, efficientnet_variant
from nucseg_jax.models.resnet import RESNET50, ResNet
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.models.unet import UNET_EFFICIENTNET, UNET_RESNET50, UNet
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.training.optimizer import l2_mask, l2_penalty, paper_optimizer
from tests.parity.difference import relative_difference
from tests.parity.frozen import frozen_images, integers, uniform

pytestmark = pytest.mark.parity

GRADIENT_TOLERANCE = 1e-6
# As a share of the learning rate, after ten steps.
ADAM_TOLERANCE = 1e-6
LR = 1e-4
# About the paper's 0.01; a power of two, as Keras keeps the factor in float32.
L2 = 2.0**-7
N, PX = 3, 64
NARROWING = 8
DEPTHS = (2, 1, 1)
COEFFICIENTS = (0.25, 0.3)
MODELS = [
    (decoder, encoder) for decoder in ("unet", "deeplabv3plus") for encoder in ("resnet50", "efficientnet_b4")
]
VARIANTS = {
    ("unet", "resnet50"): (UNet, UNET_RESNET50),
    ("unet", "efficientnet_b4"): (UNet, UNET_EFFICIENTNET),
    ("deeplabv3plus", "resnet50"): (DeepLabV3Plus, DEEPLABV3PLUS_RESNET50),
    ("deeplabv3plus", "efficientnet_b4"): (DeepLabV3Plus, DEEPLABV3PLUS_EFFICIENTNET),
}
# What a batch norm takes out again with its mean: the true gradient is zero and what is computed is rounding. These
# are the biases of the ResNet encoder's convolutions, of the U-Nets' 3x3 convolutions, and those of the batch norms
# that end EfficientNet's blocks, wherever only 1x1 convolutions with a batch norm (the next expansions) follow. After
# block1 but its last a padded depthwise convolution follows, and the bias counts.
NO_TRUE_GRADIENT = re.compile(
    r"encoder/conv\w+_conv/bias|decoder/\w+/conv/bias|encoder/block[2-7][a-z]_project_bn/bias"
)


def has_no_true_gradient(name, names):
    """Whether the parameter `name`, of a model with these `names`, is one of the above."""
    last_of_block1 = max(
        (n for n in names if re.fullmatch(r"encoder/block1[a-z]_project_bn/bias", n)), default=""
    )
    return name == last_of_block1 or bool(NO_TRUE_GRADIENT.fullmatch(name))


def narrow_model(decoder, encoder):
    module, variant = VARIANTS[decoder, encoder]
    if encoder == "resnet50":
        shallow = ResNet(dataclasses.replace(RESNET50, depths=DEPTHS))
    else:
        shallow = EfficientNet(efficientnet_variant(*COEFFICIENTS), drop_connect=0.0)
    return Segmenter(shallow, module(variant, dropout=0.0, width=1 / NARROWING), num_classes=1)


def narrow_keras_encoder(encoder, keras_segmenters):
    if encoder == "resnet50":
        return keras_segmenters.shallow_resnet(PX, DEPTHS)
    return keras_segmenters.narrow_efficientnet(PX, *COEFFICIENTS)


def initial_variables(model, dtype):
    """As the model starts, but scales and biases away from one and zero, where faults could hide."""
    with jax.enable_x64(False):
        image = jnp.zeros((1, PX, PX, 3))
        variables = jax.jit(lambda x: model.init(jax.random.key(0), x, train=False))(image)

    def disturb(path, leaf):
        name = leaf_name(path)
        if name.endswith(("scale", "bias")):
            leaf = leaf + uniform(name, leaf.shape, -0.2, 0.2)
        return np.asarray(leaf, dtype)

    return jax.tree_util.tree_map_with_path(disturb, variables)


def named(tree):
    return {leaf_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def keras_model(keras_segmenters, keras_encoder, decoder, encoder, narrowing, variables):
    keras_segmenters.keras_networks.without_drop_connect(keras_encoder)
    recipe = keras_segmenters.Recipe(l2=L2, narrowing=narrowing)
    logits = keras_segmenters.DECODERS[decoder, encoder](keras_encoder, recipe)
    model = keras_segmenters.keras.Model(keras_encoder.input, logits)
    leaves = {}
    for collection in variables.values():
        leaves |= named(collection)
    keras_segmenters.load(model, leaves)
    return model


def batch(dtype):
    image = frozen_images(N, PX, PX).astype(dtype)
    # Blobs of 8 px, a third of the area.
    label = (integers("label", (N, PX // 8, PX // 8), 0, 3) == 0).repeat(8, axis=1).repeat(8, axis=2)
    return image, label.astype(np.uint8)


def our_gradients(model, variables, image, label):
    """Dice loss, L2 penalty, and the gradient of their sum by name."""
    mask = l2_mask(variables["params"], "added")

    @jax.jit
    def compute(variables, image):
        def objective(params):
            logits, _ = model.apply(
                {**variables, "params": params}, image, train=True, mutable=["batch_stats"]
            )
            dice, penalty = jnp.mean(soft_dice(logits, label)), l2_penalty(params, mask, L2)
            return dice + penalty, (dice, penalty)

        return jax.grad(objective, has_aux=True)(variables["params"])

    gradient, (dice, penalty) = compute(variables, image)
    return float(dice), float(penalty), named(gradient)


def compare_gradients(model, keras_encoder, decoder, encoder, narrowing, dtype, keras_segmenters):
    """Holds the losses to each other; the differences of the gradients by name."""
    variables = initial_variables(model, dtype)
    image, label = batch(dtype)
    theirs = keras_model(keras_segmenters, keras_encoder, decoder, encoder, narrowing, variables)
    raw = image
    if encoder == "resnet50":
        raw = keras_segmenters.keras.applications.resnet.preprocess_input(image.copy())
    their_dice, their_penalty, their_gradients = keras_segmenters.gradients(theirs, raw, label)
    dice, penalty, gradients = our_gradients(model, variables, image, label)
    assert set(gradients) == set(their_gradients)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    assert dice == pytest.approx(their_dice, rel=tolerance)
    assert penalty == pytest.approx(their_penalty, rel=tolerance)
    assert 0.1 < dice < 0.99

    largest = max(np.abs(gradient).max() for gradient in their_gradients.values())
    differences = {}
    for name, gradient in gradients.items():
        if not has_no_true_gradient(name, gradients):
            differences[name] = relative_difference(gradient, their_gradients[name])
        elif dtype == np.float64:
            assert max(np.abs(gradient).max(), np.abs(their_gradients[name]).max()) < 1e-9 * largest, name
    return differences


@pytest.mark.parametrize(("decoder", "encoder"), MODELS)
def test_gradients_of_narrow_models_are_keras(decoder, encoder, keras_float64, keras_segmenters, record):
    with jax.enable_x64(True):
        differences = compare_gradients(
            narrow_model(decoder, encoder),
            narrow_keras_encoder(encoder, keras_segmenters),
            decoder,
            encoder,
            NARROWING,
            np.float64,
            keras_segmenters,
        )
    worst = max(differences.values())
    assert worst < GRADIENT_TOLERANCE, {n: d for n, d in differences.items() if d >= GRADIENT_TOLERANCE}
    version = keras_segmenters.keras_networks.VERSION
    record(f"{decoder} {encoder}, narrow", version, "gradients, float64", f"{N} x {PX}x{PX}", f"{worst:.1e}")


@pytest.mark.parametrize(("decoder", "encoder"), MODELS)
def test_gradients_in_float32_are_reported(decoder, encoder, keras_segmenters, record):
    """Not held to anything: where a ReLU's input is within rounding of zero, one channel's gradient differs."""
    differences = compare_gradients(
        narrow_model(decoder, encoder),
        narrow_keras_encoder(encoder, keras_segmenters),
        decoder,
        encoder,
        NARROWING,
        np.float32,
        keras_segmenters,
    )
    values = list(differences.values())
    record(
        f"{decoder} {encoder}, narrow",
        keras_segmenters.keras_networks.VERSION,
        "gradients, float32",
        f"{N} x {PX}x{PX}",
        f"{max(values):.1e}; {np.median(values):.1e} in the median tensor",
    )


@pytest.mark.parametrize(("decoder", "encoder"), MODELS)
def test_gradients_of_paper_models_are_keras(
    decoder, encoder, keras_float64, keras_networks, keras_segmenters, record
):
    model = build_segmenter(encoder=encoder, decoder=decoder, num_classes=1, dropout=0.0, drop_connect=0.0)
    with jax.enable_x64(True):
        differences = compare_gradients(
            model,
            keras_networks.build(encoder, PX, PX),
            decoder,
            encoder,
            1,
            np.float64,
            keras_segmenters,
        )
    worst = max(differences.values())
    assert worst < GRADIENT_TOLERANCE, {n: d for n, d in differences.items() if d >= GRADIENT_TOLERANCE}
    record(
        f"{decoder} {encoder}",
        keras_networks.VERSION,
        "gradients, float64",
        f"{N} x {PX}x{PX}",
        f"{worst:.1e}",
    )


def test_adam_and_l2_are_keras(keras_float64, keras_segmenters, record):
    """Ten steps from the same weights by the same gradients of the loss, of sizes from 1e-9 to 1."""
    keras, tf = keras_segmenters.keras, keras_segmenters.tf
    decoder, encoder = "unet", "efficientnet_b4"
    with jax.enable_x64(True):
        variables = initial_variables(narrow_model(decoder, encoder), np.float64)
        model = keras_model(
            keras_segmenters,
            narrow_keras_encoder(encoder, keras_segmenters),
            decoder,
            encoder,
            NARROWING,
            variables,
        )
        places = [(layer, weight) for layer in model.layers for weight in layer.trainable_weights]
        params = variables["params"]
        optimizer = paper_optimizer(lr=LR, l2=L2)
        state = optimizer.init(params)
        update = jax.jit(optimizer.update)
        keras_optimizer = keras.optimizers.Adam(LR)
        keras_optimizer.build(model.trainable_variables)
        # TensorFlow's cast takes Python numbers through float32, which moves ten float64 steps by 7e-5 of lr.
        keras_optimizer.beta_1 = tf.constant(keras_optimizer.beta_1, tf.float64)
        keras_optimizer.beta_2 = tf.constant(keras_optimizer.beta_2, tf.float64)

        def dice_gradient(name, shape, step):
            size = 10.0 ** -float(integers(f"{name} size", 1, 0, 10)[0])
            return size * np.float64(uniform(f"{name} step {step}", shape, -1.0, 1.0))

        worst = 0.0
        for step in range(10):
            gradient = jax.tree_util.tree_map_with_path(
                lambda path, leaf: dice_gradient(leaf_name(path), leaf.shape, step),  # noqa: B023
                params,
            )
            updates, state = update(gradient, state, params)
            params = jax.device_get(optax.apply_updates(params, updates))

            with tf.GradientTape() as tape:
                penalty = tf.add_n(model.losses)
            of_penalty = tape.gradient(penalty, [weight.value for _, weight in places])
            of_loss = named(gradient)
            for_keras = []
            for (layer, weight), slope in zip(places, of_penalty, strict=True):
                total = keras_segmenters.our_layout(layer, of_loss[keras_segmenters.our_name(layer, weight)])
                for_keras.append(tf.constant(total) + (0.0 if slope is None else slope))
            keras_optimizer.apply(for_keras, [weight for _, weight in places])

            ours = named(params)
            for layer, weight in places:
                theirs = keras_segmenters.our_layout(layer, weight.value)
                difference = np.abs(ours[keras_segmenters.our_name(layer, weight)] - theirs).max()
                worst = max(worst, float(difference) / LR)
    assert worst < ADAM_TOLERANCE
    record(
        "Adam and L2", keras_segmenters.keras_networks.VERSION, "ten steps, float64", "", f"{worst:.1e} of lr"
    )
