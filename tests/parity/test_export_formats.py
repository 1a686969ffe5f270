"""Exports in their own runtimes: each kind of encoder, decoder and head, and the model of this installation, whole."""

import hashlib
import importlib
import json
import pathlib
import re
import zipfile

import jax
import numpy as np
import pytest

from nucseg_jax.cli.main import run as run_command
from nucseg_jax.core.tree import leaf_name
from nucseg_jax.heads.table import HEADS
from nucseg_jax.inference.export_torch import (
    FACTS,
    as_input,
    onnx_runner,
    output_names,
    torch_program,
    torchscript_runner,
    write_onnx,
    write_torchscript,
)
from nucseg_jax.load import load_run
from nucseg_jax.models.build import DECODERS, ENCODERS, build_encoder, build_segmenter, decoders_for
from nucseg_jax.ops.lowering import traced_for
from nucseg_jax.ops.outputs import predicted_channels
from nucseg_jax.torch_models import segmenter as twins
from tests.parity.test_torch_models import random_variables

pytestmark = pytest.mark.parity

TOLERANCE = 1e-4
# The names that the page has.
FILES = {
    "onnx": "first.onnx",
    "torchscript": "first.pt",
    "bioimageio": "first.zip",
    "stablehlo": "first.stablehlo",
}
PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# A network of each family and of each of its variants of layers.
NETWORKS = ("resnet50", "resnet50_v1_5", "efficientnet_b0", "convnext_tiny")
HEAD_NAMES = tuple(HEADS)


def cases():
    """Every decoder on every network at each of its output strides; heads and numbers of classes take turns."""
    found = []
    for encoder in NETWORKS:
        for decoder in decoders_for(encoder):
            for stride in DECODERS[decoder].output_strides:
                turn = len(found)
                found.append((encoder, decoder, stride, HEAD_NAMES[turn % 3], 1 if turn % 2 else 4))
    # Each head with and without classes, whatever the turns gave.
    heads = [("resnet50", "unet", 16, head, classes) for head in HEAD_NAMES for classes in (1, 4)]
    return [*found, *(case for case in heads if case not in found)]


@pytest.fixture(scope="module")
def torch():
    for library in ("torch", "onnx", "onnxruntime"):
        module = pytest.importorskip(
            library, reason=f"{library} is not installed (extra onnx)", exc_type=ImportError
        )
        if library == "torch":
            found = module
    return found


def narrow(encoder, decoder, stride, head, num_classes):
    row = DECODERS[decoder]
    stages = len(build_encoder(encoder, extent=row.extent, output_stride=stride).depths)
    return build_segmenter(
        encoder=encoder,
        decoder=decoder,
        num_classes=num_classes,
        dropout=0.3,
        drop_connect=0.2,
        head=head,
        output_stride=stride,
        width=0.125,
        # A stage of two blocks: its second has no stride and, in EfficientNets, a shortcut.
        encoder_depths=(2, *[1] * (stages - 1)),
    )


def test_every_network_has_a_twin():
    families = {row.family for row in ENCODERS.values()}
    assert {ENCODERS[name].family for name in NETWORKS} == families
    assert {row.module for row in ENCODERS.values()} == set(twins.ENCODERS)
    assert {row.module for row in DECODERS.values()} == set(twins.DECODERS)


@pytest.mark.parametrize(("encoder", "decoder", "stride", "head", "num_classes"), cases())
def test_both_formats_equal_the_package(encoder, decoder, stride, head, num_classes, torch, tmp_path, record):
    """At two sizes that are no squares and two batch sizes, none of them the one that was traced."""
    model = narrow(encoder, decoder, stride, head, num_classes)
    variables = random_variables(model)
    flat = {
        leaf_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }
    program = torch_program(model, flat)
    names = output_names(HEADS[head])
    facts = {"microns_per_px": 0.25}
    write_torchscript(tmp_path / "m.pt", program, stride=stride, facts=facts)
    write_onnx(tmp_path / "m.onnx", program, stride=stride, outputs=names, facts=facts)

    @jax.jit
    def channels(image):
        return predicted_channels(model.apply(variables, image, train=False, method="outputs"))

    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (1, 4 * stride, 2 * stride, 3), np.uint8),
        rng.integers(0, 256, (3, 2 * stride, 5 * stride, 3), np.uint8),
    ]
    worst = 0.0
    for runner in (torchscript_runner(tmp_path / "m.pt"), onnx_runner(tmp_path / "m.onnx")):
        for image in images:
            with traced_for("any"):
                expected = np.asarray(channels(image))
            found = runner(image)
            assert found.shape == expected.shape
            # Something is predicted that differs from pixel to pixel.
            assert expected.std() > 1e-4
            scale = max(1.0, float(np.abs(expected).max()))
            worst = max(worst, float(np.abs(found - expected).max()) / scale)
    assert worst < TOLERANCE
    record(f"{decoder} {encoder} {head}", "ONNX and TorchScript", "outputs", "two sizes", f"{worst:.1e}")


