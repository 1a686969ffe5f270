"""Every kind of file gives back the values that were written, in the order and layout they have here."""

import dataclasses
import json
import zipfile

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from nucseg_jax.models.initial import abstract_variables
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.load import load_encoder
from nucseg_jax.pretrained.target import flatten

KERAS_FILES = {
    "Keras 2, weights": lambda net, path: net.write_legacy_h5(path, keras=2),
    "Keras 2, weights without top": lambda net, path: net.write_legacy_h5(path, keras=2, top=False),
    "Keras 2, whole model": lambda net, path: net.write_legacy_h5(path, keras=2, whole=True),
    "Keras 3, whole model": lambda net, path: net.write_legacy_h5(path, whole=True),
    "names in several attributes": lambda net, path: net.write_legacy_h5(path, split_names=True),
    ".weights.h5 with counters": lambda net, path: net.write_weights_h5(path),
    ".weights.h5 without top": lambda net, path: net.write_weights_h5(path, top=False),
    ".weights.h5 with names": lambda net, path: net.write_weights_h5(path, named=True),
    ".keras": lambda net, path: net.write_keras(path),
    ".keras, deflated": lambda net, path: net.write_keras(path, compression=zipfile.ZIP_DEFLATED),
    ".npz": lambda net, path: net.write_npz(path),
}


COUNTERS = ".weights.h5 with counters"


@pytest.mark.parametrize(
    ("encoder", "kind", "extent"),
    [
        *((encoder, kind, "whole") for encoder in ("resnet", "efficientnet") for kind in KERAS_FILES),
        ("resnet", COUNTERS, "cut"),
        ("resnet", ".npz", "cut"),
        ("efficientnet", COUNTERS, "cut"),
    ],
)
def test_a_file_of_keras_comes_back_bit_by_bit(request, tmp_path, encoder, kind, extent):
    net = request.getfixturevalue(encoder)
    net = net.cut() if extent == "cut" else net
    # The suffix is none of them: the content decides.
    with (tmp_path / "weights").open("w+b") as file:
        KERAS_FILES[kind](net, file)
    report = convert(net.target, tmp_path / "weights", tmp_path / "out")
    assert report.extent == extent
    loaded = load_encoder(tmp_path / "out", net.target.encoder, net.module(extent))
    assert_equal(flatten(loaded.variables), net.values)
    assert report.values == sum(value.size for value in net.values.values())
    assert {row["ours"]: tuple(row["shape"]) for row in report.mapped} == {
        name: value.shape for name, value in net.values.items()
    }
    assert loaded.report == report


@pytest.mark.parametrize("encoder", ["resnet", "efficientnet"])
def test_what_is_loaded_has_the_structure_that_the_module_makes(request, tmp_path, encoder):
    net = request.getfixturevalue(encoder)
    net.write_npz(tmp_path / "net.npz")
    convert(net.target, tmp_path / "net.npz", tmp_path / "out")
    loaded = load_encoder(tmp_path / "out", net.target.encoder, net.module())
    own = abstract_variables(net.module(), px=64)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), own) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), loaded.variables
    )


def test_a_file_of_timm_comes_back_bit_by_bit(resnet_v1_5, tmp_path):
    resnet_v1_5.write_safetensors(tmp_path / "model.safetensors")
    report = convert(resnet_v1_5.target, tmp_path / "model.safetensors", tmp_path / "out")
    loaded = load_encoder(tmp_path / "out", "resnet50_v1_5", resnet_v1_5.module())
    assert_equal(flatten(loaded.variables), resnet_v1_5.values)
    assert {"fc.weight", "fc.bias", "bn1.num_batches_tracked"} <= set(report.not_used)
    assert "OIHW to HWIO" in report.conversions[0]
    assert "on trust" in report.notes[0]


