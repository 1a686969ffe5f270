"""Winograd's form is the convolution: exactly so in float64, and to a known number of digits in float32."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.ops import conv
from nucseg_jax.ops.cpu.winograd import POINTS, convolve_3x3_winograd, cook_toom
from nucseg_jax.ops.lowering import LOWERINGS, lowerings, traced_for
from tests.ops.differentiation import assert_same, value_and_gradients

reference = functools.partial(conv.convolve_reference, padding="SAME")


def random_pair(batch, height, width, channels, features, dtype=np.float64):
    rng = np.random.default_rng(0)
    return (
        jnp.asarray(rng.normal(size=(batch, height, width, channels)), dtype),
        jnp.asarray(rng.normal(size=(3, 3, channels, features)), dtype),
    )


@pytest.mark.parametrize(
    ("tile", "taps", "points"),
    [(4, 3, POINTS), (2, 3, (0.0, 1.0, -1.0)), (4, 3, (0.0, 1.0, -1.0, 2.0, -2.0)), (3, 2, (0.0, 1.0, -1.0))],
)
def test_cook_tooms_matrices_correlate(tile, taps, points):
    inverse, kernel, image = cook_toom(points, tile, taps)
    rng = np.random.default_rng(0)
    signal, weights = rng.normal(size=tile + taps - 1), rng.normal(size=taps)
    np.testing.assert_allclose(
        inverse @ ((kernel @ weights) * (image @ signal)), np.correlate(signal, weights, "valid"), atol=1e-12
    )


def test_cook_tooms_matrices_are_lavins_for_his_points():
    """F(2, 3) of arXiv:1509.09308, equation 7, up to his choice of signs."""
    inverse, kernel, image = cook_toom((0.0, 1.0, -1.0), 2, 3)
    np.testing.assert_allclose(np.abs(image), [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]])
    np.testing.assert_allclose(np.abs(kernel), [[1, 0, 0], [0.5] * 3, [0.5] * 3, [0, 0, 1]])
    np.testing.assert_allclose(np.abs(inverse), [[1, 1, 1, 0], [0, 1, 1, 1]])


@pytest.mark.device
@pytest.mark.parametrize("size", [(16, 16), (8, 4), (7, 13), (1, 1), (5, 2)])
@pytest.mark.parametrize(("channels", "features"), [(3, 4), (1, 1)])
def test_it_is_the_reference_also_where_tiles_stick_out(size, channels, features):
    with jax.enable_x64(True):
        assert_same(convolve_3x3_winograd, reference, *random_pair(2, *size, channels, features))


@pytest.mark.device
def test_in_float32_the_error_is_a_few_times_that_of_the_plain_sum():
    """256 channels: 2.6e-6 of the largest value; the plain sum has 5e-7, the usual points (0, 1, -1, 2, -2) 1e-5."""
    with jax.enable_x64(True):
        wide = random_pair(2, 16, 16, 256, 64)
        expected = value_and_gradients(reference, *wide)
    narrow = [array.astype(np.float32) for array in wide]
    found_values = value_and_gradients(convolve_3x3_winograd, *narrow)
    for found, exact in zip(map(np.asarray, found_values), map(np.asarray, expected), strict=True):
        assert found.dtype == np.float32
        assert np.max(np.abs(found - exact)) < 5e-6 * np.max(np.abs(exact))


def test_large_maps_take_it_on_cpu_and_nowhere_else(monkeypatch):
    used = []
    monkeypatch.setattr(
        conv, "convolve_3x3_winograd", lambda image, kernel: used.append(1) or reference(image, kernel)
    )

    def trace(platform, px, dtype=jnp.float32, kernel_px=3, stride=1):
        used.clear()
        with traced_for(platform):
            jax.eval_shape(
                functools.partial(conv.convolve, padding="SAME", stride=stride),
                jax.ShapeDtypeStruct((1, px, px, 64), dtype),
                jax.ShapeDtypeStruct((kernel_px, kernel_px, 64, 64), dtype),
            )
        return bool(used)

    assert trace("cpu", 128)
    assert not trace("cpu", 64)
    assert not trace("cpu", 128, dtype=jnp.bfloat16)
    assert not trace("cpu", 128, kernel_px=5)
    assert not trace("cpu", 128, stride=2)
    assert not trace("cuda", 128)
    assert not trace("tpu", 128)


def test_the_row_of_the_platform_traced_for_ends_with_its_block():
    assert lowerings() == LOWERINGS["cpu"]
    with traced_for("cuda"):
        assert lowerings() != LOWERINGS["cpu"]
        with traced_for("cpu"):
            assert lowerings() == LOWERINGS["cpu"]
    assert lowerings() == LOWERINGS["cpu"]


def test_a_gpu_takes_the_row_that_is_named_cuda(monkeypatch):
    """JAX calls the backend of CUDA 'gpu'."""
    row = dataclasses.replace(LOWERINGS["cpu"], winograd_from=7)
    monkeypatch.setitem(LOWERINGS, "cuda", row)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert lowerings() is row
    with traced_for("cpu"):
        assert lowerings() is LOWERINGS["cpu"]
