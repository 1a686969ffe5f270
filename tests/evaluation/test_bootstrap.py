import itertools

import numpy as np
import pytest

from nucseg_jax.evaluation.bootstrap import (
    MEASURES,
    bootstrap_intervals,
    comparison,
    draws_of_each,
    mean_scores,
    of_annotated_patches,
    pooled_dice,
)
from nucseg_jax.evaluation.scores import class_scores


def mean_of(values: np.ndarray):
    """The mean of the patches that were drawn, as a statistic."""
    return lambda weights: (weights @ values / weights.sum(axis=1))[None]


def cells(seed: int, *, runs: int = 1, patches: int = 30) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4_000, (runs, patches, 4))
    counts[:, ::7, [0, 2]] = 0
    return counts


def test_few_patches_give_the_percentiles_of_all_their_resamples():
    """Four patches have 4^4 = 256 resamples; none of the percentiles lies between two of their means."""
    values = np.array([0.1, 0.4, 0.45, 0.9])
    everything = [np.mean(draw) for draw in itertools.product(values, repeat=4)]
    found = bootstrap_intervals(mean_of(values), 4, resamples=20_000)
    exact = np.quantile(everything, [0.025, 0.975])
    step = np.diff(np.unique(np.round(everything, 12))).max()
    assert found.estimate == pytest.approx(values.mean())
    assert found.low[0] == pytest.approx(exact[0], abs=step)
    assert found.high[0] == pytest.approx(exact[1], abs=step)
    # Of two patches each mean of a resample is known with its probability: 1/4, 1/2, 1/4.
    two = bootstrap_intervals(mean_of(np.array([0.0, 1.0])), 2, confidence=0.4)
    assert (two.low[0], two.high[0]) == (0.5, 0.5)
    assert [limit[0] for limit in bootstrap_intervals(mean_of(np.array([0.0, 1.0])), 2)[1:]] == [0.0, 1.0]