@pytest.mark.parametrize("library", ["timm", "torchvision"])
@pytest.mark.parametrize("extent", ["whole", "cut"])
def test_a_convnext_of_either_library_comes_back_bit_by_bit(convnext, tmp_path, library, extent):
    net = convnext.cut() if extent == "cut" else convnext
    safetensors.numpy.save_file(net.convnext_state(library), tmp_path / "model.safetensors")
    report = convert(net.target, tmp_path / "model.safetensors", tmp_path / "out")
    assert report.extent == extent
    assert len(report.not_used) == 4
    loaded = load_encoder(tmp_path / "out", "convnext_tiny", net.module(extent))
    assert_equal(flatten(loaded.variables), net.values)
    own = abstract_variables(net.module(extent), px=64)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), own) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), loaded.variables
    )
    if extent == "whole":
        cut = load_encoder(tmp_path / "out", "convnext_tiny", net.module("cut"))
        assert "stages_3 not loaded, since this model does not build it" in cut.summary


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("nest", [None, "state_dict", "model"])
def test_a_file_of_torchvision_comes_back_bit_by_bit(resnet_v1_5, tmp_path, nest, legacy):
    torch = pytest.importorskip("torch")
    state = {name: torch.from_numpy(value.copy()) for name, value in resnet_v1_5.torch_state().items()}
    if nest:
        state = {nest: {f"module.{name}": value for name, value in state.items()}, "epoch": 3}
    torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=not legacy)
    convert(resnet_v1_5.target, tmp_path / "net.pth", tmp_path / "out")
    loaded = load_encoder(tmp_path / "out", "resnet50_v1_5", resnet_v1_5.module())
    assert_equal(flatten(loaded.variables), resnet_v1_5.values)


def test_a_model_that_builds_less_takes_less_and_says_so(resnet, tmp_path):
    resnet.write_npz(tmp_path / "whole.npz")
    convert(resnet.target, tmp_path / "whole.npz", tmp_path / "out")
    loaded = load_encoder(tmp_path / "out", "resnet50", resnet.module("cut"))
    assert_equal(flatten(loaded.variables), resnet.cut().values)
    count = sum(value.size for value in resnet.cut().values.values())
    assert f"resnet50, {count:,} values from whole.npz (Keras, SHA-256" in loaded.summary
    assert "conv5 not loaded, since this model does not build it" in loaded.summary
    assert "decoder and head from scratch" in loaded.summary
    assert "\n" not in loaded.summary


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floating_point_numbers_become_float32(resnet, tmp_path, dtype):
    narrow = {name: value.astype(np.dtype(dtype)) for name, value in resnet.values.items()}
    net = dataclasses.replace(resnet, values=narrow)
    net.write_weights_h5(tmp_path / "a.weights.h5", top=False)
    report = convert(net.target, tmp_path / "a.weights.h5", tmp_path / "out")
    assert report.conversions == (f"{dtype} to float32 ({len(narrow)} arrays)",)
    loaded = flatten(load_encoder(tmp_path / "out", "resnet50", net.module()).variables)
    assert_equal(loaded, {name: value.astype(np.float32) for name, value in narrow.items()})


def test_bfloat16_of_safetensors(resnet_v1_5, tmp_path):
    net = dataclasses.replace(
        resnet_v1_5,
        values={name: value.astype(ml_dtypes.bfloat16) for name, value in resnet_v1_5.values.items()},
    )
    write_bfloat16(net.torch_state(), tmp_path / "a.safetensors")
    convert(net.target, tmp_path / "a.safetensors", tmp_path / "out")
    loaded = flatten(load_encoder(tmp_path / "out", "resnet50_v1_5", net.module()).variables)
    assert_equal(loaded, {name: value.astype(np.float32) for name, value in net.values.items()})


def write_bfloat16(state, path):
    """The format by hand: the library's writer for NumPy does not know the type in every version."""
    header, data = {}, b""
    for name, value in state.items():
        stored = value.tobytes()
        kind = {"bfloat16": "BF16", "float32": "F32", "int64": "I64"}[value.dtype.name]
        header[name] = {
            "dtype": kind,
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(stored)],
        }
        data += stored
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
        assert found[name].dtype == np.float32
