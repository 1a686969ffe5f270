"""The FPN decoder against a slow reference in NumPy, and what holds for it alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.models.fpn import FPN, FPNVariant
from nucseg_jax.models.pyramid import Pyramid

SMALL = FPNVariant(pyramid_features=6, segmentation_features=8)
CHANNELS = {"stride4": 3, "stride8": 4, "stride16": 5, "output": 7}
STRIDES = {"stride4": 4, "stride8": 8, "stride16": 16, "output": 32}
PX = 64


def pyramid(seed=0, **changes) -> Pyramid:
    generator = np.random.default_rng(seed)
    taps = {
        name: generator.normal(size=(2, PX // STRIDES[name], PX // STRIDES[name], channels)).astype(
            np.float32
        )
        for name, channels in CHANNELS.items()
    }
    empty = np.zeros((2, PX, PX, 3), np.float32)
    return Pyramid(image=empty, stride2=None, stride4_low_level=taps["stride4"], **{**taps, **changes})


@pytest.fixture(scope="module")
def fpn():
    """A small decoder, and variables that are all drawn."""
    decoder = FPN(SMALL, dropout=0.5)
    shapes = jax.eval_shape(lambda: decoder.init(jax.random.key(0), pyramid(), train=False))
    generator = np.random.default_rng(1)
    return decoder, jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), shapes)


def convolved(image, layer):
    kernel = np.asarray(layer["kernel"], np.float64)
    reach = kernel.shape[0] // 2
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    N, H, W, _ = image.shape
    result = np.zeros((N, H, W, kernel.shape[3]))
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            result += padded[:, row : row + H, column : column + W] @ kernel[row, column]
    return result + np.asarray(layer.get("bias", 0.0), np.float64)


def group_normalised(image, layer):
    """In as many groups as there are channels here: 8 are at most 32."""
    mean = image.mean(axis=(1, 2), keepdims=True)
    variance = image.var(axis=(1, 2), keepdims=True)
    return (image - mean) / np.sqrt(variance + 1e-5) * layer["scale"] + layer["bias"]


def doubled(image):
    """Bilinear, half-pixel centres, edges clamped, one axis after the other."""
    for axis in (1, 2):
        size = image.shape[axis]
        centres = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        below = np.floor(centres).astype(int)
        above = np.minimum(below + 1, size - 1)
        share = (centres - below).reshape([-1 if number == axis else 1 for number in range(4)])
        image = np.take(image, below, axis) * (1 - share) + np.take(image, above, axis) * share
    return image


def reference(params, taps):
    total, features = 0.0, None
    for name in ("output", "stride16", "stride8", "stride4"):
        lateral = convolved(np.asarray(getattr(taps, name), np.float64), params[f"{name}_lateral"])
        if features is not None:
            lateral += features.repeat(2, axis=1).repeat(2, axis=2)
        features = branch = lateral
        doublings = {"output": 3, "stride16": 2, "stride8": 1, "stride4": 0}[name]
        for number in range(1, max(doublings, 1) + 1):
            layer = f"{name}_segmentation_{number}"
            branch = convolved(branch, params[layer])
            branch = np.maximum(group_normalised(branch, params[f"{layer}_group_norm"]), 0.0)
            if doublings:
                branch = doubled(branch)
        total = total + branch
    return total


def test_it_is_the_reference(fpn):
    decoder, variables = fpn
    features = jax.jit(lambda v, taps: decoder.apply(v, taps, train=False))(variables, pyramid())
    expected = reference(variables["params"], pyramid())
    assert features.shape == (2, PX // 4, PX // 4, SMALL.segmentation_features)
    np.testing.assert_allclose(features, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("tap", CHANNELS)
def test_every_tap_counts(fpn, tap):
    decoder, variables = fpn
    apply = jax.jit(lambda v, taps: decoder.apply(v, taps, train=False))
    without = apply(variables, pyramid(**{tap: np.zeros_like(getattr(pyramid(), tap))}))
    assert np.abs(without - apply(variables, pyramid())).max() > 0.1


def test_an_image_is_normalised_alone(fpn):
    """No result depends on the batch, in training either."""
    decoder, variables = fpn
    apply = jax.jit(
        lambda v, taps: decoder.without_dropout().apply(
            v, taps, train=True, rngs={"dropout": jax.random.key(0)}
        )
    )
    both = apply(variables, pyramid())
    other = jax.tree.map(lambda tap: np.concatenate([tap[:1], 7 * tap[1:]]), pyramid())
    np.testing.assert_allclose(apply(variables, other)[0], both[0], rtol=1e-5, atol=1e-5)


def test_bfloat16_is_near_float32(fpn):
    decoder, variables = fpn
    exact = jax.jit(lambda v, taps: decoder.apply(v, taps, train=False))(variables, pyramid())
    coarse = decoder.clone(dtype=jnp.bfloat16)
    near = jax.jit(lambda v, taps: coarse.apply(v, taps, train=False))(variables, pyramid())
    assert near.dtype == jnp.bfloat16
    assert np.abs(near.astype(np.float32) - exact).mean() < 0.03 * np.abs(exact).mean()
