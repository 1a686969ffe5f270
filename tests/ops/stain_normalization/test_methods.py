"""Stain normalisation: definitions written out slowly, and laws of both methods."""

import jax
import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.ops import stain
from nucseg_jax.ops.stain_normalization import macenko, reinhard
from nucseg_jax.ops.stain_normalization.lab import lab_to_rgb, rgb_to_lab
from nucseg_jax.ops.stain_normalization.stored_target import target_from_json, target_to_json
from nucseg_jax.ops.stain_normalization.target import METHODS, StainTarget, pooled_target

HE = stain.RUIFROK_VECTORS[:2] / np.linalg.norm(stain.RUIFROK_VECTORS[:2], axis=1, keepdims=True)
OTHER_HE = np.array([[0.55, 0.78, 0.30], [0.15, 0.85, 0.50]])
OTHER_HE /= np.linalg.norm(OTHER_HE, axis=1, keepdims=True)


def two_stains(seed: int, vectors: np.ndarray = HE, factors=(1.0, 1.0), px: int = 64) -> np.ndarray:
    """An image of two dyes, a third of it glass, uint8 [px, px, 3]."""
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(0.02, 0.75, (px, px, 2)) * rng.integers(0, 2, (px, px, 2))
    amounts[: px // 3] = 0
    return np.rint(stain.transmitted(amounts * factors @ vectors)).astype(np.uint8)


def painted(index: int) -> np.ndarray:
    return paint_patch(0, 1, index).image[96:160, 96:160]


BLANK = {
    "white": np.full((32, 32, 3), 255, np.uint8),
    "black": np.zeros((32, 32, 3), np.uint8),
    "padding": np.full((32, 32, 3), 243, np.uint8),
    "one colour": np.full((32, 32, 3), (150, 80, 160), np.uint8),
    "greys": np.arange(1024, dtype=np.int64).reshape(32, 32, 1).repeat(3, axis=2).astype(np.uint8),
    "one stain": np.rint(stain.transmitted(np.linspace(0, 1, 1024).reshape(32, 32, 1) * HE[0])).astype(
        np.uint8
    ),
    "a speck": np.where(np.arange(1024).reshape(32, 32, 1) < 8, two_stains(0, px=32)[-1:], 255).astype(
        np.uint8
    ),
}


def slow_reinhard(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    source, wanted = rgb2lab(image), rgb2lab(target)
    for channel in range(3):
        of_image, of_target = source[..., channel].copy(), wanted[..., channel]
        scale = of_target.std() / of_image.std()
        source[..., channel] = (of_image - of_image.mean()) * scale + of_target.mean()
    return lab2rgb(source) * 255


def slow_stains(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions and strengths in natural logarithms, so that they are those of no base."""
    density = -np.log(np.maximum(image.reshape(-1, 3), 1) / 255.0)
    density = density[np.linalg.norm(density, axis=1) > 0.15 * np.log(10)]
    _, vectors = np.linalg.eigh(np.cov(density.T))
    plane = vectors[:, [2, 1]]
    plane *= np.where(plane.sum(axis=0) < 0, -1, 1)
    seen = density @ plane
    angles = np.arctan2(seen[:, 1], seen[:, 0])
    ends = [plane @ [np.cos(a), np.sin(a)] for a in np.percentile(angles, [1, 99])]
    stains = np.array(sorted(ends, key=lambda vector: -vector[0]))
    amounts = np.linalg.lstsq(stains.T, density.T, rcond=None)[0]
    return stains, np.percentile(amounts, 99, axis=1)


def slow_macenko(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    """As published, the part of densities outside of the plane lost: images of two dyes have none."""
    (stains, strengths), (new_stains, new_strengths) = slow_stains(image), slow_stains(target)
    density = -np.log(np.maximum(image.reshape(-1, 3), 1) / 255.0)
    amounts = np.linalg.lstsq(stains.T, density.T, rcond=None)[0]
    amounts *= (new_strengths / strengths)[:, None]
    return np.clip(255 * np.exp(-(new_stains.T @ amounts)), 0, 255).T.reshape(image.shape)


SLOW = {"reinhard": slow_reinhard, "macenko": slow_macenko}


def target_of(method: str, image: np.ndarray) -> StainTarget:
    return StainTarget(method, METHODS[method].statistics(image))


def on_devices(target: StainTarget, images: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(target.normalized)(images))


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).max())


@pytest.mark.parametrize("method", METHODS)
def test_the_definition_written_out_gives_the_same(method):
    """Up to rounding to grey levels, and what rounding leaves outside of the plane of both stains."""
    image, wanted = two_stains(0), two_stains(1, OTHER_HE, (0.7, 1.2))
    target = target_of(method, wanted)
    expected = SLOW[method](image, wanted)
    most = 0.51 if method == "reinhard" else 2.0
    assert difference(target.apply(image, target.statistics_of(image)), expected) < most
    assert difference(on_devices(target, image[None])[0], expected) < most + 0.1
    assert difference(image, expected) > 20


def test_stains_are_those_written_out_slowly_whatever_the_base_of_the_logarithm():
    for image in (two_stains(2), painted(0), painted(1)):
        stains, strengths = slow_stains(image)
        found = macenko.statistics(image)
        np.testing.assert_allclose(found.vectors, stains, atol=1e-9)
        np.testing.assert_allclose(found.strengths * np.log(10), strengths, rtol=1e-9)


def test_stains_are_the_dyes_of_the_image():
    found = macenko.statistics(two_stains(3, px=128))
    np.testing.assert_allclose(found.vectors, HE, atol=0.02)
    np.testing.assert_allclose(found.strengths, [0.74, 0.74], atol=0.02)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("image", [two_stains(4), painted(0), painted(2)])
def test_an_image_keeps_its_own_colours(method, image):
    target = target_of(method, image)
    assert difference(target.apply(image, target.statistics), image) <= 1
    assert difference(on_devices(target, image[None])[0], image) <= 1


@pytest.mark.parametrize("factors", [(0.6, 1.3), (1.3, 0.7)])
def test_scaled_stains_come_back(factors):
    original = two_stains(5)
    for method in METHODS:
        target = target_of(method, original)
        scaled = two_stains(5, factors=factors)
        back = target.apply(scaled, target.statistics_of(scaled))
        found, expected = target.statistics_of(back), target.statistics
        if method == "macenko":
            np.testing.assert_allclose(found.vectors, expected.vectors, atol=0.02)
            np.testing.assert_allclose(found.strengths, expected.strengths, rtol=0.02)
            # Pixel by pixel too, but where rounding has taken the light of the darkest.
            assert np.percentile(np.abs(back.astype(int) - original), 99) <= 3
        else:
            # What lies outside of sRGB is clipped.
            np.testing.assert_allclose(found.mean, expected.mean, atol=1.5)
            np.testing.assert_allclose(found.deviation, expected.deviation, rtol=0.1)


# One stain has a mean and a deviation in every channel, which is all that Reinhard's method needs.
LEFT_ALONE = [
    (method, name) for method in METHODS for name in BLANK if (method, name) != ("reinhard", "one stain")
]


@pytest.mark.parametrize(("method", "name"), LEFT_ALONE)
def test_images_without_stains_are_left_as_they_are(method, name):
    image = BLANK[name]
    target = target_of(method, two_stains(6))
    with np.errstate(all="raise"):
        of_image = target.statistics_of(image)
        assert not of_image.is_usable
        np.testing.assert_array_equal(target.apply(image, of_image), image)
    assert all(np.isfinite(each).all() for each in of_image)
    on_device = jax.jit(METHODS[method].statistics)(image)
    assert all(np.isfinite(each).all() for each in on_device)
    np.testing.assert_array_equal(on_devices(target, image[None])[0], image)


def test_glass_stays_white_with_macenko():
    image = two_stains(7)
    target = target_of("macenko", two_stains(8, OTHER_HE, (1.5, 1.5)))
    glass = (image == 255).all(axis=-1)
    assert glass.any()
    assert (target.apply(image, target.statistics_of(image))[glass] == 255).all()
    assert (on_devices(target, image[None])[0][glass] == 255).all()


@pytest.mark.parametrize("method", METHODS)
def test_devices_and_host_agree_and_every_image_goes_by_itself(method):
    images = np.stack([two_stains(9), painted(0), np.full((64, 64, 3), 255, np.uint8), painted(1)])
    target = target_of(method, two_stains(10, OTHER_HE))
    together = on_devices(target, images)
    assert together.dtype == np.uint8
    np.testing.assert_array_equal(together[::-1], on_devices(target, images[::-1]))
    assert difference(together, np.asarray(target.normalized(jax.numpy.asarray(images)))) <= 1
    for found, image in zip(together, images, strict=True):
        assert difference(found, target.apply(image, target.statistics_of(image))) <= 1


@pytest.mark.parametrize("method", METHODS)
def test_parts_of_an_image_are_those_of_the_whole(method):
    image, target = painted(0), target_of(method, two_stains(11))
    of_image = target.statistics_of(image)
    whole = target.apply(image, of_image)
    np.testing.assert_array_equal(target.apply(image[10:30, 5:60], of_image), whole[10:30, 5:60])


@pytest.mark.parametrize("method", METHODS)
def test_a_target_is_of_all_images_together_and_blank_ones_do_not_count(method):
    images = [painted(0), painted(1), two_stains(12)]
    found = pooled_target(method, [BLANK["white"], *images], 4).statistics
    together = METHODS[method].statistics(np.concatenate(images))
    for one, other in zip(found, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    again = pooled_target(method, iter([BLANK["white"], *images]), 4).statistics
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


def test_a_pool_is_bounded_and_near_the_whole(monkeypatch):
    images = [two_stains(seed) for seed in range(13, 17)]
    whole = macenko.pooled(images, 4)
    monkeypatch.setattr(macenko, "_POOL_PX", 4 * 500)
    bounded = macenko.pooled(images, 4)
    np.testing.assert_allclose(bounded.vectors, whole.vectors, atol=0.02)
    np.testing.assert_allclose(bounded.strengths, whole.strengths, rtol=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_blank_images_make_no_target(method):
    for images in ([], [BLANK["white"], BLANK["one colour"]], [BLANK["greys"]]):
        with pytest.raises(UserError, match="to normalise others to"):
            pooled_target(method, images, len(images))


def test_lab_is_scikit_images_and_its_inverse():
    rgb = np.random.default_rng(0).integers(0, 256, (500, 3)).astype(float)
    np.testing.assert_allclose(rgb_to_lab(rgb), rgb2lab(rgb / 255), atol=1e-6)
    np.testing.assert_allclose(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=1e-2)
    np.testing.assert_allclose(jax.jit(rgb_to_lab)(rgb), rgb2lab(rgb / 255), atol=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_a_stored_target_is_the_same(method):
    target = pooled_target(method, [painted(0)], 1)
    again = target_from_json(target_to_json(target))
    assert again.method == method
    assert all(np.array_equal(*pair) for pair in zip(again.statistics, target.statistics, strict=True))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "vahadane"},
        {"method": None},
        {"statistics": []},
        {"statistics": {"mean": [1, 2, 3]}},
        {"statistics": {"mean": [1, 2, 3], "deviation": [1, 2]}},
        {"statistics": {"mean": [1, 2, 3], "deviation": [1, 2, "3"]}},
        {"statistics": {"mean": [1, 2, 3], "deviation": [1, 2, True]}},
        {"statistics": {"mean": [1, 2, 3], "deviation": [1, 2, float("nan")]}},
        {"statistics": {"mean": [1, 2, 3], "deviation": [[1], 2, 3]}},
        {"statistics": {"mean": [1, 2, 3], "deviation": None}},
    ],
)
def test_a_target_that_is_none_is_refused(change):
    stored = target_to_json(StainTarget("reinhard", reinhard.statistics(painted(0))))
    with pytest.raises(UserError, match="the target of stain normalisation"):
        target_from_json({**stored, **change})
