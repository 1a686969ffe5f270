"""Every loss against a loop over pixels in float64, its gradient, and its values where an image is all or nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.config.loss import LossConfig
from nucseg_jax.ops.losses import cross_entropy, focal, plain_dice, tversky
from nucseg_jax.ops.probability import foreground_probability, nucleus_probability
from nucseg_jax.training.loss_terms import LOSS_TERMS

SMOOTH = 1e-6
OPTIONS = LossConfig(focal_gamma=1.5, focal_alpha=0.3, tversky_alpha=0.2, tversky_beta=0.9)
# Those of maps: tests/heads/test_targets.py.
LOSSES = {name: row.make(OPTIONS, "image") for name, row in LOSS_TERMS.items() if row.of != "maps"}
RATIOS = tuple(name for name, row in LOSS_TERMS.items() if row.is_ratio)
# A loss that comes later brings a reference of its own.
DEFINED = ("dice_loss", "plain_dice_loss", "tversky_loss", "cross_entropy_loss", "focal_loss")


def probabilities_of(pixel):
    """Of one pixel's logits: background and every foreground class."""
    if len(pixel) == 1:
        p = 1 / (1 + np.exp(-pixel[0]))
        return [1 - p, p]
    return np.exp(pixel) / np.exp(pixel).sum()


def literal_loss(name, logits, label):
    """The definition of one image, pixel by pixel, foreground class by foreground class."""
    pixels = [probabilities_of(pixel) for pixel in logits.reshape(-1, logits.shape[-1])]
    truths = [int(min(truth, len(pixels[0]) - 1)) for truth in label.ravel()]
    if name in ("cross_entropy_loss", "focal_loss"):
        values = []
        for p, truth in zip(pixels, truths, strict=True):
            weight = 1.0 if name == "cross_entropy_loss" else (0.3 if truth else 0.7) * (1 - p[truth]) ** 1.5
            values.append(-weight * np.log(p[truth]))
        return np.mean(values)
    losses = []
    for number in range(1, len(pixels[0])):
        above = below = 0.0
        for probability, truth in zip(pixels, truths, strict=True):
            p, g = probability[number], float(truth == number)
            if name == "dice_loss":
                above, below = above + 2 * p * g, below + p * p + g * g
            elif name == "plain_dice_loss":
                above, below = above + 2 * p * g, below + p + g
            else:
                above, below = above + p * g, below + p * g + 0.2 * p * (1 - g) + 0.9 * (1 - p) * g
        losses.append(1 - (above + SMOOTH) / (below + SMOOTH))
    return np.mean(losses)


def sample(classes, images=3):
    rng = np.random.default_rng(classes)
    # One class means any nucleus, whatever its number.
    label = rng.integers(0, max(classes, 3), (images, 5, 4)).astype(np.uint8)
    label[0] = 0
    label[1] = max(classes, 2) - 1
    return rng.normal(size=(images, 5, 4, classes)), label


@pytest.mark.parametrize("classes", [1, 6])
@pytest.mark.parametrize("name", DEFINED)
def test_a_loss_is_its_definition_on_mixed_all_empty_and_all_full_images(name, classes):
    logits, label = sample(classes)
    expected = [literal_loss(name, *of_image) for of_image in zip(logits, label, strict=True)]
    with jax.enable_x64(True):
        found = jax.jit(LOSSES[name])(jnp.asarray(logits, jnp.float64), label)
        assert found.dtype == jnp.float64
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    in_float32 = jax.jit(LOSSES[name])(jnp.asarray(logits, jnp.float32), label)
    assert in_float32.dtype == jnp.float32
    np.testing.assert_allclose(in_float32, expected, rtol=1e-5)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_a_gradient_is_that_of_small_differences(name, classes):
    logits, label = sample(classes)
    with jax.enable_x64(True):
        logits = jnp.asarray(logits, jnp.float64)
        total = jax.jit(lambda x: jnp.sum(LOSSES[name](x, label) * jnp.array([1.0, -2.0, 0.5])))
        gradient = jax.jit(jax.grad(total))(logits)
        direction = jnp.asarray(np.random.default_rng(1).normal(size=logits.shape))
        step = 1e-5
        slope = (total(logits + step * direction) - total(logits - step * direction)) / (2 * step)
        np.testing.assert_allclose(jnp.vdot(gradient, direction), slope, rtol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("fill", [0, 1])
def test_values_and_gradients_are_finite_however_sure_the_model_is(name, fill):
    label = np.full((1, 8, 8), fill, np.uint8)
    value_and_gradient = jax.jit(jax.value_and_grad(lambda x: LOSSES[name](x, label)[0]))
    for logit in (-1e4, -100.0, 0.0, 100.0, 1e4):
        value, gradient = value_and_gradient(np.full((1, 8, 8, 1), logit, np.float32))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", RATIOS)
def test_limits(name):
    """Perfect, inverted and empty predictions."""
    loss = jax.jit(LOSSES[name])
    label = np.zeros((1, 8, 8), np.uint8)
    label[0, :4] = 1
    sure = np.where(label[..., None] > 0, np.float32(100), np.float32(-100))
    assert float(loss(sure, label)[0]) < 1e-6
    assert float(loss(-sure, label)[0]) > 1 - 1e-6
    empty, everywhere = np.zeros_like(label), np.full((1, 8, 8, 1), 100, np.float32)
    assert float(loss(-everywhere, empty)[0]) < 1e-6
    assert float(loss(everywhere, empty)[0]) > 1 - 1e-6


@pytest.mark.parametrize("name", RATIOS)
def test_over_a_batch_of_one_both_reductions_agree_and_else_images_pool(name):
    loss = jax.jit(LOSSES[name], static_argnames="reduce")
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(2, 6, 6, 1)), jnp.float32)
    label = jnp.asarray(rng.integers(0, 2, (2, 6, 6)), jnp.uint8)
    one = loss(logits[:1], label[:1], reduce="batch")
    np.testing.assert_allclose(one, loss(logits[:1], label[:1], reduce="image"), rtol=1e-6)
    pooled = loss(logits.reshape(1, 12, 6, 1), label.reshape(1, 12, 6))
    np.testing.assert_allclose(loss(logits, label, reduce="batch"), [pooled[0]] * 2, rtol=1e-6)


def test_special_cases_are_other_losses():
    logits, label = sample(3)
    with jax.enable_x64(True):
        logits = jnp.asarray(logits)
        np.testing.assert_allclose(
            focal(logits, label, gamma=0.0, alpha=0.5), cross_entropy(logits, label) / 2
        )
        half = tversky(logits, label, alpha=0.5, beta=0.5, smooth=SMOOTH / 2)
        np.testing.assert_allclose(half, plain_dice(logits, label, smooth=SMOOTH))


def test_nucleus_probability_is_what_is_not_background():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 3, 6)), jnp.float32)
    background = jax.nn.softmax(logits)[..., 0]
    np.testing.assert_allclose(nucleus_probability(logits), 1 - background, rtol=1e-5)
    assert foreground_probability(logits).shape == (2, 3, 3, 5)
