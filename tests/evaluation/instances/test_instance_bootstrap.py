"""Binary panoptic quality of a resample: that of the patches in it, scored again."""

import numpy as np
import pytest

from nucseg_jax.evaluation.bootstrap import bootstrap_intervals, with_differences
from nucseg_jax.evaluation.instances.image_counts import ImageCounts
from nucseg_jax.evaluation.instances.instance_bootstrap import annotated_images, quality_statistic
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from tests.evaluation.instances.random_split import COUNTED, GROUPS, N, counts_of, scores

ALL = counts_of(COUNTED, GROUPS)
# Other predictions on the same truth: in some images nothing matches.
MISSED = np.arange(N) % 3 == 0


def missed(image: ImageCounts) -> ImageCounts:
    """Every match is a nucleus aside: one missed, one too many."""
    return image._replace(
        tp=np.zeros_like(image.tp),
        fp=image.fp + image.tp,
        fn=image.fn + image.tp,
        iou_sum=np.zeros_like(image.iou_sum),
    )


WORSE = counts_of(
    [missed(each) if is_missed else each for each, is_missed in zip(COUNTED, MISSED, strict=True)], GROUPS
)


def bpq(counts: InstanceCounts) -> list[float | None]:
    found = scores(counts)
    return [found[average]["bpq"] for average in ("tissue", "image", "pooled")]


def repeated(weights: np.ndarray) -> InstanceCounts:
    """Every image as often as it was drawn, each time as an image of its own."""
    drawn = np.repeat(np.arange(N), weights)
    return counts_of([COUNTED[number] for number in drawn], [GROUPS[number] for number in drawn])


def test_of_all_patches_once_it_is_the_score_of_the_split():
    assert quality_statistic([ALL])(np.ones((1, N)))[:, 0] == pytest.approx(bpq(ALL), rel=1e-13)


def test_of_a_resample_it_is_the_score_of_the_patches_in_it():
    rng = np.random.default_rng(0)
    weights = np.stack([np.bincount(rng.integers(0, N, N), minlength=N) for _ in range(40)])
    # One resample has patches of one group alone.
    weights[0] = np.where(np.array(GROUPS) == 3, 5, 0)
    found = quality_statistic([ALL])(weights.astype(float))
    assert found.shape == (3, 40)
    for number, row in enumerate(weights):
        assert found[:, number] == pytest.approx(bpq(repeated(row)), rel=1e-12)


def test_without_a_nucleus_it_is_undefined():
    has_truth = (ALL.images.tp + ALL.images.fn)[:, 0] > 0
    is_empty = ~has_truth & (ALL.images.fp[:, 0] == 0)
    assert is_empty.any()
    weights = np.stack([is_empty, ~has_truth]).astype(float)
    found = quality_statistic([ALL])(weights)
    assert np.isnan(found).tolist() == [[True, True], [True, True], [True, False]]


def test_runs_are_averaged_and_differences_are_paired():
    one, other = quality_statistic([ALL]), quality_statistic([WORSE])
    weights = np.random.default_rng(1).multinomial(N, np.full(N, 1 / N), 30).astype(float)
    both = quality_statistic([ALL, WORSE])(weights)
    assert both == pytest.approx((one(weights) + other(weights)) / 2, rel=1e-12)
    found = bootstrap_intervals(with_differences([one, other], [(1, 0), (0, 0)]), N, resamples=500)
    assert found.estimate[6:9] == pytest.approx(found.estimate[3:6] - found.estimate[:3], abs=1e-15)
    # What is missed is missed in every resample, so that no difference is above 0.
    assert (found.low[6:9] < found.estimate[6:9]).all()
    assert (found.high[6:9] < 0).all()
    assert np.array_equal([values[9:] for values in found], np.zeros((3, 3)))


def test_patches_without_an_annotated_pixel_are_drawn_in_no_resample():
    is_annotated = np.arange(N) % 4 > 0
    images = [
        each._replace(is_annotated=np.array(kept))
        for each, kept in zip(COUNTED, is_annotated.tolist(), strict=True)
    ]
    counts = counts_of(images, GROUPS)
    kept = annotated_images(counts)
    assert len(kept.index) == is_annotated.sum()
    assert quality_statistic([kept])(np.ones((1, len(kept.index))))[:, 0] == pytest.approx(
        bpq(counts), rel=1e-13
    )
