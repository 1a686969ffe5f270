"""The real ImageNet weights on real images: what enters each batch norm is what its statistics say."""

import numpy as np
import pytest

from benchmarks.batch_norm_statistics import FAULTS, agreement, photographs, spread
from nucseg_jax.models.build import build_encoder
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.load import load_encoder
from nucseg_jax.pretrained.target import target_of


@pytest.fixture(scope="module")
def correlations(shared, tmp_path_factory):
    """Of a set of images: correlation of means and of variances at each of the 43 batch norms."""
    out = tmp_path_factory.mktemp("weights") / "resnet50"
    convert(target_of("resnet50"), shared / "weights" / "resnet50_keras_imagenet_conv1_to_conv4.npz", out)
    encoder = build_encoder("resnet50", extent="cut")
    variables = load_encoder(out, "resnet50", encoder).variables

    def of(images):
        found = agreement(encoder, variables, images)
        assert len(found) == 43
        return found

    return of


def median(correlations):
    return np.median(list(correlations.values()), axis=0)


@pytest.mark.long
def test_on_photographs_and_on_tissue_statistics_are_those_of_the_network(correlations, shared):
    """Photographs are what it was trained on; tissue is another domain, and agrees less."""
    on_photographs = median(correlations(photographs()[::3]))
    assert np.all(on_photographs > 0.92)
    for name in ("monuseg_folds", "pannuke_breast_25"):
        with np.load(shared / "data" / f"{name}.npz") as file:
            on_tissue = median(correlations(spread(file["image"])[::5]))
        assert np.all(on_tissue > 0.75)
        assert np.all(on_tissue < on_photographs)


@pytest.mark.long
def test_another_scale_or_channel_order_is_told_apart(correlations):
    images = photographs()[::3]
    right = correlations(images)
    assert np.all(median(correlations(FAULTS["0..1 in place of 0..255"](images))) < np.array([0.85, 0.7]))
    # After the first layer the network has made up for a swap of red and blue, or never could.
    swapped = correlations(FAULTS["channels swapped"](images))
    assert right["conv1_bn"][0] > 0.5
    assert swapped["conv1_bn"][0] < 0
