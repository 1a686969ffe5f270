"""Files that must not be taken: each gives one clear error and leaves nothing behind."""

import dataclasses
import io
import json
import os
import pathlib
import pickle
import re
import zipfile

import h5py
import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.pretrained import keras_archive
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.hints import hint, other_encoder
from nucseg_jax.pretrained.match import compare
from nucseg_jax.pretrained.stored_array import StoredArray, WeightsFile
from nucseg_jax.pretrained.target import target_of


def refused(net, source, pattern):
    """Converts, and returns the message of the one error; nothing may be written."""
    folder = source.parent
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=f"(?s){pattern}") as caught:
        convert(net.target, source, folder / "out")
    assert sorted(folder.rglob("*")) == before
    message = str(caught.value)
    assert "Expected: " in message
    assert "Traceback" not in message
    assert not re.search(r"\.\.$", message, re.MULTILINE)
    return message


WRITERS = {
    "legacy": lambda net, path: net.write_legacy_h5(path),
    "counters": lambda net, path: net.write_weights_h5(path),
    "keras": lambda net, path: net.write_keras(path),
    "npz": lambda net, path: net.write_npz(path),
}


def written(net, kind, path):
    with path.open("w+b") as file:
        WRITERS[kind](net, file)
    return path.read_bytes()


