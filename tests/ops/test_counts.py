import jax
import numpy as np
import pytest

from nucseg_jax.ops.counts import count_masks, count_pixels


def count_slowly(prediction: np.ndarray, truth: np.ndarray) -> list[int]:
    cells = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for pair in zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True):
        cells[pair] += 1
    return list(cells.values())


def test_binary_threshold_is_strict_and_every_class_of_the_truth_is_nucleus():
    logits = np.array([1e-6, 0.0, -0.0, -1e-6, np.inf, -np.inf], np.float32).reshape(1, 1, 6, 1)
    label = np.array([5, 1, 0, 0, 0, 2], np.uint8).reshape(1, 1, 6)
    assert jax.jit(count_pixels)(logits, label).tolist() == [[[1, 1, 2, 2]]]


def test_several_classes_by_hand():
    # Five pixels: right, wrong class, missed, invented, background.
    predicted = np.array([1, 1, 0, 2, 0])
    label = np.array([1, 2, 2, 0, 0], np.uint8).reshape(1, 1, 5)
    logits = np.eye(3, dtype=np.float32)[predicted].reshape(1, 1, 5, 3)
    nucleus, first, second = jax.jit(count_pixels)(logits, label)[0].tolist()
    assert nucleus == [2, 1, 1, 1]  # a wrong class is still nucleus
    assert first == [1, 1, 0, 3]
    assert second == [0, 1, 2, 2]


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_equals_a_slow_count(channels: int):
    rng = np.random.default_rng(channels)
    logits = rng.normal(size=(3, 7, 5, channels)).astype(np.float32)
    label = rng.integers(0, 6 if channels == 1 else channels, (3, 7, 5)).astype(np.uint8)
    counted = np.asarray(jax.jit(count_pixels)(logits, label))
    assert counted.dtype == np.int32
    assert counted.shape == (3, channels, 4)
    if channels == 1:
        predicted = logits[..., 0] > 0
    else:
        shares = np.exp(logits.astype(np.float64))
        is_nucleus = shares[..., 1:].sum(-1) > shares[..., 0]
        predicted = np.where(is_nucleus, logits[..., 1:].argmax(-1) + 1, 0)
    for image in range(3):
        slow = [count_slowly(predicted[image] > 0, label[image] > 0)]
        slow += [count_slowly(predicted[image] == c, label[image] == c) for c in range(1, channels)]
        assert counted[image].tolist() == slow


def test_exact_where_float32_is_not():
    side = 4100  # 4100^2 = 2^24 + 32,784
    prediction = np.ones((1, side, side), bool)
    truth = np.ones((1, side, side), bool)
    truth[0, 0, 0] = False
    assert count_masks(prediction, truth).tolist() == [[[side * side - 1, 1, 0, 0]]]


def test_images_of_more_pixels_than_counts_can_hold_are_refused():
    def count(side):
        mask = jax.ShapeDtypeStruct((1, side, side), bool)
        return jax.eval_shape(count_masks, mask, mask)

    assert count(46340).shape == (1, 1, 4)
    with pytest.raises(ValueError, match="32-bit"):
        count(46341)


def test_masks_that_are_not_bool_or_not_alike_are_refused():
    mask = np.zeros((1, 2, 2), bool)
    with pytest.raises(ValueError, match="bool"):
        count_masks(mask.astype(np.uint8), mask)
    with pytest.raises(ValueError, match="shape"):
        count_masks(mask[:, :1], mask)
    with pytest.raises(ValueError, match="expected"):
        count_pixels(np.zeros((1, 2, 2), np.float32), mask)
