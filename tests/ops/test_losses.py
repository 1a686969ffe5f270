import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.ops.probability import foreground_probability, nucleus_probability


def literal_soft_dice(logits, label, smooth):
    """Eq. 4 pixel by pixel in float64, foreground class by foreground class, then the mean."""
    losses = []
    for image_logits, image_label in zip(np.asarray(logits, np.float64), label, strict=True):
        classes = image_logits.shape[-1]
        foreground = []
        for number in range(1, max(classes, 2)):
            overlap = total = 0.0
            for pixel, truth in zip(image_logits.reshape(-1, classes), image_label.ravel(), strict=True):
                if classes == 1:
                    p, g = 1 / (1 + np.exp(-pixel[0])), float(truth > 0)
                else:
                    p, g = np.exp(pixel[number]) / np.exp(pixel).sum(), float(truth == number)
                overlap += p * g
                total += p * p + g * g
            foreground.append(1 - (2 * overlap + smooth) / (total + smooth))
        losses.append(np.mean(foreground))
    return losses


@pytest.mark.parametrize("classes", [1, 6])
def test_soft_dice_is_eq_4(classes):
    rng = np.random.default_rng(classes)
    logits = rng.normal(size=(3, 5, 4, classes)).astype(np.float32)
    label = rng.integers(0, 6, (3, 5, 4)).astype(np.uint8)
    found = jax.jit(soft_dice)(logits, label)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, literal_soft_dice(logits, label, 1e-6), rtol=1e-5)


def test_limits():
    """Perfect, inverted and empty predictions."""
    label = np.zeros((1, 8, 8), np.uint8)
    label[0, :4] = 1
    sure = np.where(label[..., None] > 0, 100.0, -100.0)
    assert float(soft_dice(jnp.asarray(sure), label)[0]) < 1e-6
    assert float(soft_dice(jnp.asarray(-sure), label)[0]) > 1 - 1e-6
    empty = np.zeros_like(label)
    assert float(soft_dice(jnp.full((1, 8, 8, 1), -100.0), empty)[0]) < 1e-6
    assert float(soft_dice(jnp.full((1, 8, 8, 1), 100.0), empty)[0]) > 1 - 1e-6


def test_over_a_batch_of_one_both_reductions_agree_and_else_images_pool():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(2, 6, 6, 1)), jnp.float32)
    label = jnp.asarray(rng.integers(0, 2, (2, 6, 6)), jnp.uint8)
    one = soft_dice(logits[:1], label[:1], reduce="batch")
    np.testing.assert_allclose(one, soft_dice(logits[:1], label[:1], reduce="image"), rtol=1e-6)
    pooled = soft_dice(logits.reshape(1, 12, 6, 1), label.reshape(1, 12, 6))
    np.testing.assert_allclose(soft_dice(logits, label, reduce="batch"), [pooled[0]] * 2, rtol=1e-6)


@pytest.mark.parametrize("fill", [0, 1])
def test_gradient_is_finite_on_all_empty_and_all_full_patches(fill):
    label = jnp.full((1, 8, 8), fill, jnp.uint8)
    for logit in (-100.0, 0.0, 100.0):
        gradient = jax.grad(lambda x: soft_dice(x, label)[0])(jnp.full((1, 8, 8, 1), logit))
        assert np.isfinite(gradient).all()


def test_nucleus_probability_is_what_is_not_background():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 3, 6)), jnp.float32)
    background = jax.nn.softmax(logits)[..., 0]
    np.testing.assert_allclose(nucleus_probability(logits), 1 - background, rtol=1e-5)
    assert foreground_probability(logits).shape == (2, 3, 3, 5)
