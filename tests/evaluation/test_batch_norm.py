"""Re-estimated statistics are the population's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict

from configs import quickstart
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.batch import Batch
from nucseg_jax.evaluation.batch_norm import (
    BatchMoments,
    compile_statistics_step,
    reestimate_batch_statistics,
)
from nucseg_jax.experiment import read_experiment
from nucseg_jax.models.initial import initial_variables
from nucseg_jax.models.layers import BatchNorm, MovingStatistics
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_batch
from nucseg_jax.training.step import train_step


class OneNorm(nn.Module):
    """Its only statistics are those of the image."""

    momentum: float = 0.99
    unbiased_variance: bool = False

    @nn.compact
    def __call__(self, image, *, train):
        moving = MovingStatistics(self.momentum, self.unbiased_variance)
        return BatchNorm(moving, name="norm")(image.astype(jnp.float32), train=train)


class Halved(nn.Module):
    """A norm of the image and one of every second pixel, so that n differs."""

    @nn.compact
    def __call__(self, image, *, train):
        image = OneNorm(unbiased_variance=True, name="whole")(image, train=train)
        return OneNorm(unbiased_variance=True, name="halved")(image[:, ::2, ::2], train=train)


def batch_of(image, valid=None):
    numbers = np.zeros(len(image), np.int32)
    valid = np.ones(len(image), bool) if valid is None else valid
    return Batch(image=image, label=image[..., 0], valid=valid, index=numbers, group=numbers)


def images(count, N=8):
    rng = np.random.default_rng(0)
    # Means that differ from batch to batch: their variance is part of the population's.
    return [
        rng.integers(20 * number, 20 * number + 40, (N, 4, 4, 3)).astype(np.uint8) for number in range(count)
    ]


def estimated(arrays, model=None, *, devices=1, unbiased=False):
    """The `batch_stats` found on batches of these images."""
    model = model or OneNorm(unbiased_variance=unbiased)
    mesh = make_mesh(devices)
    variables = model.init(jax.random.key(0), arrays[0][:1], train=False)
    momentum = getattr(model, "momentum", 0.99)
    step = compile_statistics_step(model, mesh, momentum=momentum, unbiased_variance=unbiased)
    placed = (put_batch(batch_of(image), mesh) for image in arrays)
    return reestimate_batch_statistics(step, variables, placed, unbiased_variance=unbiased)["batch_stats"]


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("momentum", [0.9, 0.99])
def test_they_are_mean_and_variance_of_all_pixels_together(devices, momentum):
    found = estimated(images(5), OneNorm(momentum), devices=devices)["norm"]
    pixels = np.concatenate(images(5)).reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(found["mean"], pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found["var"], pixels.var(0), rtol=2e-6)
    assert found["var"].dtype == jnp.float32


def test_neither_order_nor_a_smaller_last_batch_matter():
    whole = estimated(images(6))["norm"]
    pixels = np.concatenate(images(6))
    for parts in (np.split(pixels, [40]), np.split(pixels, [8, 16, 24, 45]), images(6)[::-1]):
        found = estimated(parts)["norm"]
        np.testing.assert_allclose(found["mean"], whole["mean"], rtol=1e-6)
        np.testing.assert_allclose(found["var"], whole["var"], rtol=2e-6)


def test_an_unbiased_variance_is_that_of_all_values_and_not_the_mean_of_the_batches():
    arrays = [image[:2] for image in images(3)]
    found = estimated(arrays, Halved(), unbiased=True)
    pixels = np.concatenate(arrays).astype(np.float64)
    np.testing.assert_allclose(found["whole"]["norm"]["var"], pixels.reshape(-1, 3).var(0, ddof=1), rtol=2e-6)
    # 24 values: a variance that is divided by n is 4 % off, one of batches that are each 1/7 too large 14 %.
    means, variances = found["halved"]["norm"]["mean"], found["halved"]["norm"]["var"]
    of_batches = []
    for image in arrays:
        exact = image.astype(np.float64)
        flat = exact.reshape(-1, 3)
        normalised = (exact - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-3)
        of_batches.append(normalised[:, ::2, ::2].reshape(-1, 3))
    halved = np.concatenate(of_batches)
    assert len(halved) == 24
    np.testing.assert_allclose(means, halved.mean(0), atol=1e-5)
    np.testing.assert_allclose(variances, halved.var(0, ddof=1), rtol=1e-5)


def moments_of(mean, variance, *, valid=2, examples=2, values=32):
    norm = ("norm",)
    return BatchMoments(
        valid=np.int32(valid),
        examples=np.int32(examples),
        values={norm: np.int32(values)},
        mean={norm: np.float32(mean)},
        variance={norm: np.float32(variance)},
    )


def pooled(moments, **options):
    """Statistics from moments of batches as they are."""
    before = {"norm": {name: np.zeros(len(moments[0].mean["norm",]), np.float32) for name in ("mean", "var")}}
    steps = iter(moments)
    found = reestimate_batch_statistics(
        lambda variables, batch: next(steps), {"batch_stats": before}, moments, **options
    )
    return found["batch_stats"]["norm"]


def test_a_channel_that_never_varies_has_no_variance_and_never_one_below_zero():
    """As after a ReLU that is dead but for its bias: 537 batches, a fold of PanNuke at batch 8."""
    constants = np.linspace(0.2, 6.0, 5801).astype(np.float32)
    found = pooled([moments_of(constants, np.zeros_like(constants))] * 537)
    np.testing.assert_array_equal(found["var"], 0.0)
    np.testing.assert_array_equal(found["mean"], constants)
    # A batch's own rounding may have either sign.
    rounding = np.random.default_rng(0).uniform(-2e-6, 2e-6, (537, 2, 5801)).astype(np.float32)
    found = pooled([moments_of(constants * (1 + mean), variance) for mean, variance in rounding])
    assert (found["var"] >= 0.0).all()
    assert (found["var"] < 1e-4).all()
    assert np.isfinite(1.0 / np.sqrt(found["var"] + 1e-5)).all()


def test_no_digit_is_lost_over_the_batches_of_an_epoch():
    rng = np.random.default_rng(0)
    means = rng.normal(50.0, 0.01, (537, 64)).astype(np.float32)
    variances = rng.uniform(0.5e-4, 1.5e-4, (537, 64)).astype(np.float32)
    found = pooled([moments_of(*each) for each in zip(means, variances, strict=True)])
    means, variances = means.astype(np.float64), variances.astype(np.float64)
    np.testing.assert_allclose(found["mean"], means.mean(0), rtol=1e-7)
    np.testing.assert_allclose(found["var"], variances.mean(0) + means.var(0), rtol=1e-7)


def test_jitted_constants_give_no_variance_below_zero_nor_nan():
    constants = np.linspace(1, 255, 3, dtype=np.uint8)
    image = np.broadcast_to(constants, (8, 4, 4, 3)).copy()
    found = estimated([image] * 20)["norm"]
    np.testing.assert_allclose(found["mean"], constants, rtol=1e-6)
    # The batch's own moments are one pass in float32: some 1e-6 of the squared mean.
    assert (found["var"] >= 0.0).all()
    assert (found["var"] <= 2e-6 * np.square(constants, dtype=np.float64)).all()


def test_frozen_statistics_stay_what_they_are_to_the_last_bit():
    config = quickstart.get_config()
    config.model.width, config.model.encoder_depths = 0.125, (1, 1, 1)
    config.transfer.freeze_through = "conv2"
    experiment = read_experiment(config)
    model, mesh = experiment.model.without_dropout(), make_mesh(1)
    variables = initial_variables(experiment.model, 0)
    rng = np.random.default_rng(0)
    variables["batch_stats"] = jax.tree.map(
        lambda leaf: rng.uniform(0.1, 9.0, leaf.shape).astype(np.float32), variables["batch_stats"]
    )
    step = compile_statistics_step(
        model,
        mesh,
        momentum=config.model.batch_norm_momentum,
        frozen_stages=model.encoder.frozen_statistics,
    )
    arrays = [rng.integers(0, 256, (2, 32, 32, 3)).astype(np.uint8) for _ in range(3)]
    placed = (put_batch(batch_of(image), mesh) for image in arrays)
    found = reestimate_batch_statistics(step, variables, placed)
    before, after = (flatten_dict(each["batch_stats"], sep="/") for each in (variables, found))
    stays = {name for name in before if np.array_equal(before[name], after[name])}
    frozen = {name for name in before if name.startswith(("encoder/conv1", "encoder/conv2"))}
    assert len(frozen) >= 4
    assert stays == frozen
    assert found["params"] is variables["params"]


def test_padding_and_moments_that_are_no_numbers_are_refused():
    mesh = make_mesh(1)
    model = OneNorm()
    variables = model.init(jax.random.key(0), np.zeros((1, 4, 4, 3), np.uint8), train=False)
    step = compile_statistics_step(model, mesh, momentum=0.99)
    padded = put_batch(batch_of(images(1)[0], np.arange(8) < 5), mesh)
    with pytest.raises(ValueError, match="batch 1 has 3 of 8 examples of padding"):
        reestimate_batch_statistics(step, variables, [padded])
    with pytest.raises(UserError, match=r"batch 2 .* not finite"):
        pooled([moments_of([1.0], [1.0]), moments_of([1.0], [np.inf])])


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="no batch"):
        reestimate_batch_statistics(None, {}, [])


@pytest.mark.long
def test_a_model_without_batch_norms_has_nothing_to_estimate_and_trains():
    """FPN has group norms and ConvNeXt layer norms: no variable of the collection exists."""
    config = quickstart.get_config()
    config.model.encoder, config.model.decoder, config.model.output_stride = "convnext_tiny", "fpn", 32
    config.model.width, config.model.encoder_depths = 0.125, (1, 1, 1, 1)
    config.transfer.freeze_through = "stages_1"
    experiment = read_experiment(config)
    assert experiment.frozen_stages == ("stem", "stages_0", "stages_1")
    mesh = make_mesh(1)
    static = experiment.static_arguments(steps_per_epoch=2)
    state = experiment.init_state(static)
    assert state.batch_stats == {}
    rng = np.random.default_rng(0)
    batch = batch_of(rng.integers(0, 256, (2, 64, 64, 3)).astype(np.uint8))
    batch = batch.replace(label=(batch.label > 127).astype(np.uint8))
    after, logs = jax.jit(lambda state, batch: train_step(static, state, batch))(state, batch)
    assert np.isfinite(logs["loss"])
    for layer, leaves in after.params["encoder"].items():
        stays = jax.tree.map(np.array_equal, leaves, state.params["encoder"][layer])
        is_frozen = layer.startswith(experiment.frozen_stages)
        assert all(jax.tree.leaves(stays)) if is_frozen else not all(jax.tree.leaves(stays)), layer
    model = experiment.model.without_dropout()
    step = compile_statistics_step(model, mesh, momentum=0.99, frozen_stages=("stem",))
    found = reestimate_batch_statistics(step, state.variables, [put_batch(batch, mesh)])
    assert found == state.variables
