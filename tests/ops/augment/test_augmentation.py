"""What holds for every kind: off is off, each example its own draw, no kind changes another's."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.config.augment import PRESETS, AugmentConfig
from nucseg_jax.core.config_field import declared_fields
from nucseg_jax.core.keys import Stream
from nucseg_jax.ops.augment.augmentation import NO_AUGMENTATION, Kind, augment

FIELDS = {
    item.key: item
    for item in declared_fields("augment", AugmentConfig)
    if item.key != "preset" and not item.key.endswith("_probability")
}
STRENGTHS = {name: item.kind is bool or 0.3 * item.range.at_most for name, item in FIELDS.items()}
GEOMETRY = tuple(name for name, item in FIELDS.items() if item.kind is bool)
DEFORMING = ("scale", "elastic_px")
PHOTOMETRIC = tuple(name for name in STRENGTHS if name not in GEOMETRY + DEFORMING)


def only(*names):
    return dataclasses.replace(NO_AUGMENTATION, **{name: STRENGTHS[name] for name in names})


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    # Smooth pinks and purples away from 0 and 255, where nothing is cut off.
    image = rng.uniform(110, 170, (6, 8, 8, 3)).repeat(2, 1).repeat(2, 2).astype(np.uint8)
    return image, rng.integers(0, 6, (6, 16, 16), dtype=np.uint8), np.arange(6, dtype=np.int32) + 40


def run(batch, how, *, seed=3, epoch=1):
    changed = functools.partial(augment, how=how, seed=seed, outside=255)
    return jax.jit(changed)(*batch, epoch=jnp.int32(epoch))


def test_kinds_and_other_purposes_of_randomness_share_no_number():
    numbers = [*Stream, *Kind]
    assert len(set(map(int, numbers))) == len(numbers)
    assert all(2 <= kind < 1000 for kind in Kind)
    assert (list(map(int, Kind))[:7], list(map(int, Stream))[:2]) == ([2, 3, 4, 5, 6, 7, 8], [0, 1])


def test_every_strength_is_off_in_no_augmentation_and_reaches_the_image(batch):
    assert not any(getattr(NO_AUGMENTATION, name) for name in FIELDS)
    for name in STRENGTHS:
        assert not np.array_equal(run(batch, only(name))[0], batch[0]), name


def test_off_leaves_image_and_label_as_they_are_bytes_too(batch):
    image, label = run(batch, NO_AUGMENTATION)
    np.testing.assert_array_equal(image, batch[0])
    np.testing.assert_array_equal(label, batch[1])
    assert image.dtype == label.dtype == np.uint8


def test_geometry_alone_stays_uint8(batch):
    image, label = run(batch, only(*GEOMETRY))
    assert image.dtype == label.dtype == np.uint8
    np.testing.assert_array_equal(np.sort(image.ravel()), np.sort(batch[0].ravel()))


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_a_vanishing_strength_changes_nothing_and_a_real_one_does(batch, name):
    weak, _ = run(batch, dataclasses.replace(NO_AUGMENTATION, **{name: 1e-7}))
    np.testing.assert_allclose(weak, batch[0], atol=1e-3)
    strong, label = run(batch, only(name))
    assert np.abs(np.asarray(strong) - batch[0]).mean() > 0.5
    np.testing.assert_array_equal(label, batch[1])


@pytest.mark.parametrize("name", [*PHOTOMETRIC, *DEFORMING])
def test_intensities_stay_within_0_to_255(name):
    rng = np.random.default_rng(1)
    extreme = rng.choice(np.array([0, 1, 128, 254, 255], np.uint8), (4, 16, 16, 3))
    image, _ = run((extreme, np.zeros((4, 16, 16), np.uint8), np.arange(4)), only(name))
    assert image.dtype == np.float32
    assert 0 <= image.min() <= image.max() <= 255
    assert np.isfinite(image).all()


@pytest.mark.parametrize("name", [*PHOTOMETRIC, *DEFORMING, "flips"])
def test_an_example_is_drawn_for_alone_and_anew_each_epoch(batch, name):
    image, label, index = batch
    together = np.asarray(run(batch, only(name))[0])
    order = np.array([4, 1, 0])
    alone, _ = run((image[order], label[order], index[order]), only(name))
    np.testing.assert_allclose(alone, together[order], atol=1e-3)
    assert not np.array_equal(run(batch, only(name), epoch=2)[0], together)
    assert not np.array_equal(run(batch, only(name), seed=4)[0], together)
    # The same picture six times gives six pictures, but for flips, of which there are four.
    same = np.broadcast_to(image[:1], image.shape)
    draws = {np.asarray(one).tobytes() for one in run((same, label, index), only(name))[0]}
    assert len(draws) >= (6 if name != "flips" else 2)


PROBABILITIES = {
    "colour_probability": "brightness",
    "stain_probability": "stain_factor",
    "blur_probability": "blur_sigma_px",
    "noise_probability": "noise_sd",
    "scanner_probability": "white_balance",
    "deformation_probability": "elastic_px",
}


@pytest.mark.parametrize(("name", "strength"), PROBABILITIES.items())
def test_a_share_of_examples_is_changed_as_all_would_be_and_the_others_not_at_all(name, strength):
    rng = np.random.default_rng(2)
    image = rng.uniform(110, 170, (64, 4, 4, 3)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    many = image, rng.integers(0, 6, (64, 16, 16), dtype=np.uint8), np.arange(64)
    every = run(many, only(strength))
    some = run(many, dataclasses.replace(only(strength), **{name: 0.5}))
    is_same = [np.array_equal(one, other) for one, other in zip(some[0], image, strict=True)]
    # 64 draws: three standard deviations are 12.
    assert 20 <= sum(is_same) <= 44
    expected = np.where(np.array(is_same)[:, None, None, None], image, every[0])
    np.testing.assert_allclose(some[0], expected, atol=1e-3)
    np.testing.assert_array_equal(some[1], np.where(np.array(is_same)[:, None, None], many[1], every[1]))


def test_every_probability_is_tested():
    declared = {item.key for item in declared_fields("augment", AugmentConfig)}
    assert PROBABILITIES.keys() == {name for name in declared if name.endswith("_probability")}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_its_fields(batch, preset):
    flips = dict(flips=False, quarter_turns=False)
    image, label = run(batch, AugmentConfig(preset=preset, **flips))
    expected, moved = run(batch, AugmentConfig(**PRESETS[preset], **flips))
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(label, moved)


@pytest.mark.parametrize("other", [*PHOTOMETRIC])
def test_no_kind_changes_what_another_draws(batch, other):
    """With geometry on, the label tells its draw; photometric kinds are told apart by undoing the order."""
    _, alone = run(batch, only(*GEOMETRY))
    _, beside = run(batch, only(*GEOMETRY, other))
    np.testing.assert_array_equal(alone, beside)


def test_pixel_noise_is_the_same_beside_other_kinds(batch):
    noisy = dataclasses.replace(NO_AUGMENTATION, noise_sd=20.0)
    alone = run(batch, noisy)[0] - batch[0].astype(np.float32)
    brighter = run(batch, only("brightness"))[0]
    both = run(batch, dataclasses.replace(noisy, brightness=STRENGTHS["brightness"]))[0]
    inside = (np.asarray(both) > 0) & (np.asarray(both) < 255)
    np.testing.assert_allclose((both - brighter)[inside], alone[inside], atol=1e-3)
