"""Weights in a file: equal as float32, within half precision as float16, and float32 where that has no place."""

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.model_folder.stored_weights import (
    fits_float16,
    named_arrays,
    read_weights,
    stored_arrays,
    write_weights,
)
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.models.initial import abstract_variables, initial_variables

MODEL = build_segmenter(
    encoder="efficientnet_b4",
    decoder="unet",
    num_classes=3,
    dropout=0.1,
    width=0.125,
    encoder_depths=(1, 1, 1, 1, 1),
)


@pytest.fixture(scope="module")
def variables():
    return initial_variables(MODEL, 0)


@pytest.fixture(scope="module")
def like():
    return abstract_variables(MODEL)


def test_float32_is_the_same_to_the_last_bit_and_equal_weights_give_equal_files(variables, like, tmp_path):
    arrays, kept = stored_arrays(variables, "float32")
    assert kept == ()
    for name in ("a.npz", "b.npz"):
        write_weights(tmp_path / name, arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    before, after = named_arrays(variables), named_arrays(read_weights(tmp_path / "a.npz", like))
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert after[name].dtype == array.dtype == np.float32
        np.testing.assert_array_equal(after[name], array, name)


def test_float16_takes_half_the_room_and_is_read_as_float32(variables, like, tmp_path):
    arrays, kept = stored_arrays(variables, "float16")
    # The Normalization layer's seven values are constants of the preprocessing.
    assert {name.partition("/")[0] for name in kept} == {"constants"}
    write_weights(tmp_path / "half.npz", arrays)
    write_weights(tmp_path / "whole.npz", stored_arrays(variables, "float32")[0])
    values = sum(array.size for array in arrays.values())
    saved = (tmp_path / "whole.npz").stat().st_size - (tmp_path / "half.npz").stat().st_size
    assert saved == pytest.approx(2 * values, rel=0.01)
    before, after = named_arrays(variables), named_arrays(read_weights(tmp_path / "half.npz", like))
    for name, array in before.items():
        assert after[name].dtype == np.float32
        np.testing.assert_allclose(after[name], array, rtol=2**-11, atol=2**-25, err_msg=name)


@pytest.mark.parametrize(
    ("name", "values", "fits"),
    [
        ("params/conv/kernel", [0.01, -0.5, 1e-7], True),
        ("params/conv/kernel", [65504.0, 1.0], True),
        ("params/conv/kernel", [65505.0, 1.0], False),
        ("batch_stats/bn/var", [2.0**-14, 3.0], True),
        ("batch_stats/bn/var", [2.0**-15, 3.0], False),
        ("batch_stats/bn/mean", [2.0**-15, 3.0], True),
        # ConvNeXt's layer scales, which float16 has three bits for.
        ("params/block/gamma", [1e-6, 1.1e-6], False),
        ("params/conv/bias", [0.0, 0.0], True),
        ("constants/normalization/mean", [0.5], False),
    ],
)
def test_arrays_that_half_precision_has_no_place_for_stay_float32(name, values, fits):
    assert fits_float16(name, np.array(values, np.float32)) == fits


def test_weights_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match="params/a"):
        stored_arrays({"params": {"a": np.array([1, np.nan], np.float32)}}, "float16")


def test_a_file_of_another_model_is_refused_by_the_first_name(variables, like, tmp_path):
    arrays, _ = stored_arrays(variables, "float32")
    name = min(arrays)
    for other in (
        {key: array for key, array in arrays.items() if key != name},
        {**arrays, name: arrays[name][..., None]},
        {**arrays, "a": arrays[name]},
    ):
        write_weights(tmp_path / "other.npz", other)
        with pytest.raises(ValueError, match="not those of the model"):
            read_weights(tmp_path / "other.npz", like)
    write_weights(tmp_path / "other.npz", {**arrays, name: arrays[name].astype(np.int64)})
    with pytest.raises(ValueError, match="int64"):
        read_weights(tmp_path / "other.npz", like)