@pytest.mark.parametrize("kind", WRITERS)
def test_a_truncated_file_is_refused_wherever_it_ends(resnet, tmp_path, kind):
    path = tmp_path / "weights"
    content = written(resnet, kind, path)
    for size in (0, 1, 8, 20, 1000, len(content) // 3, len(content) * 9 // 10, len(content) - 1):
        path.write_bytes(content[:size])
        refused(resnet, path, "cut short|no file of weights")


def test_a_truncated_file_of_timm_is_refused_wherever_it_ends(resnet_v1_5, tmp_path):
    path = tmp_path / "model.safetensors"
    resnet_v1_5.write_safetensors(path)
    content = path.read_bytes()
    for size in (0, 1, 8, 20, 1000, len(content) // 3, len(content) - 1):
        path.write_bytes(content[:size])
        refused(resnet_v1_5, path, "cut short|no file of weights")


@pytest.mark.parametrize("kind", ["keras", "npz"])
def test_a_changed_byte_in_a_zip_is_found_by_its_checksum(resnet, tmp_path, kind):
    path = tmp_path / "weights"
    content = bytearray(written(resnet, kind, path))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(resnet, path, "damaged or cut short.*CRC")


@pytest.mark.parametrize("content", [b"", b"import os\n", b"\x00" * 300, b"GIF89a", b"{}"])
def test_what_is_no_file_of_weights_is_refused(resnet, tmp_path, content):
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    message = refused(resnet, path, "no file of weights of a known kind")
    assert ".safetensors" in message


def test_a_folder_and_nothing_are_refused(resnet, tmp_path):
    (tmp_path / "saved_model").mkdir()
    assert "model.save('NAME.keras')" in refused(resnet, tmp_path / "saved_model", "is a folder")
    refused(resnet, tmp_path / "nowhere.h5", "is not there")


def test_a_file_of_another_program_is_refused(resnet, tmp_path):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file["cells"] = np.arange(3)
    refused(resnet, tmp_path / "cells.h5", "not one that Keras wrote.*cells")
    with zipfile.ZipFile(tmp_path / "book.zip", "w") as archive:
        archive.writestr("page", "text")
    refused(resnet, tmp_path / "book.zip", "no file of weights")


class RunsCode:
    """Unpickled, it makes a file."""

    def __init__(self, proof: pathlib.Path):
        self.proof = proof

    def __reduce__(self):
        return pathlib.Path.touch, (self.proof,)


def test_a_pickle_in_an_npz_never_runs(resnet, tmp_path, tmp_path_factory):
    proof = tmp_path_factory.mktemp("proof") / "ran"
    resnet.write_npz(tmp_path / "good.npz")
    arrays = dict(np.load(tmp_path / "good.npz"))
    arrays["conv1_conv/kernel"] = np.array([RunsCode(proof)], object)
    np.savez(tmp_path / "evil.npz", **arrays)
    message = refused(resnet, tmp_path / "evil.npz", "conv1_conv/kernel.*Python objects.*It was not loaded")
    assert "What to do" in message
    assert not proof.exists()
    np.load(tmp_path / "evil.npz", allow_pickle=True)["conv1_conv/kernel"]
    assert proof.exists()  # It was armed.


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_of_pytorch_never_runs(resnet_v1_5, tmp_path, tmp_path_factory, zipped):
    """Whether PyTorch is installed, and its loader refuses, or not."""
    proof = tmp_path_factory.mktemp("proof") / "ran"
    program = pickle.dumps({"conv1.weight": RunsCode(proof)}, protocol=2)
    path = tmp_path / "net.pth"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("net/data.pkl", program)
            archive.writestr("net/version", "3\n")
            archive.writestr("net/byteorder", "little")
    else:
        path.write_bytes(program)
    message = refused(resnet_v1_5, path, "net.pth")
    assert "not loaded" in message or "PyTorch, which alone reads such files safely" in message
    assert not proof.exists()
    pickle.loads(program)
    assert proof.exists()  # It was armed.


def test_a_module_or_a_program_of_pytorch_is_refused(resnet_v1_5, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    assert "state_dict()" in refused(resnet_v1_5, tmp_path / "module.pth", "needs code.*not loaded.*Linear")
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "script.pt")
    refused(resnet_v1_5, tmp_path / "script.pt", "TorchScript")
    torch.save({"optimizer": {"lr": 0.1}}, tmp_path / "other.pth")
    refused(resnet_v1_5, tmp_path / "other.pth", "no state dict, but a dict with 'optimizer'")
    torch.save([1, 2], tmp_path / "list.pth")
    refused(resnet_v1_5, tmp_path / "list.pth", "no state dict, but a list")


def test_without_pytorch_its_files_are_refused_with_advice(resnet_v1_5, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "net.pth").write_bytes(pickle.dumps({}, protocol=2))
    message = refused(resnet_v1_5, tmp_path / "net.pth", "not installed")
    assert "pip install torch" in message
    assert ".safetensors" in message


def test_all_that_is_wrong_is_named_at_once(resnet, tmp_path):
    """Renamed, missing, and of another shape."""
    wrong = resnet.changed(conv1_conv__kernel=np.zeros((3, 3, 3, 8), np.float32))
    wrong.write_npz(tmp_path / "good.npz")
    arrays = dict(np.load(tmp_path / "good.npz"))
    arrays["conv1_norm/gamma"] = arrays.pop("conv1_bn/gamma")
    del arrays["conv2_block1_1_conv/bias"]
    np.savez(tmp_path / "wrong.npz", **arrays)
    message = refused(resnet, tmp_path / "wrong.npz", "is not resnet50")
    assert "Missing (2): conv1_bn/scale, conv2_block1_1_conv/bias." in message
    assert "Not part of it (1): conv1_norm/gamma.npy." in message
    assert "Of another shape (1): conv1_conv/kernel (3, 3, 3, 8) instead of (7, 7, 3, 8)." in message


def test_a_long_list_ends_in_a_number(resnet, tmp_path):
    np.savez(tmp_path / "one.npz", **{"conv1_conv/kernel": np.zeros((7, 7, 3, 8), np.float32)})
    message = refused(resnet, tmp_path / "one.npz", "Missing")
    assert "conv1_bn/{bias,mean,scale,var}" in message
    assert re.search(r", and \d+ more\.", message)
    assert len(message) < 2000


def test_transposed_kernels_are_recognised(resnet, tmp_path):
    values = {
        name: np.ascontiguousarray(value.transpose(3, 2, 0, 1)) if value.ndim == 4 else value
        for name, value in resnet.values.items()
    }
    dataclasses.replace(resnet, values=values).write_npz(tmp_path / "t.npz")
    assert "look transposed" in refused(resnet, tmp_path / "t.npz", "Of another shape")


def abstract_file(encoder, prefix="", **extra):
    """A file with the names and shapes of a published encoder whose arrays must never be read."""

    def never():
        raise AssertionError("an array was read")

    theirs = {"scale": "gamma", "mean": "moving_mean", "var": "moving_variance"}
    arrays = {}
    for name, shape in (target_of(encoder).shapes["whole"] | extra).items():
        layer, leaf = name.split("/")
        if layer.endswith("_bn"):
            leaf = "beta" if leaf == "bias" else theirs.get(leaf, leaf)
        shape = (*shape[:2], shape[3], shape[2]) if layer.endswith("_dwconv") else shape
        key = f"{prefix}{layer}/{leaf}"
        arrays[key] = StoredArray(key, shape, "float32", never)
    return WeightsFile("test", arrays)


@pytest.mark.parametrize(
    ("file", "asked", "expected"),
    [
        ("resnet101", "resnet50", "--encoder=resnet101"),
        ("efficientnet_b0", "efficientnet_b4", "--encoder=efficientnet_b0"),
        ("resnet50", "efficientnet_b4", "--encoder=resnet50"),
    ],
)
def test_another_encoder_of_the_table_is_recognised(file, asked, expected):
    file, target = abstract_file(file), target_of(asked)
    match = compare(file, target)
    assert not match.is_exact
    assert expected in hint(file, match, target)


def test_keras_archives_of_another_kind_are_not_called_damaged(resnet, tmp_path):
    resnet.write_keras(tmp_path / "net.keras")

    def rewritten(change):
        with zipfile.ZipFile(tmp_path / "net.keras") as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        change(content)
        with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
            for name, value in content.items():
                archive.writestr(name, value)
        return tmp_path / "other.keras"

    def subclassed(content):
        content["config.json"] = json.dumps({"class_name": "MyModel", "config": {}}).encode()

    def early(content):
        weights = io.BytesIO(content["model.weights.h5"])
        with h5py.File(weights, "a") as file:
            file.move("layers", "_layer_checkpoint_dependencies")
        content["model.weights.h5"] = weights.getvalue()

    assert "damaged" not in refused(resnet, rewritten(subclassed), "MyModel that does not list its layers")
    assert "save it again" in refused(resnet, rewritten(early), "_layer_checkpoint_dependencies")


def test_larger_models_are_recognised():
    target = target_of("resnet50")
    inside = abstract_file("resnet50", prefix="resnet50/")
    assert "encoder inside" in hint(inside, compare(inside, target), target)
    longer = abstract_file("resnet50", **{"decoder/kernel": (3, 3, 8, 8)})
    assert "begins with the encoder" in hint(longer, compare(longer, target), target)


def test_the_two_resnets_do_not_take_each_others_weights(resnet, resnet_v1_5, tmp_path):
    resnet_v1_5.write_safetensors(tmp_path / "torch.safetensors")
    message = refused(resnet, tmp_path / "torch.safetensors", "PyTorch's names")
    for word in ("stride", "bias", "padding", "--encoder=resnet50_v1_5"):
        assert word in message
    resnet.write_keras(tmp_path / "net.keras")
    assert "--encoder=resnet50 " in refused(resnet_v1_5, tmp_path / "net.keras", "Keras's names")


def test_a_convnext_of_keras_is_refused_without_talk_of_resnets(convnext, resnet, tmp_path):
    resnet.write_npz(tmp_path / "net.npz")
    message = refused(convnext, tmp_path / "net.npz", "Keras's names.*built as PyTorch builds it")
    assert "ResNet" not in message
    assert "take another file" in message


def test_a_file_of_another_frameworks_encoder_is_named(resnet):
    """At its published size, by its names and shapes alone."""
    shapes = target_of("convnext_tiny").shapes["whole"]
    names = {"kernel": "weight", "scale": "weight", "bias": "bias", "gamma": ""}
    arrays = {}
    for name, shape in shapes.items():
        layer, leaf = name.split("/")
        theirs = re.sub(r"^stages_(\d)_(blocks|downsample)_(\d+)_?", r"stages.\1.\2.\3.", layer).replace(
            "mlp_", "mlp."
        )
        theirs = theirs.replace("stem_", "stem.").removesuffix(".")
        theirs = theirs.replace("layer_scale", "gamma") if leaf == "gamma" else f"{theirs}.{names[leaf]}"
        shape = (shape[3], shape[2], *shape[:2]) if leaf == "kernel" else shape
        arrays[theirs] = StoredArray(theirs, shape, "float32", lambda: np.zeros(1))
    file = WeightsFile("test", arrays)
    assert compare(file, target_of("convnext_tiny")).is_exact
    assert other_encoder(file, resnet.target) == "convnext_tiny"
    assert other_encoder(file, target_of("convnext_base")) == "convnext_tiny"


def test_an_efficientnet_of_timm_is_refused_since_it_does_not_say_how_it_pads(efficientnet, tmp_path):
    from safetensors.numpy import save_file

    save_file({"conv_stem.weight": np.zeros((8, 3, 3, 3), np.float32)}, tmp_path / "model.safetensors")
    assert "--source=download" in refused(efficientnet, tmp_path / "model.safetensors", "pad differently")


@pytest.mark.parametrize(
    ("config", "pattern"),
    [
        ({"architecture": "resnetblur50"}, "timm's resnetblur50"),
        ({"architecture": "resnet50", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}, "mean .0.5, 0.5, 0.5"),
    ],
)
def test_the_config_beside_a_file_of_timm_is_believed(resnet_v1_5, tmp_path, config, pattern):
    resnet_v1_5.write_safetensors(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    refused(resnet_v1_5, tmp_path / "model.safetensors", pattern)
    good = {"architecture": "tv_resnet50", "pretrained_cfg": {"mean": [0.485, 0.456, 0.406]}}
    (tmp_path / "config.json").write_text(json.dumps(good))
    assert convert(resnet_v1_5.target, tmp_path / "model.safetensors", tmp_path / "out").notes == ()


@pytest.mark.parametrize(
    ("name", "value", "pattern"),
    [
        ("conv1_conv__kernel", np.nan, "NaN or infinite: conv1_conv/kernel"),
        ("conv1_bn__mean", np.inf, "NaN or infinite: conv1_bn/mean"),
        ("conv1_bn__var", -1e-6, "negative variance: conv1_bn/var"),
    ],
)
def test_values_that_no_network_has_are_refused(resnet, tmp_path, name, value, pattern):
    array = resnet.values[name.replace("__", "/")].copy()
    array.flat[-1] = value
    resnet.changed(**{name: array}).write_weights_h5(tmp_path / "net.weights.h5")
    refused(resnet, tmp_path / "net.weights.h5", pattern)


def test_numbers_too_large_for_float32_and_integers_are_refused_together(resnet, tmp_path):
    shape = resnet.values["conv1_bn/scale"].shape
    wrong = resnet.changed(conv1_bn__scale=np.full(shape, 1e300), conv1_bn__bias=np.zeros(shape, np.int64))
    wrong.write_npz(tmp_path / "net.npz")
    message = refused(resnet, tmp_path / "net.npz", "no trained network")
    assert "conv1_bn/scale" in message
    assert "conv1_bn/bias (int64)" in message


def test_a_variance_of_zero_is_that_of_a_channel_that_never_fires(resnet, efficientnet, tmp_path):
    variance = resnet.values["conv1_bn/var"].copy()
    variance[0] = 0
    resnet.changed(conv1_bn__var=variance).write_npz(tmp_path / "net.npz")
    convert(resnet.target, tmp_path / "net.npz", tmp_path / "out")
    zero = efficientnet.changed(normalization__variance=np.zeros(3, np.float32))
    zero.write_npz(tmp_path / "zero.npz")
    with pytest.raises(UserError, match="not positive: normalization/variance"):
        convert(zero.target, tmp_path / "zero.npz", tmp_path / "other")


def test_a_file_that_claims_a_terabyte_is_refused_without_reading_it(resnet, tmp_path):
    resnet.write_legacy_h5(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "a") as file:
        del file["conv1_conv/conv1_conv/kernel"]
        file["conv1_conv/conv1_conv"].create_dataset("kernel", (10**6, 250_000), "f4", chunks=(1000, 1000))
    refused(resnet, tmp_path / "net.h5", r"conv1_conv/kernel \(1000000, 250000\) instead of \(7, 7, 3, 8\)")


def test_an_archive_that_unpacks_to_too_much_is_refused(resnet, tmp_path, monkeypatch):
    monkeypatch.setitem(keras_archive._MOST_BYTES, keras_archive.WEIGHTS, 1000)
    resnet.write_keras(tmp_path / "net.keras", compression=zipfile.ZIP_DEFLATED)
    refused(resnet, tmp_path / "net.keras", "bytes unpacked")


def external_link(file):
    file["conv1_conv/conv1_conv/kernel"] = h5py.ExternalLink("/etc/passwd", "/x")


def external_link_on_the_way(file):
    del file["conv1_conv/conv1_conv"]
    file["conv1_conv/conv1_conv"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file):
    file["conv1_conv/conv1_conv/kernel"] = h5py.SoftLink("/conv1_conv/conv1_conv/bias")


def external_storage(file):
    shape = (7, 7, 3, 8)
    external = [("/etc/passwd", 0, int(np.prod(shape)) * 4)]
    file["conv1_conv/conv1_conv"].create_dataset("kernel", shape, "f4", external=external)


def virtual(file):
    layout = h5py.VirtualLayout((7, 7, 3, 8), "f4")
    file["conv1_conv/conv1_conv"].create_virtual_dataset("kernel", layout)


@pytest.mark.parametrize(
    "point", [external_link, external_link_on_the_way, soft_link, external_storage, virtual]
)
def test_an_hdf5_file_may_not_point_elsewhere(resnet, tmp_path, point):
    resnet.write_legacy_h5(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "a") as file:
        del file["conv1_conv/conv1_conv/kernel"]
        point(file)
    refused(resnet, tmp_path / "net.h5", "holds all its values itself")


def test_groups_linked_into_a_ring_end(resnet, tmp_path):
    resnet.write_weights_h5(tmp_path / "net.weights.h5")
    with h5py.File(tmp_path / "net.weights.h5", "a") as file:
        file["layers/conv2d/again"] = file["layers"]
    refused(resnet, tmp_path / "net.weights.h5", "damaged")


def test_a_layer_named_twice_is_refused(resnet, tmp_path):
    resnet.write_legacy_h5(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "a") as file:
        names = file.attrs["layer_names"]
        file.attrs["layer_names"] = np.concatenate([names, names[-1:]])
    refused(resnet, tmp_path / "net.h5", "stands for two arrays")


def test_a_keras_file_with_a_broken_configuration_is_refused(resnet, tmp_path):
    weights = io.BytesIO()
    resnet.write_weights_h5(weights)
    for config in ("{", "{}", "[]", '{"config": {"layers": [{}]}}'):
        with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
            archive.writestr("config.json", config)
            archive.writestr("model.weights.h5", weights.getvalue())
        refused(resnet, tmp_path / "net.keras", "damaged")


def test_a_file_that_may_not_be_read_is_named(resnet, tmp_path):
    if os.getuid() == 0:
        pytest.skip("root may read every file")
    resnet.write_npz(tmp_path / "net.npz")
    (tmp_path / "net.npz").chmod(0)
    refused(resnet, tmp_path / "net.npz", "cannot be read: Permission denied")
