"""The mean of outputs: a slow mean of probabilities, sure pixels, and what is not a number."""

import functools

import jax
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from nucseg_jax.ops.losses import cross_entropy
from nucseg_jax.ops.mean_outputs import add_sums, mean_of_sums, sums_of_one
from nucseg_jax.ops.outputs import Outputs, split_outputs
from nucseg_jax.ops.probability import foreground_probability


def mean(views: list[Outputs]) -> Outputs:
    return mean_of_sums(functools.reduce(add_sums, map(sums_of_one, views)), len(views))


def drawn(num_classes, map_channels, *, views=8, scale=3.0):
    rng = np.random.default_rng(0)
    channels = scale * rng.normal(size=(views, 2, 5, 4, 1 + map_channels + num_classes))
    return (
        [split_outputs(jax.numpy.float32(each), num_classes, map_channels) for each in channels]
        if (map_channels)
        else [split_outputs(jax.numpy.float32(each[..., :num_classes]), num_classes, 0) for each in channels]
    )


@pytest.mark.parametrize(("num_classes", "map_channels"), [(1, 0), (6, 0), (1, 2), (6, 1), (2, 0)])
def test_logits_are_those_of_the_mean_probability(num_classes, map_channels):
    views = drawn(num_classes, map_channels)
    found = mean(views)
    for name in ("logits", "nucleus", "classes"):
        if getattr(found, name) is None:
            assert name == "classes"
            continue
        logits = np.stack([np.asarray(getattr(view, name), np.float64) for view in views])
        own = np.asarray(getattr(found, name), np.float64)
        assert own.shape == logits.shape[1:]
        of_all = expit if own.shape[-1] == 1 else functools.partial(softmax, axis=-1)
        np.testing.assert_allclose(of_all(own), of_all(logits).mean(axis=0), atol=1e-6)
    # The class shares within a nucleus are averaged with the nucleus probability, and fit it.
    probability = foreground_probability(found.logits).sum(-1)
    if map_channels:
        np.testing.assert_allclose(probability, expit(np.asarray(found.nucleus[..., 0])), atol=1e-6)
        maps = np.stack([np.asarray(view.maps, np.float64) for view in views])
        np.testing.assert_allclose(found.maps, maps.mean(axis=0), atol=1e-6)
    else:
        assert found.maps is None


@pytest.mark.parametrize("num_classes", [1, 6])
def test_equal_views_have_the_view_as_their_mean(num_classes):
    """But for rounding, and for a constant that a softmax does not see."""
    (view,) = drawn(num_classes, 0, views=1, scale=30.0)
    found, expected = np.asarray(mean([view] * 8).logits), np.asarray(view.logits)
    if num_classes > 1:
        found, expected = log_softmax(found, axis=-1), log_softmax(expected, axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("num_classes", [1, 6])
def test_the_loss_of_a_sure_pixel_is_finite_as_in_one_view(num_classes):
    """Where a float32 probability is 0, its logarithm in the mean of probabilities would be infinite."""
    logits = np.full((1, 4, 4, num_classes), -200.0, np.float32)
    logits[..., 0] = -200.0 if num_classes == 1 else 0.0
    view = Outputs(logits, logits)
    label = np.ones((1, 4, 4), np.uint8)
    losses = [float(cross_entropy(each.logits, label)[0]) for each in (view, mean([view] * 8))]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert np.isfinite(losses[1])


@pytest.mark.parametrize("num_classes", [1, 6])
def test_one_view_that_is_not_a_number_is_enough(num_classes):
    views = drawn(num_classes, 0)
    broken = views[3].logits.at[0, 2, 1].set(np.nan)
    views[3] = Outputs(broken, broken)
    undefined = np.isnan(np.asarray(mean(views).logits)).any(axis=-1)
    assert undefined[0, 2, 1]
    assert undefined.sum() == 1
