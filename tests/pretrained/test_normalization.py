import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.load import load_encoder
from nucseg_jax.pretrained.normalization import true_variance

DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
OTHER = np.array([0.05, 0.06, 0.07], np.float32)


def config(*rescalings, before=1 / 255, offset=0.0):
    layers = [
        ("Rescaling", {"scale": before, "offset": offset}),
        ("Normalization", {}),
        *(("Rescaling", {"scale": scale, "offset": 0.0}) for scale in rescalings),
    ]
    return {"config": {"layers": [{"class_name": name, "config": values} for name, values in layers]}}


def as_keras_computes(x, mean, stored, scale=1.0):
    return (x - mean) / np.sqrt(stored) * scale


@pytest.mark.parametrize("stored", [DEVIATION, OTHER])
def test_a_rescaling_behind_joins_the_variance(stored):
    scale = 1 / np.sqrt(DEVIATION.astype(np.float64))
    variance, done = true_variance(stored, config(list(scale)))
    x, mean = np.linspace(0, 1, 3), np.array([0.485, 0.456, 0.406])
    np.testing.assert_allclose(
        (x - mean) / np.sqrt(variance), as_keras_computes(x, mean, stored, scale), rtol=1e-6
    )
    assert "Rescaling" in done


def test_a_deviation_without_a_configuration_is_squared_and_a_variance_is_left():
    variance, done = true_variance(DEVIATION, None)
    np.testing.assert_allclose(variance, np.square(DEVIATION), rtol=1e-6)
    assert "squared" in done
    for untouched in (OTHER, np.square(DEVIATION), np.ones(3, np.float32)):
        variance, done = true_variance(untouched, None)
        np.testing.assert_array_equal(variance, untouched)
        assert done == ""


def test_a_model_without_rescaling_is_taken_at_its_word():
    variance, done = true_variance(DEVIATION, config())
    np.testing.assert_array_equal(variance, DEVIATION)
    assert "taken as it is" in done
    assert true_variance(OTHER, config())[1] == ""


@pytest.mark.parametrize(
    "other",
    [
        config(before=1 / 127.5),
        config(offset=-1.0),
        config([1, 2, 3], [1, 2, 3]),
        config([1, 2]),
        {},
        {"config": {"layers": []}},
    ],
)
def test_another_treatment_of_the_input_is_refused(other):
    with pytest.raises(UserError, match=r"(?s)its own way.*Expected.*What to do"):
        true_variance(OTHER, other)


@pytest.mark.parametrize("scale", [None, [2.0, 2.0, 4.0]])
def test_the_constants_of_a_file_are_those_of_the_encoder(efficientnet, tmp_path, scale):
    efficientnet.write_keras(tmp_path / "net.keras", rescale_behind=scale)
    report = convert(efficientnet.target, tmp_path / "net.keras", tmp_path / "out")
    constants = load_encoder(tmp_path / "out", "efficientnet_b4", efficientnet.module()).variables[
        "constants"
    ]
    wanted = efficientnet.values["normalization/variance"] / np.square(scale or [1, 1, 1])
    np.testing.assert_allclose(constants["normalization"]["variance"], wanted, rtol=1e-6)
    np.testing.assert_allclose(report.preprocessing.standard_deviation, np.sqrt(wanted), rtol=1e-6)
    np.testing.assert_allclose(report.preprocessing.mean, [0.4, 0.5, 0.6], rtol=1e-6)


def test_without_the_layer_imagenets_numbers_stay_and_the_report_says_so(efficientnet, tmp_path):
    bare = efficientnet.changed(
        normalization__mean=None, normalization__variance=None, normalization__count=None
    )
    bare.write_npz(tmp_path / "net.npz")
    report = convert(bare.target, tmp_path / "net.npz", tmp_path / "out")
    constants = load_encoder(tmp_path / "out", "efficientnet_b4", bare.module()).variables["constants"]
    np.testing.assert_allclose(constants["normalization"]["variance"], np.square(DEVIATION), rtol=1e-6)
    assert "no Normalization layer" in report.notes[0]
    efficientnet.changed(normalization__count=None).write_npz(tmp_path / "half.npz")
    with pytest.raises(UserError, match=r"Missing \(1\): normalization/count"):
        convert(efficientnet.target, tmp_path / "half.npz", tmp_path / "half")
