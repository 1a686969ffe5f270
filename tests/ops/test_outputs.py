"""The logits of a model with an instance head follow the one rule of what is nucleus."""

import jax
import numpy as np
import pytest

from nucseg_jax.heads.table import HEADS
from nucseg_jax.ops.outputs import output_channels, predicted_channels, split_outputs
from nucseg_jax.ops.probability import foreground_probability, predicted_label

SHAPE = (2, 4, 5)


def channels(num_classes, map_channels):
    count = output_channels(num_classes, map_channels)
    return np.random.default_rng(0).normal(scale=3.0, size=(*SHAPE, count)).astype(np.float32)


@pytest.mark.parametrize("num_classes", [2, 6])
def test_a_nucleus_is_as_probable_as_its_own_logit_says_and_a_class_has_its_share_of_that(num_classes):
    outputs = split_outputs(channels(num_classes, 2), num_classes, 2)
    found = foreground_probability(outputs.logits)
    nucleus = jax.nn.sigmoid(outputs.nucleus[..., 0])
    np.testing.assert_allclose(found.sum(axis=-1), nucleus, rtol=1e-5)
    share = jax.nn.softmax(outputs.classes[..., 1:], axis=-1)
    np.testing.assert_allclose(found, nucleus[..., None] * share, rtol=1e-4, atol=1e-7)
    expected = np.where(outputs.nucleus[..., 0] > 0, np.argmax(outputs.classes[..., 1:], axis=-1) + 1, 0)
    # Rounding may decide a pixel at a probability of one half.
    clear = np.abs(np.asarray(outputs.nucleus[..., 0])) > 1e-4
    np.testing.assert_array_equal(np.asarray(predicted_label(outputs.logits))[clear], expected[clear])


def test_logits_of_any_size_give_finite_ones():
    outputs = split_outputs(1e4 * channels(6, 1), 6, 1)
    assert np.isfinite(outputs.logits).all()
    assert np.isfinite(foreground_probability(outputs.logits)).all()


@pytest.mark.parametrize("num_classes", [1, 6])
@pytest.mark.parametrize("head", HEADS)
def test_every_channel_has_one_name(num_classes, head):
    count = len(HEADS[head].maps)
    values = channels(num_classes, count)
    outputs = split_outputs(values, num_classes, count)
    parts = [values] if not count else [outputs.nucleus, outputs.maps]
    parts += [outputs.classes] if count and num_classes > 1 else []
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), values)
    assert outputs.logits.shape == (*SHAPE, num_classes)
    assert predicted_channels(outputs).shape == (*SHAPE, max(1, num_classes - 1) + count)
