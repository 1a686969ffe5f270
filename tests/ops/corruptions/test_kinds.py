"""Laws of all kinds: the identity at severity 0, more damage with severity, and draws of the image alone."""

import jax
import numpy as np
import pytest

from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.evaluation.robustness.corrupted_split import compile_corruption
from nucseg_jax.ops.corruptions.draws import cell_keys, content_digests
from nucseg_jax.ops.corruptions.kinds import KINDS, SEVERITIES, corrupted, corrupted_on_device
from nucseg_jax.runtime.mesh import batch_sharded, make_mesh, replicated

SCALE = 0.25
ON_DEVICE = [name for name, kind in KINDS.items() if kind.on_device]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Five corners of painted tissue, uint8 [5, 64, 64, 3]."""
    return np.stack([paint_patch(0, 1, index).image[96:160, 96:160] for index in range(5)])


def psnr(image, of):
    return 10 * np.log10(255**2 / np.mean((image.astype(float) - of) ** 2))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_five_strengths_and_one_function(kind):
    row = KINDS[kind]
    assert len(row.values) == len(SEVERITIES) == 5
    assert (row.on_device is None) != (row.on_host is None)
    assert row.unit


@pytest.mark.parametrize("kind", KINDS)
def test_severity_0_is_the_image_and_all_others_are_uint8_images_that_differ(kind, images):
    assert (corrupted(images, kind, 0, microns_per_px=SCALE) == images).all()
    worst = corrupted(images, kind, 5, microns_per_px=SCALE)
    assert worst.dtype == np.uint8
    assert worst.shape == images.shape
    assert (worst != images).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_signal_falls_with_severity_in_every_image(kind, images):
    """With one draw for all severities: signs and angles are those of the image."""
    row = KINDS[kind]
    if row.on_host is not None:
        found = [np.stack([row.on_host(one, value) for one in images]) for value in row.values]
    else:
        keys = cell_keys(content_digests(images), kind, 1)
        run = jax.jit(corrupted_on_device, static_argnames=("kind", "microns_per_px"))
        found = [np.asarray(run(images, keys, np.float32(value), kind, SCALE)) for value in row.values]
    ratios = np.array([[psnr(one, of) for one, of in zip(each, images, strict=True)] for each in found])
    assert (np.diff(ratios, axis=0) < 0).all(), ratios


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_depends_on_no_batch_and_no_order(kind, images):
    whole = corrupted(images, kind, 4, microns_per_px=SCALE)
    for rows in ([3], [4, 2], [1, 0, 3]):
        assert (corrupted(images[rows], kind, 4, microns_per_px=SCALE) == whole[rows]).all()


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in ("noise", "motion", "stain") else pytest.param(kind, marks=pytest.mark.long)
        for kind in ON_DEVICE
    ],
)
def test_the_result_depends_on_no_mesh(kind, images):
    four, severity = images[:4], 5
    whole = corrupted(four, kind, severity, microns_per_px=SCALE)
    keys = cell_keys(content_digests(four), kind, severity)
    value = np.float32(KINDS[kind].values[severity - 1])
    for shape in ((1, 1, 1), (4, 1, 1), (1, 2, 2)):
        mesh = make_mesh(*shape)
        places = batch_sharded(mesh)
        run = compile_corruption(kind, SCALE, mesh)
        found = run(
            jax.device_put(four, places.image),
            jax.device_put(keys, replicated(mesh)),
            jax.device_put(np.arange(4, dtype=np.int32), places.index),
            value,
        )
        assert found.sharding.is_equivalent_to(places.image, 4)
        assert (np.asarray(found) == whole).all(), shape


def test_draws_differ_by_image_kind_and_severity_and_by_nothing_else(images):
    contents = content_digests(images)
    keys = cell_keys(contents, "noise", 1)
    assert len({tuple(key) for key in keys.tolist()}) == len(images)
    assert (cell_keys(contents[::-1], "noise", 1) == keys[::-1]).all()
    for other in (cell_keys(contents, "noise", 2), cell_keys(contents, "motion", 1)):
        assert (other != keys).any(axis=1).all()
    # Golden: a draw that changed would make every earlier benchmark another one.
    assert cell_keys([bytes(32)], "noise", 3).tolist() == [[1479865585, 2889821509]]


@pytest.mark.parametrize(("kind", "severity"), [("fog", 1), ("noise", 6), ("noise", -1)])
def test_other_kinds_and_severities_are_refused(kind, severity, images):
    with pytest.raises(ValueError, match="expected one of jpeg, resolution"):
        corrupted(images, kind, severity, microns_per_px=SCALE)
