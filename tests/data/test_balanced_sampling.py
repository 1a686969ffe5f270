"""Balanced sampling equals a slow form of CellViT's formula, and its limits."""

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.balanced_sampling import balanced_probability, training_probability
from nucseg_jax.data.class_presence import CHUNK, contents_of
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.store import reader


def slow_probability(group, has_class, gamma):
    """The formula patch by patch, as the module states it."""
    P, C = len(group), len(has_class[0])
    n_c = [sum(bool(has_class[p][c]) for p in range(P)) for c in range(C)]
    of_group, of_class = [], []
    for p in range(P):
        n_g = sum(other == group[p] for other in group)
        of_group.append(P / (gamma * n_g + (1 - gamma) * P))
        present = [c for c in range(C) if has_class[p][c]]
        rare = sum(sum(n_c) / (gamma * n_c[c] + (1 - gamma) * sum(n_c)) for c in present)
        of_class.append((1 - gamma) * bool(present) + gamma * rare)
    least = min((weight for weight in of_class if weight), default=0)
    of_class = [weight or least for weight in of_class]
    weights = [
        a / max(of_group) + (b / max(of_class) if max(of_class) else 0)
        for a, b in zip(of_group, of_class, strict=True)
    ]
    return np.array(weights) / sum(weights)


def drawn_patches(count=60, classes=5):
    """Groups of unequal size; classes from common to rare, some patches with none."""
    rng = np.random.default_rng(0)
    group = rng.choice(4, count, p=[0.6, 0.25, 0.1, 0.05])
    has_class = rng.random((count, classes)) < [0.6, 0.4, 0.2, 0.1, 0.03][:classes]
    has_class[:3] = False
    return group, has_class


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.85, 1.0])
@pytest.mark.parametrize("classes", [0, 1, 5])
def test_the_probability_is_the_formula(gamma, classes):
    group, has_class = drawn_patches(classes=classes)
    found = balanced_probability(group, has_class, gamma=gamma)
    np.testing.assert_allclose(found, slow_probability(group, has_class, gamma), rtol=1e-12)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert found.min() > 0


def test_gamma_of_0_is_uniform():
    group, has_class = drawn_patches()
    np.testing.assert_allclose(balanced_probability(group, has_class, gamma=0), 1 / 60, rtol=1e-12)


def test_gamma_of_1_gives_every_group_the_same_share_where_there_are_no_classes():
    group, _ = drawn_patches()
    shares = np.bincount(group, balanced_probability(group, np.zeros((60, 0), bool), gamma=1))
    np.testing.assert_allclose(shares, 1 / 4, rtol=1e-12)


def test_a_class_or_group_that_no_patch_has_changes_nothing():
    group, has_class = drawn_patches()
    wider = np.concatenate([has_class, np.zeros((60, 2), bool)], axis=1)
    for gamma in (0.85, 1.0):
        expected = balanced_probability(group, has_class, gamma=gamma)
        np.testing.assert_allclose(balanced_probability(group * 2 + 1, wider, gamma=gamma), expected)


def test_the_rarest_class_comes_more_often_than_in_the_data():
    group, has_class = drawn_patches()
    probability = balanced_probability(group, has_class, gamma=0.85)
    assert probability[has_class[:, 4]].sum() > 1.3 * has_class[:, 4].mean()


def test_contents_are_those_of_the_labels_with_void_in_no_class():
    rng = np.random.default_rng(1)
    count = CHUNK + 5
    label = np.where(rng.random((count, 4, 4)) < 0.1, rng.choice([1, 2, 3, VOID_LABEL], (count, 4, 4)), 0)
    whole = np.arange(count, dtype=np.int32)
    image = np.zeros((count, 4, 4, 3), np.uint8)
    patches = Patches(image, label.astype(np.uint8), whole % 3, whole, whole)
    rows = rng.permutation(count)
    group, has_class = contents_of(patches, rows, 3)
    np.testing.assert_array_equal(group, rows % 3)
    for row, columns in zip(rows, has_class, strict=True):
        assert columns.tolist() == [label_ in label[row] for label_ in (1, 2, 3)]


def test_patches_on_disk_and_in_memory_have_the_same_probability(painted):
    rows = np.array([6, 0, 3, 9, 1])
    stores = reader.read_folds(painted, [1, 2]), reader.open_folds(painted, [1, 2])
    one, other = (training_probability(store, rows, PANNUKE, gamma=0.85) for store in stores)
    np.testing.assert_array_equal(one, other)
    assert len(set(one)) > 1


def test_nothing_to_balance_is_refused(painted):
    with pytest.raises(UserError, match="all training patches have the same tissue and the same classes"):
        training_probability(reader.read_folds(painted, [1]), np.array([3, 3]), PANNUKE, gamma=0.85)
