import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.splits import SPLIT_NAMES, Splits, official_splits, paper_splits

PANNUKE = {1: 2656, 2: 2523, 3: 2722}


def as_sets(splits):
    return [set(map(tuple, getattr(splits, name).tolist())) for name in SPLIT_NAMES]


@pytest.mark.parametrize(("number", "folds"), [(1, (1, 2, 3)), (2, (2, 1, 3)), (3, (3, 2, 1))])
def test_official_rotations(number, folds):
    splits = official_splits(PANNUKE, number=number)
    for name, fold in zip(SPLIT_NAMES, folds, strict=True):
        np.testing.assert_array_equal(getattr(splits, name)[:, 0], fold)
        np.testing.assert_array_equal(getattr(splits, name)[:, 1], np.arange(PANNUKE[fold]))


def test_the_papers_counts():
    """6,716 patches give 4,297 / 1,075 / 1,344 (section 3)."""
    splits = paper_splits(PANNUKE, seed=0, max_patches=6716)
    assert [len(getattr(splits, name)) for name in SPLIT_NAMES] == [4297, 1075, 1344]


@pytest.mark.parametrize("max_patches", [0, 100])
def test_paper_splits_are_disjoint_and_drawn_from_all_folds(max_patches):
    sizes = {1: 90, 2: 80, 3: 70}
    parts = as_sets(paper_splits(sizes, seed=3, max_patches=max_patches))
    union = set.union(*parts)
    assert sum(map(len, parts)) == len(union) == (max_patches or 240)
    assert all({fold for fold, _ in part} == {1, 2, 3} for part in parts)


def test_seed_decides_and_digest_names():
    sizes = {1: 9, 2: 8, 3: 7}
    same = paper_splits(sizes, seed=1), paper_splits(sizes, seed=1)
    assert same[0].digest == same[1].digest
    assert paper_splits(sizes, seed=2).digest != same[0].digest
    assert Splits.from_json(same[0].as_json()).digest == same[0].digest
    swapped = Splits(same[0].train, same[0].test, same[0].validation)
    assert swapped.digest != same[0].digest


def test_faults_are_named():
    with pytest.raises(UserError, match=r"split\.number is 4"):
        official_splits(PANNUKE, number=4)
    with pytest.raises(UserError, match="has 24 patches"):
        paper_splits({1: 9, 2: 8, 3: 7}, seed=0, max_patches=25)
    with pytest.raises(UserError, match="cannot be split"):
        paper_splits({1: 1, 2: 1, 3: 0}, seed=0)
