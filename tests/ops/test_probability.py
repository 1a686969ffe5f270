"""One rule of what is nucleus: masks, classes and levels agree for any logits and any threshold."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucseg_jax.ops import levels as rounding
from nucseg_jax.ops import probability as ops
from nucseg_jax.ops.counts import count_pixels

# Probabilities at and around every level, each half between two, and every tenth: where rounding decides.
_MARKS = np.concatenate([np.arange(511) / 510, np.arange(11) / 10]).astype(np.float32)
near_marks = np.unique(
    np.clip(
        np.concatenate(
            [
                _MARKS,
                np.nextafter(_MARKS, np.float32(0)),
                np.nextafter(_MARKS, np.float32(1)),
                _MARKS - np.float32(1e-4),
                _MARKS + np.float32(1e-4),
            ]
        ),
        0,
        1,
    )
)


def random_logits(channels, scale=2.0):
    return np.random.default_rng(channels).normal(0, scale, (4, 32, 32, channels)).astype(np.float32)


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(rounding) == (0, 2)


@pytest.mark.parametrize(("threshold", "lowest"), [(0.0, 1), (0.3, 77), (0.5, 128), (0.8, 205), (0.4, 103)])
def test_the_lowest_level_of_nucleus_in_numbers(threshold, lowest):
    assert rounding.lowest_nucleus_level(threshold) == lowest


_THRESHOLDS = st.one_of(
    st.floats(0.0, 1.0, exclude_max=True),
    st.integers(0, 254).map(lambda level: level / 255),
    st.integers(1, 255).map(lambda level: float(np.nextafter(level / 255, 0))),
    st.integers(0, 254).map(lambda level: float(np.nextafter(level / 255, 1))),
    st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.999, 0.9999999999]),
)


@settings(max_examples=150, deadline=None)
@given(threshold=_THRESHOLDS)
def test_a_level_never_crosses_the_threshold_and_is_within_a_255th(threshold):
    is_nucleus = near_marks > threshold
    level = rounding.levels(near_marks, is_nucleus, rounding.lowest_nucleus_level(threshold))
    assert level.dtype == np.uint8
    np.testing.assert_array_equal(level > np.floor(255 * threshold), is_nucleus)
    assert np.abs(level - 255.0 * near_marks).max() <= 1.0 + 1e-5


def test_levels_on_the_device_are_those_of_numpy():
    for threshold in (0.0, 0.4, 0.5, 0.999):
        lowest = rounding.lowest_nucleus_level(threshold)
        is_nucleus = near_marks > threshold
        on_device = jax.jit(rounding.levels, static_argnums=2)(near_marks, is_nucleus, lowest)
        np.testing.assert_array_equal(on_device, rounding.levels(near_marks, is_nucleus, lowest))
    assert rounding.levels(np.array([np.nan, -1.0, 2.0]), np.array([False, False, True]), 128).tolist() == [
        0,
        0,
        255,
    ]


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_mask_classes_counts_and_levels_are_of_one_rule(channels):
    logits = random_logits(channels)
    label = np.asarray(jax.jit(ops.predicted_label)(logits))
    level = np.asarray(jax.jit(ops.nucleus_level)(logits))
    probability = np.asarray(jax.jit(ops.foreground_probability)(logits))
    any_nucleus = np.asarray(jax.jit(ops.nucleus_probability)(logits))
    np.testing.assert_array_equal(label > 0, any_nucleus > 0.5)
    np.testing.assert_array_equal(label > 0, level > 127)
    np.testing.assert_allclose(any_nucleus, rounding.any_nucleus(probability), rtol=3e-7)
    assert np.abs(level / 255.0 - any_nucleus).max() < 0.5 / 255 + 1e-6
    np.testing.assert_array_equal(label[label > 0], probability.argmax(-1)[label > 0] + 1)
    nothing = np.zeros(label.shape, np.uint8)
    counts = np.asarray(jax.jit(count_pixels)(logits, nothing))
    assert counts[:, 0, 1].sum() == (label > 0).sum()
    if channels > 1:
        assert counts[:, 1:, 1].sum() == counts[:, 0, 1].sum()
    if channels == 6:
        # The largest logit is another rule, on pixels that are not few.
        assert np.mean((logits.argmax(-1) > 0) != (label > 0)) > 0.01


def test_classes_that_are_nucleus_together_only_are_nucleus():
    logits = np.log(np.array([[0.4, 0.3, 0.25, 0.05], [0.5, 0.2, 0.2, 0.1], [0.45, 0.1, 0.1, 0.35]]))
    label = jax.jit(ops.predicted_label)(logits.astype(np.float32).reshape(1, 1, 3, 4))
    assert label.tolist() == [[[1, 0, 3]]]
    # As likely as background is not nucleus.
    assert not np.any(jax.jit(ops.predicted_label)(np.zeros((1, 1, 1, 2), np.float32)))


def test_binary_masks_are_those_of_the_logits_sign_also_where_its_probability_rounds_to_a_half():
    tiny = np.array([1e-9, -1e-9, 0.0, -0.0, 1e-6, -1e-6, 30.0, -30.0, np.nan], np.float32)
    logits = tiny.reshape(1, 1, -1, 1)
    assert jax.jit(ops.predicted_label)(logits)[0, 0].tolist() == (tiny > 0).astype(int).tolist()
    level = jax.jit(ops.nucleus_level)(logits)[0, 0]
    assert level.tolist() == [128, 127, 127, 127, 128, 127, 255, 0, 0]


def test_what_is_no_number_is_background():
    logits = jnp.full((1, 2, 2, 6), jnp.nan)
    assert not np.any(jax.jit(ops.predicted_label)(logits))
    assert not np.any(jax.jit(ops.nucleus_level)(logits))