@pytest.fixture(scope="module")
def exported(torch, tmp_path_factory):
    """The model of this installation in every format."""
    folder = tmp_path_factory.mktemp("exported")
    for kind, name in FILES.items():
        more = ["--authors=A. Author,B. Author"] if kind == "bioimageio" else []
        command = ["export", "--model=small", f"--format={kind}", *more, f"--out={folder / name}"]
        assert run_command(command) == 0
    return folder


@pytest.mark.parametrize("name", FILES.values())
def test_beside_an_export_lie_card_digest_and_names(name, exported):
    file = exported / name
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (exported / f"{file.name}.sha256").read_text() == f"{digest}  {file.name}\n"
    card = (exported / f"{file.name}.md").read_text()
    assert digest in card
    assert "CC BY-NC-SA 4.0" in card
    assert "PanNuke's 25 patches, corrupted" in card
    names = json.loads((exported / f"{file.name}.json").read_text())
    assert (names["maps"], names["microns_per_px"]) == (["horizontal", "vertical"], 0.5)
    if name != "first.stablehlo":
        assert names["tensors"] == {"input": "image", "outputs": ["probability", "horizontal", "vertical"]}


def test_the_files_name_their_tensors_and_hold_their_facts(exported, torch):
    onnx = importlib.import_module("onnx")
    model = onnx.load(str(exported / "first.onnx"))
    (image,) = model.graph.input
    assert image.name == "image"
    assert [axis.dim_param or axis.dim_value for axis in image.type.tensor_type.shape.dim] == [
        "n",
        3,
        "h",
        "w",
    ]
    assert [each.name for each in model.graph.output] == ["probability", "horizontal", "vertical"]
    assert json.loads({each.key: each.value for each in model.metadata_props}[FACTS])["microns_per_px"] == 0.5
    extra = {FACTS: ""}
    torch.jit.load(str(exported / "first.pt"), _extra_files=extra)
    assert json.loads(extra[FACTS])["maps"] == ["horizontal", "vertical"]


def test_a_tile_in_onnx_runtime_is_one_of_predict(exported):
    run = load_run("small")
    tile = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    predictor = run.predictor(tile_px=128, batch_size=run.mesh.size)
    expected = np.asarray(predictor.start([tile]))[0]
    found = onnx_runner(exported / "first.onnx")(tile[None])[0]
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_run_and_give_what_predict_gives(example, exported, monkeypatch):
    library = re.search(r"import (\S+)", example).group(1)
    pytest.importorskip(library, reason=f"{library} is not installed (extra parity)", exc_type=ImportError)
    monkeypatch.chdir(exported)
    image = np.random.default_rng(2).integers(0, 256, (2, 64, 96, 3), np.uint8)
    names = {"image": image}
    exec(compile(example, "export.md", "exec"), names)
    found = names["channels"][..., :1].transpose(0, 3, 1, 2) if "channels" in names else names["probability"]
    run = load_run("small")
    model, variables = run.experiment.model, run.variables
    outputs = jax.jit(lambda image: model.apply(variables, image, train=False, method="outputs"))(image)
    expected = np.asarray(predicted_channels(outputs))[..., :1].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(np.asarray(found), expected, atol=TOLERANCE)


def test_every_format_has_an_example():
    assert len(EXAMPLES) == len(FILES)
    assert all(sum(name in example for example in EXAMPLES) == 1 for name in FILES.values())


@pytest.mark.parametrize("weights", ["onnx", "torchscript"])
def test_bioimageio_tests_the_package(weights, exported):
    core = pytest.importorskip(
        "bioimageio.core", reason="bioimageio.core is not installed (extra parity)", exc_type=ImportError
    )
    summary = core.test_model(exported / "first.zip", weights_format=weights)
    errors = [error.msg for detail in summary.details for error in detail.errors]
    assert (summary.status, errors) == ("passed", [])


def test_a_package_of_other_weights_does_not_pass(exported, tmp_path):
    """The test image's outputs are those of these weights alone."""
    with zipfile.ZipFile(exported / "first.zip") as archive:
        probability = np.load(archive.open("test_probability.npy"), allow_pickle=False)
        image = np.load(archive.open("test_image.npy"), allow_pickle=False)
        (tmp_path / "weights.onnx").write_bytes(archive.read("weights.onnx"))
    tile = image.transpose(0, 2, 3, 1).astype(np.uint8)
    np.testing.assert_array_equal(as_input(tile), image)
    found = onnx_runner(tmp_path / "weights.onnx")
    np.testing.assert_allclose(found(tile)[..., :1].transpose(0, 3, 1, 2), probability, atol=TOLERANCE)
    assert np.abs(found(255 - tile)[..., :1].transpose(0, 3, 1, 2) - probability).max() > TOLERANCE
