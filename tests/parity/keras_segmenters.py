"""The paper's four models from Keras layers: the encoder is keras.applications', the rest as the paper's text has it.

Written from the text alone, with Keras's usual means; nothing of it is shared with our models but the layers'
names, a dot where ours have a slash. Needs TensorFlow; imported inside tests only.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.parity import keras_networks

LEAVES = {**keras_networks.BATCH_NORM, **keras_networks.CONV}


@keras.saving.register_keras_serializable("parity")
class Bilinear(layers.Layer):
    """UpSampling2D(interpolation="bilinear") in any dtype: TensorFlow's kernel rounds to float32.

    Its weights, read off the kernel's action on unit images, are multiples of 1/8 and so exact.
    """

    def __init__(self, factors: tuple[int, int], **options: Any) -> None:
        super().__init__(**options)
        self.factors = factors

    def call(self, image: Any) -> Any:
        """[N, H, W, C] -> [N, H * factor, W * factor, C]."""
        rows, columns = (
            self._weights(size, factor) for size, factor in zip(image.shape[1:3], self.factors, strict=True)
        )
        return tf.einsum("ih,jw,nhwc->nijc", tf.cast(rows, image.dtype), tf.cast(columns, image.dtype), image)

    @staticmethod
    def _weights(size: int, factor: int) -> Any:
        units = tf.reshape(tf.eye(size), (1, size, 1, size))
        magnified = layers.UpSampling2D((factor, 1), interpolation="bilinear", dtype="float32")(units)
        return tf.reshape(magnified, (size * factor, size))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How layers of the decoder are made.

    Attributes:
      l2: of the kernels.
      narrowing: channels are divided by this.
    """

    l2: float
    narrowing: int

    def channels(self, published: int) -> int:
        """Of a layer that has `published` ones in the paper."""
        return published // self.narrowing

    def conv(
        self, image: Any, name: str, features: int, kernel_px: int, *, use_bias: bool, rate: int = 1
    ) -> Any:
        """Convolution, batch norm, ReLU."""
        image = layers.Conv2D(
            self.channels(features),
            kernel_px,
            padding="same",
            dilation_rate=rate,
            use_bias=use_bias,
            kernel_regularizer=keras.regularizers.l2(self.l2),
            name=f"decoder.{name}.conv",
        )(image)
        image = layers.BatchNormalization(name=f"decoder.{name}.batch_norm")(image)
        return layers.ReLU()(image)

    def transpose(self, image: Any, name: str, features: int, kernel_px: int, *, use_bias: bool) -> Any:
        """Transposed convolution at stride 2."""
        return layers.Conv2DTranspose(
            self.channels(features),
            kernel_px,
            strides=2,
            padding="same",
            use_bias=use_bias,
            kernel_regularizer=keras.regularizers.l2(self.l2),
            name=f"decoder.{name}",
        )(image)

    def head(self, image: Any) -> Any:
        """One logit a pixel."""
        return layers.Conv2D(1, 1, kernel_regularizer=keras.regularizers.l2(self.l2), name="head")(image)


def unet_resnet50(encoder: Any, recipe: Recipe) -> Any:
    """Section 3.1: bridge of 256; 256, 128, 64, 64; transposed 3x3 with batch norm."""
    image = last_of_stage(encoder, "conv4")
    for number in (1, 2):
        image = recipe.conv(image, f"bridge_{number}", 256, 3, use_bias=True)
    skips = [
        last_of_stage(encoder, "conv3"),
        last_of_stage(encoder, "conv2"),
        encoder.get_layer("conv1_relu").output,
        None,
    ]
    for level, (features, skip) in enumerate(zip((256, 128, 64, 64), skips, strict=True), start=1):
        image = recipe.transpose(image, f"level{level}_transpose", features, 3, use_bias=False)
        image = layers.BatchNormalization(name=f"decoder.level{level}_transpose_batch_norm")(image)
        image = layers.ReLU()(image)
        if skip is not None:
            image = layers.Concatenate()([image, skip])
        for number in (1, 2):
            image = recipe.conv(image, f"level{level}_{number}", features, 3, use_bias=True)
    return recipe.head(image)


def unet_efficientnet(encoder: Any, recipe: Recipe) -> Any:
    """Section 3.2: 512, 256, 128, 64; transposed 2x2 with bias; the raw image is the last skip."""
    image = encoder.get_layer("block6a_expand_activation").output
    skips = [encoder.get_layer(f"block{number}a_expand_activation").output for number in (4, 3, 2)]
    for level, (features, skip) in enumerate(
        zip((512, 256, 128, 64), [*skips, encoder.input], strict=True), start=1
    ):
        image = recipe.transpose(image, f"level{level}_transpose", features, 2, use_bias=True)
        image = layers.Concatenate()([image, skip])
        for number in (1, 2):
            image = recipe.conv(image, f"level{level}_{number}", features, 3, use_bias=True)
    return recipe.head(image)


def deeplabv3plus(
    image: Any, low_level: Any, recipe: Recipe, *, aspp: int, low_level_features: int, decoder_convs: int
) -> Any:
    """Section 3.3: five branches, projection, magnified to stride 4, joined; the head on the full-size map."""
    height, width = image.shape[1:3]
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(image)
    pooled = recipe.conv(pooled, "aspp_pool", aspp, 1, use_bias=False)
    branches = [
        Bilinear((height, width))(pooled),
        recipe.conv(image, "aspp_1x1", aspp, 1, use_bias=False),
    ]
    for rate in (6, 12, 18):
        branches.append(recipe.conv(image, f"aspp_rate_{rate}", aspp, 3, use_bias=False, rate=rate))
    image = layers.Concatenate()(branches)
    image = recipe.conv(image, "aspp_projection", aspp, 1, use_bias=False)
    image = Bilinear((4, 4))(image)
    low_level = recipe.conv(low_level, "low_level", low_level_features, 1, use_bias=False)
    image = layers.Concatenate()([image, low_level])
    for number in range(1, decoder_convs + 1):
        image = recipe.conv(image, f"decoder_{number}", aspp, 3, use_bias=False)
    return recipe.head(Bilinear((4, 4))(image))


