"""The mean over views: of models that no symmetry changes, of one that sees positions, and of perfect maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from scipy.special import expit

from nucseg_jax.heads.table import HEADS
from nucseg_jax.models.views import bring_back, compile_mean_of_views
from nucseg_jax.ops.outputs import Outputs
from nucseg_jax.ops.symmetries import SYMMETRIES, move
from nucseg_jax.runtime.mesh import batch_sharded, make_mesh
from tests.heads.test_targets import painted_ids

WITH_MAPS = [name for name, head in HEADS.items() if head.maps]


def mean_of(outputs_of, image, *, head="none", devices=1, space=1):
    mesh = make_mesh(devices, space=space)
    mean = compile_mean_of_views(outputs_of, HEADS[head], batch_sharded(mesh).image)
    return mean({}, image)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def of_colours(variables, image):
    """Sees each pixel and the mean of the image: no symmetry changes it."""
    del variables
    colour = image.astype(jnp.float32) / 64 - 2
    logits = colour[..., :1] * colour[..., 1:2] + colour.mean(axis=(1, 2), keepdims=True)[..., 2:]
    return Outputs(logits, logits)


def of_positions(variables, image):
    """Sees a pixel, its row, its column and the pixels left of and above it."""
    del variables
    red = image[..., 0].astype(jnp.float32) / 255
    rows, columns = jnp.mgrid[: image.shape[1], : image.shape[2]]
    left = jnp.pad(red, ((0, 0), (0, 0), (1, 0)))[:, :, :-1]
    above = jnp.pad(red, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    logits = (red + 2 * left - above + rows / 3 - columns / 4)[..., None]
    return Outputs(logits, logits)


def slow_mean_of_positions(image: np.ndarray) -> np.ndarray:
    """float64 [N, H, W], the mean probability, by `np.rot90` of each image and of its mirror image."""
    total, of_view = np.zeros(image.shape[:3]), jax.jit(of_positions)
    for number, one in enumerate(image):
        for mirror in (lambda a: a, np.fliplr):
            for turns in range(4):
                view = np.rot90(mirror(one), turns)
                logits = np.asarray(of_view({}, view[None].copy()).logits, np.float64)
                total[number] += mirror(np.rot90(expit(logits[0, ..., 0]), -turns)) / 8
    return total


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 6, 10)])
def test_a_model_that_no_symmetry_changes_gives_what_one_view_gives(shape):
    image = noise(*shape)
    found = mean_of(of_colours, image).logits
    np.testing.assert_allclose(found, of_colours({}, jnp.asarray(image)).logits, atol=5e-6)


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 6, 10)])
def test_a_model_that_sees_positions_gives_the_slow_mean(shape):
    image = noise(*shape)
    found = expit(np.asarray(mean_of(of_positions, image).logits, np.float64))[..., 0]
    np.testing.assert_allclose(found, slow_mean_of_positions(image), atol=1e-6)
    one_view = expit(np.asarray(of_positions({}, jnp.asarray(image)).logits, np.float64))[..., 0]
    assert np.abs(found - one_view).max() > 0.1


@pytest.mark.parametrize(("devices", "space"), [(8, 1), (2, 1), (2, 2), (1, 4)])
def test_devices_change_nothing(devices, space):
    image = noise(8, 16, 16)
    found = mean_of(of_positions, image, devices=devices, space=space).logits
    np.testing.assert_allclose(found, mean_of(of_positions, image).logits, atol=2e-6)
    split = (("data", "fsdp"), "space")
    assert found.sharding.is_equivalent_to(
        jax.sharding.NamedSharding(make_mesh(devices, space=space), PartitionSpec(*split)), found.ndim
    )


@pytest.mark.parametrize("name", WITH_MAPS)
def test_perfect_maps_come_back(name):
    """Targets of a turned instance map, brought back, are those of the map, for each symmetry and in their mean."""
    head = HEADS[name]
    ids = painted_ids(0)[None, :24, :32]

    @jax.jit
    def perfect(variables, instance):
        del variables
        logits = jnp.where(instance > 0, 3.0, -3.0)[..., None]
        return Outputs(logits, logits, maps=head.target_maps(instance)[..., :-1])

    expected = perfect({}, jnp.asarray(ids))
    for symmetry in SYMMETRIES:
        outputs = perfect({}, move(jnp.asarray(ids), symmetry))
        back = bring_back(outputs, symmetry.inverse(), head)
        np.testing.assert_array_equal(back.logits, expected.logits)
        np.testing.assert_allclose(back.maps, expected.maps, atol=1e-5)
    found = mean_of(perfect, ids, head=name)
    np.testing.assert_allclose(found.maps, expected.maps, atol=1e-5)
    np.testing.assert_allclose(found.logits, expected.logits, atol=5e-6)


@pytest.mark.parametrize("name", WITH_MAPS)
@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_values_that_a_symmetry_changed_are_changed_back_by_its_inverse(name, symmetry):
    head = HEADS[name]
    maps = np.random.default_rng(0).normal(size=(1, 3, 3, len(head.maps))).astype(np.float32)
    there = head.transform_maps(jnp.asarray(maps), symmetry)
    np.testing.assert_array_equal(head.transform_maps(there, symmetry.inverse()), maps)


def test_the_head_of_another_model_is_refused():
    """Its maps would be averaged as if no turn changed them."""
    one = jnp.zeros((1, 2, 2, 1))
    with pytest.raises(ValueError, match="the model has 2 maps, and its head none has 0"):
        bring_back(Outputs(one, one, maps=jnp.zeros((1, 2, 2, 2))), SYMMETRIES[0], HEADS["none"])
