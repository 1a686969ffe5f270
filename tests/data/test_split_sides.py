import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.split_protocols import k_fold_splits
from nucseg_jax.data.split_sides import (
    groups_by_side,
    require_no_near_duplicates,
    require_sides,
    with_validation,
)
from nucseg_jax.data.splits import SPLIT_NAMES, Splits
from tests.data.indexes import make_index, patients

INDEX, INFO = make_index(patients())
SPLITS = k_fold_splits(INDEX, INFO, folds=4, number=1, seed=0)


def pair(one, other):
    """A pair of near-duplicates: the first patch of a side, the last of another."""
    return [*getattr(SPLITS, one)[0], *getattr(SPLITS, other)[-1]]


def test_positions_find_every_patch_whatever_the_order():
    order = np.random.default_rng(0).permutation(len(INDEX.fold))
    pairs = np.stack([INDEX.fold, INDEX.row], axis=1)
    np.testing.assert_array_equal(INDEX.positions(pairs[order]), order)
    with pytest.raises(KeyError):
        INDEX.positions(np.array([[1, 7]]))
    with pytest.raises(KeyError):
        INDEX.positions(np.array([[99, 0]]))


def test_groups_are_counted_by_side():
    counts = groups_by_side(INDEX, SPLITS)
    assert sum(counts.values()) == 8
    assert all(counts.values())
    index, _ = make_index(patients(), has_groups=False)
    assert groups_by_side(index, SPLITS) is None


@pytest.mark.parametrize(
    ("one", "other"), [("train", "validation"), ("validation", "test"), ("test", "train")]
)
def test_patches_that_look_the_same_are_refused_on_two_sides(one, other):
    same_side = [pair(name, name) for name in SPLIT_NAMES]
    require_no_near_duplicates(INDEX, SPLITS, np.array(same_side))
    require_no_near_duplicates(INDEX, SPLITS, np.zeros((0, 4), np.int32))
    with pytest.raises(UserError) as caught:
        require_no_near_duplicates(INDEX, SPLITS, np.array([*same_side, pair(one, other)]))
    message = str(caught.value)
    assert message.startswith("1 pair of patches")
    for name, where in ((one, 0), (other, -1)):
        at = INDEX.positions(getattr(SPLITS, name)[[where]])[0]
        assert f"{INDEX.image[at]} at row {INDEX.top[at]}, column 0 ({name})" in message
    assert "data.allow_duplicates=True" in message


def test_patches_that_no_side_uses_are_on_none():
    """`paper` with fewer patches than there are leaves some out."""
    left_out = Splits(SPLITS.train[1:], SPLITS.validation, SPLITS.test)
    require_no_near_duplicates(INDEX, left_out, np.array([pair("train", "test")]))


def test_patches_without_an_image_are_named_by_fold_and_row():
    index, _ = make_index(patients(), has_groups=False)
    with pytest.raises(UserError, match=r"fold \d+, patch \d \(train\) and fold \d+, patch \d \(test\)"):
        require_no_near_duplicates(index, SPLITS, np.array([pair("train", "test")]))


def test_an_empty_side_is_refused_if_it_is_used():
    nothing = np.zeros((0, 2), np.int32)
    splits = Splits(nothing, nothing, SPLITS.test)
    require_sides(splits, ["test"])
    count = len(SPLITS.test)
    with pytest.raises(UserError, match=f"train 0, validation 0, test {count}"):
        require_sides(splits)


def test_about_a_fifth_of_the_patches_validates_however_unequal_the_groups_are():
    """Of two groups the smaller one; of many the fold that is nearest to a fifth."""
    index, info = make_index({"a.png": ("a", 95), "b.png": ("b", 5)})
    splits = with_validation(index, info, np.zeros(100, np.int8), seed=0)
    assert (len(splits.train), len(splits.validation)) == (95, 5)
    index, info = make_index({f"{number}.png": (f"g{number}", 40 if number else 200) for number in range(8)})
    splits = with_validation(index, info, np.zeros(480, np.int8), seed=0)
    assert len(splits.validation) in (80, 120)
    with pytest.raises(UserError, match="1 patch cannot be divided"):
        with_validation(*make_index({"a.png": ("a", 1)}), np.zeros(1, np.int8), seed=0)