def deeplabv3plus_resnet50(encoder: Any, recipe: Recipe) -> Any:
    """Width 512, low level conv2_block2 to 128, two convolutions."""
    return deeplabv3plus(
        last_of_stage(encoder, "conv4"),
        encoder.get_layer("conv2_block2_out").output,
        recipe,
        aspp=512,
        low_level_features=128,
        decoder_convs=2,
    )


def deeplabv3plus_efficientnet(encoder: Any, recipe: Recipe) -> Any:
    """Width 256, low level block3a to 256, four convolutions."""
    return deeplabv3plus(
        encoder.get_layer("block6a_expand_activation").output,
        encoder.get_layer("block3a_expand_activation").output,
        recipe,
        aspp=256,
        low_level_features=256,
        decoder_convs=4,
    )


DECODERS: dict[tuple[str, str], Callable[[Any, Recipe], Any]] = {
    ("unet", "resnet50"): unet_resnet50,
    ("unet", "efficientnet_b4"): unet_efficientnet,
    ("deeplabv3plus", "resnet50"): deeplabv3plus_resnet50,
    ("deeplabv3plus", "efficientnet_b4"): deeplabv3plus_efficientnet,
}


def last_of_stage(encoder: Any, stage: str) -> Any:
    """Output of a ResNet stage's last block."""
    outputs = [
        layer for layer in encoder.layers if layer.name.startswith(stage) and layer.name.endswith("_out")
    ]
    return outputs[-1].output


def shallow_resnet(px: int, depths: tuple[int, ...]) -> Any:
    """Keras's ResNet with other depths, ending with as many stages."""

    def stack(image: Any) -> Any:
        for stage, (depth, features) in enumerate(zip(depths, (64, 128, 256), strict=True), start=2):
            image = keras.src.applications.resnet.stack_residual_blocks_v1(
                image, features, depth, stride1=1 if stage == 2 else 2, name=f"conv{stage}"
            )
        return image

    return keras.src.applications.resnet.ResNet(
        stack, preact=False, use_bias=True, include_top=False, weights=None, input_shape=(px, px, 3)
    )


def narrow_efficientnet(px: int, width_coefficient: float, depth_coefficient: float) -> Any:
    """Keras's EfficientNet by other coefficients."""
    return keras.src.applications.efficientnet.EfficientNet(
        width_coefficient,
        depth_coefficient,
        default_size=px,
        include_top=False,
        weights=None,
        input_shape=(px, px, 3),
    )


def our_name(layer: Any, weight: Any) -> str:
    """'decoder/bridge_1/conv/kernel' of Keras's layer 'decoder.bridge_1.conv' and its weight 'kernel'."""
    module = (
        layer.name.replace(".", "/")
        if layer.name.startswith(("decoder.", "head"))
        else f"encoder/{layer.name}"
    )
    return f"{module}/{LEAVES[weight.name]}"


def our_layout(layer: Any, value: Any) -> np.ndarray:
    """A weight or gradient of Keras's, axes as ours; its own inverse."""
    value = np.asarray(value)
    return np.swapaxes(value, 2, 3) if isinstance(layer, layers.DepthwiseConv2D) else value


def load(model: Any, variables: Mapping[str, np.ndarray]) -> None:
    """Puts our leaves, by name without their collection, into Keras's model; every one must find its place."""
    left = dict(variables)
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            constants = [left.pop(f"encoder/normalization/{weight.name}") for weight in layer.weights]
            layer.set_weights([np.reshape(c, w.shape) for c, w in zip(constants, layer.weights, strict=True)])
            layer.finalize_state()
            continue
        if isinstance(layer, layers.Rescaling):
            # TensorFlow's cast takes Python numbers through float32, also on their way to float64.
            layer.scale = tf.constant(layer.scale, layer.compute_dtype)
        layer.set_weights([our_layout(layer, left.pop(our_name(layer, weight))) for weight in layer.weights])
    assert not left, f"Keras has no place for {sorted(left)}"


def soft_dice(logits: Any, truth: np.ndarray) -> Any:
    """Eq. 4 as read: 1 - (2 sum pg + eps) / (sum p^2 + sum g^2 + eps) of each image, then the mean."""
    probability = tf.sigmoid(logits[..., 0])
    truth = tf.cast(truth, logits.dtype)
    overlap = tf.reduce_sum(probability * truth, (1, 2))
    total = tf.reduce_sum(probability**2, (1, 2)) + tf.reduce_sum(truth**2, (1, 2))
    return tf.reduce_mean(1 - (2 * overlap + 1e-6) / (total + 1e-6))


def gradients(model: Any, image: np.ndarray, truth: np.ndarray) -> tuple[float, float, dict[str, np.ndarray]]:
    """Dice loss, Keras's regularization loss, and the gradient of their sum by our names, in training mode."""
    with tf.GradientTape() as tape:
        dice = soft_dice(model(image, training=True), truth)
        penalty = tf.add_n(model.losses)
        total = dice + penalty
    places = [(layer, weight) for layer in model.layers for weight in layer.trainable_weights]
    values = tape.gradient(total, [weight.value for _, weight in places])
    return (
        float(dice),
        float(penalty),
        {our_name(*place): our_layout(place[0], v) for place, v in zip(places, values, strict=True)},
    )