def test_the_interval_of_a_mean_of_many_is_that_of_normal_theory():
    values = np.random.default_rng(0).normal(0.7, 0.1, 2_000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    found = bootstrap_intervals(mean_of(values), len(values))
    assert found.low[0] == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert found.high[0] == pytest.approx(values.mean() + half, abs=0.06 * half)


def test_coverage_of_a_mean():
    """Of 400 samples of 40, about 95 % of the intervals hold the true mean; three standard errors are allowed."""
    rng = np.random.default_rng(1)
    samples = rng.exponential(1.0, (400, 40)) * [[1.0]] - 1.0
    hits = []
    for number, sample in enumerate(samples):
        found = bootstrap_intervals(mean_of(sample), 40, resamples=400, seed=number)
        hits.append(found.low[0] <= 0.0 <= found.high[0])
    # The percentile method is known to fall short by a few points on skewed samples of this size.
    assert 0.92 - 3 * np.sqrt(0.05 * 0.95 / 400) <= np.mean(hits) <= 0.95 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_equal_configurations_differ_by_nothing_and_a_constant_difference_has_no_width():
    counts = cells(0, runs=2)
    found = bootstrap_intervals(comparison([counts, counts[::-1]], [(1, 0)]), 30, resamples=200)
    differences = [values[-len(MEASURES) :] for values in found]
    assert np.array_equal(differences, np.zeros((3, len(MEASURES))))

    values = np.random.default_rng(3).random(30)

    def shifted(weights: np.ndarray) -> np.ndarray:
        return mean_of(values + 0.125)(weights) - mean_of(values)(weights)

    found = bootstrap_intervals(shifted, 30, resamples=200)
    assert np.allclose(found, 0.125, atol=1e-12)


def test_weights_and_resampled_patches_give_the_same_scores():
    """Micro Dice is that of the pooled counts of the patches drawn, not a mean over patches."""
    counts = cells(1, runs=2)
    rows = np.random.default_rng(4).integers(0, 30, (5, 30))
    found = mean_scores(counts, draws_of_each(rows, 30))
    for draw, of_draw in zip(rows, found.T, strict=True):
        expected = []
        for run in counts:
            drawn = class_scores(run[draw], np.zeros(30, int), group_noun="group")
            expected.append([drawn[convention][metric] for convention, metric in MEASURES])
        assert of_draw == pytest.approx(np.mean(expected, axis=0), rel=1e-12)


def test_the_dice_of_each_class_is_that_of_the_counts_of_the_patches_drawn():
    counts = np.stack([cells(seed, runs=2) for seed in (6, 7, 8)], axis=2)
    # The last class is nowhere but in two patches.
    counts[:, 2:, 2, :3] = 0
    rows = np.random.default_rng(9).integers(0, 30, (20, 30))
    found = pooled_dice(counts, draws_of_each(rows, 30))
    assert found.shape == (3, 20)
    assert np.isnan(found).any(axis=1).tolist() == [False, False, True]
    for draw, of_draw in zip(rows, found.T, strict=True):
        for number, dice in enumerate(of_draw):
            of_runs = []
            for run in counts[:, :, number].tolist():
                tp, fp, fn, _ = (sum(run[patch][cell] for patch in draw) for cell in range(4))
                of_runs.append(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else np.nan)
            assert dice == pytest.approx(sum(of_runs) / len(of_runs), rel=1e-12, nan_ok=True)


def test_pairing_makes_a_difference_narrower_than_its_parts():
    """Two models that find hard the same patches: their difference varies less than either."""
    rng = np.random.default_rng(5)
    share = rng.uniform(0.3, 0.95, 60)
    nuclei = np.full(60, 10_000)

    def model(found: np.ndarray) -> np.ndarray:
        tp = (found * nuclei).astype(int)
        return np.stack([tp, nuclei - tp, nuclei - tp, 50_000 - nuclei], axis=-1)[None]

    statistic = comparison([model(share), model(share - 0.05)], [(0, 1)])
    _, low, high = bootstrap_intervals(statistic, 60, resamples=2_000)
    width = (high - low)[:: len(MEASURES)]
    assert width[2] < 0.1 * width[0]
    assert low[2 * len(MEASURES)] > 0


def test_equal_calls_give_equal_intervals_and_one_patch_gives_none():
    counts = cells(2)
    once, again = (bootstrap_intervals(comparison([counts], []), 30, resamples=300) for _ in range(2))
    assert np.array_equal(once, again)
    alone = bootstrap_intervals(comparison([cells(2, patches=2)[:, 1:]], []), 1)
    assert np.isfinite(alone.estimate).all()
    assert np.isnan([alone.low, alone.high]).all()


def test_without_a_nucleus_what_is_undefined_is_nan():
    counts = np.zeros((1, 6, 4), int)
    counts[..., 3] = 100
    found = bootstrap_intervals(comparison([counts], []), 6, resamples=50)
    scores = dict(zip(MEASURES, zip(*found, strict=True), strict=True))
    assert np.isnan(scores["micro", "dice"]).all()
    assert scores["micro", "accuracy"] == (1.0, 1.0, 1.0)


def test_patches_that_nobody_annotated_change_no_interval():
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 90, (2, 12, 3, 4))
    with_void = np.insert(counts, [0, 5, 5, 5, 12, 12, 12, 12], 0, axis=1)
    other = rng.integers(0, 90, (1, 12, 3, 4))
    kept = of_annotated_patches([with_void, np.insert(other, [0, 5, 5, 5, 12, 12, 12, 12], 0, axis=1)])
    for found, expected in zip(kept, (counts, other), strict=True):
        np.testing.assert_array_equal(found, expected)
    of = [
        bootstrap_intervals(
            lambda weights, cells=cells: pooled_dice(cells, weights), patches=cells.shape[1], resamples=999
        )
        for cells in (counts, *of_annotated_patches([with_void]))
    ]
    np.testing.assert_array_equal(of[0].low, of[1].low)
