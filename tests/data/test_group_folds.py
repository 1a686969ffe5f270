import numpy as np
import pytest

from nucseg_jax.data.group_folds import deal_units


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("folds", [2, 3, 5, 9])
def test_units_stay_whole_and_folds_are_of_nearly_equal_size(folds, seed):
    rng = np.random.default_rng(seed)
    unit = rng.permutation(np.repeat(np.arange(20), rng.integers(1, 60, 20)))
    fold = deal_units(unit, folds, seed=seed)
    assert all(len(set(fold[unit == each].tolist())) == 1 for each in range(20))
    sizes = np.bincount(fold, minlength=folds + 1)[1:]
    assert sizes.min() > 0
    assert sizes.sum() == len(unit)
    # Any order keeps to the largest unit; the largest first, to about the middle one.
    assert sizes.max() - sizes.min() <= np.median(np.bincount(unit))


def test_the_seed_decides_and_the_order_of_patches_does_not():
    rng = np.random.default_rng(0)
    unit = np.repeat([f"p{each}" for each in range(12)], rng.integers(3, 9, 12))
    first = deal_units(unit, 4, seed=1)
    np.testing.assert_array_equal(first, deal_units(unit, 4, seed=1))
    assert len({tuple(deal_units(unit, 4, seed=seed).tolist()) for seed in range(5)}) == 5
    order = rng.permutation(len(unit))
    np.testing.assert_array_equal(deal_units(unit[order], 4, seed=1), first[order])


def test_folds_of_a_seed_stay_what_they_are():
    """A split's digest is what a run resumes on."""
    unit = np.repeat(list("abcdefg"), [5, 1, 4, 2, 8, 3, 3])
    assert deal_units(unit, 3, seed=0)[[0, 5, 6, 10, 12, 20, 23]].tolist() == [3, 1, 2, 2, 1, 2, 3]


def test_more_folds_than_units_are_refused():
    with pytest.raises(ValueError, match="2 units cannot"):
        deal_units(np.array(["a", "b", "b"]), 3, seed=0)
