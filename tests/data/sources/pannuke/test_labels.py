import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import numpy as np
import pytest

from nucseg_jax.data.sources.pannuke import labels


def slow_reference(masks):
    """The evaluation code's rule, a nucleus at a time: channels 0..4, ids ascending, later ones overwrite."""
    label = np.zeros(masks.shape[:2], int)
    instance = np.zeros(masks.shape[:2], int)
    next_id = 1
    for channel in range(5):
        for one in [i for i in np.unique(masks[..., channel]) if i > 0]:
            where = masks[..., channel] == one
            label[where], instance[where] = channel + 1, next_id
            next_id += 1
    for new, old in enumerate([i for i in np.unique(instance) if i > 0], 1):
        instance[instance == old] = new
    return label, instance, next_id - 1


def slow_pieces(where):
    """Number of 8-connected pieces, by flooding."""
    left, count = set(map(tuple, np.argwhere(where))), 0
    while left:
        count += 1
        border = [left.pop()]
        while border:
            row, column = border.pop()
            for other in [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if other in left:
                    left.remove(other)
                    border.append(other)
    return count


few_ids = st.sampled_from([0, 0, 0, 0, 1, 2, 255, 65_536, 2**31 - 1])


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(
    hypothesis.extra.numpy.arrays(
        np.int32, st.tuples(*map(st.integers, [1, 1], [5, 6]), st.just(6)), elements=few_ids
    )
)
def test_maps_and_counts_are_those_of_the_slow_reference(masks):
    label, instance, observations = labels.from_masks(masks)
    expected_label, expected_instance, num_claimed = slow_reference(masks)
    np.testing.assert_array_equal(label, expected_label)
    np.testing.assert_array_equal(instance, expected_instance)
    assert (label.dtype, instance.dtype) == (np.uint8, np.uint16)
    claims = masks[..., :5] > 0
    by_nucleus = [masks[..., c] == i for c in range(5) for i in np.unique(masks[..., c]) if i > 0]
    assert observations.nuclei.tolist() == [len(set(masks[..., c].ravel()) - {0}) for c in range(5)]
    assert observations.void_px == np.sum(masks.max(-1) == 0)
    assert observations.overlap_px == np.sum(claims.sum(-1) > 1)
    assert observations.hidden_nuclei == num_claimed - expected_instance.max()
    assert observations.disconnected_nuclei == sum(slow_pieces(where) > 1 for where in by_nucleus)
    assert observations.largest_id == masks[..., :5].max()


def test_one_id_in_two_channels_is_two_nuclei():
    masks = np.zeros([1, 4, 6], np.int32)
    masks[0, :2, 1] = masks[0, 2:, 4] = 7
    assert labels.from_masks(masks).instance.tolist() == [[1, 1, 2, 2]]


def test_a_wholly_hidden_nucleus_leaves_no_gap():
    masks = np.zeros([1, 3, 6], np.int32)
    masks[0, :, 0] = [5, 6, 8]
    masks[0, 1, 2] = 1  # Hides 6.
    label, instance, observations = labels.from_masks(masks)
    assert label.tolist() == [[1, 3, 1]]
    assert instance.tolist() == [[1, 3, 2]]
    assert observations.hidden_nuclei == 1
    assert observations.nuclei.tolist() == [3, 0, 1, 0, 0]


def test_void_pixels_are_background():
    masks = np.zeros([1, 3, 6], np.int32)
    masks[0, 0, 5] = 1
    masks[0, 1, 3] = 9
    label, instance, observations = labels.from_masks(masks)
    assert label.tolist() == [[0, 4, 0]]
    assert instance.tolist() == [[0, 1, 0]]
    assert observations.void_px == 1


def test_renaming_ids_in_their_order_changes_nothing():
    masks = np.random.default_rng(0).integers(0, 4, [64, 64, 6]).astype(np.int32)
    renamed = masks.copy()
    renamed[..., :5] *= 300_000_000
    for given, wanted in zip(labels.from_masks(renamed)[:2], labels.from_masks(masks)[:2], strict=True):
        np.testing.assert_array_equal(given, wanted)


def test_more_nuclei_than_uint16_holds_are_refused():
    masks = np.zeros([257, 256, 6], np.int32)
    masks[..., 0] = 1 + np.arange(257 * 256).reshape(257, 256)
    with pytest.raises(ValueError, match="65792 nuclei"):
        labels.from_masks(masks)
