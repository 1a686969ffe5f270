"""The library: `import nucseg_jax as ns`, its models, its metrics, and the page that shows it."""

import dataclasses
import inspect
import itertools
import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nucseg_jax as ns
from configs import quickstart
from nucseg_jax.config.model import ModelConfig
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.scores import METRICS
from nucseg_jax.experiment import read_experiment, read_experiment_file
from nucseg_jax.models.build import DECODERS, ENCODERS
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.target import flatten, target_of
from nucseg_jax.run_folder.folder import RunFolder
from tests.conftest import ROOT

# Tracing their hundreds of layers takes long, and they differ from others in sizes alone.
QUICK = ("resnet50", "resnet50_v1_5", "efficientnet_b0", "convnext_tiny")
PAIRS = [
    pytest.param(
        decoder,
        encoder,
        marks=[] if encoder == "resnet50" or (decoder == "unet" and encoder in QUICK) else pytest.mark.long,
    )
    for decoder, encoder in itertools.product(DECODERS, ENCODERS)
]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A folder of `convert` with a whole ResNet-50 of random values, cut as the paper does; and the values."""
    folder = tmp_path_factory.mktemp("weights")
    target = target_of("resnet50")
    rng = np.random.default_rng(0)
    leaves = {"scale": "gamma", "mean": "moving_mean", "var": "moving_variance"}
    values, keras = {}, {}
    for name, shape in target.shapes["cut"].items():
        layer, leaf = name.split("/")
        value = rng.uniform(0.5, 1.5, shape) if leaf == "var" else rng.normal(scale=0.02, size=shape)
        values[name] = value.astype(np.float32)
        leaf = "beta" if leaf == "bias" and layer.endswith("_bn") else leaves.get(leaf, leaf)
        keras[f"{layer}/{leaf}"] = values[name]
    np.savez(folder / "keras.npz", **keras)
    convert(target, folder / "keras.npz", folder / "resnet50")
    return folder / "resnet50", values


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


# The names.
def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, nucseg_jax; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    child = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60, capture_output=True, text=True
    )
    found = set(json.loads(child.stdout.replace("'", '"')))
    assert not found & {"jax", "jaxlib", "flax", "numpy", "optax", "orbax", "tensorflow_datasets", "scipy"}


@pytest.mark.parametrize("name", ns.__all__)
def test_every_name_is_listed_and_described(name):
    assert name in dir(ns)
    if name != "__version__":
        assert inspect.getdoc(getattr(ns, name))
        assert re.search(rf"\b{name}\b", ns.__doc__), "the map in the package's docstring lacks it"


def test_each_name_alone_imports_no_more_than_it_needs():
    code = "import sys, nucseg_jax as ns; {}; print('tensorflow_datasets' in sys.modules or 'clu' in sys.modules)"
    for use in (
        "ns.create_model, ns.create_encoder",
        "ns.losses, ns.augment",
        "from nucseg_jax import losses",
    ):
        child = subprocess.run(
            [sys.executable, "-c", code.format(use)],
            check=True,
            cwd=ROOT,
            timeout=60,
            capture_output=True,
            text=True,
        )
        assert child.stdout == "False\n", use


def test_type_checkers_see_the_names_that_are_imported_lazily():
    """The imports under TYPE_CHECKING are the very objects of the lazy ones."""
    text = inspect.getsource(ns)
    block = text[text.index("if TYPE_CHECKING:") : text.index("__all__")]
    seen: dict = {}
    exec(inspect.cleandoc(block.partition("\n")[2]), seen)
    assert set(ns.__all__) - {"__version__"} == {name for name in seen if not name.startswith("__")}
    assert all(seen[name] is getattr(ns, name) for name in ns.__all__ if name != "__version__")
    assert (ROOT / "nucseg_jax" / "py.typed").is_file()


def test_an_unknown_name_is_refused_with_the_nearest_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'create_modle'; did you mean create_model"):
        ns.create_modle  # noqa: B018
    with pytest.raises(ImportError):
        from nucseg_jax import nothing_like_it  # noqa: F401


# Models.
@pytest.mark.parametrize(("decoder", "encoder"), PAIRS)
def test_every_decoder_on_every_encoder_gives_logits(decoder, encoder):
    """Their variables are of float32 and fit the module: it can be traced with them."""
    model, variables = ns.create_model(decoder, encoder=encoder, num_classes=3, width=0.125)
    image = jax.ShapeDtypeStruct((2, 64, 96, 3), jnp.uint8)
    logits = jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, image)
    assert (logits.shape, logits.dtype) == ((2, 64, 96, 3), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}


@pytest.mark.parametrize("extent", ["whole", "cut"])
@pytest.mark.parametrize("encoder", QUICK)
def test_every_encoder_gives_the_features_that_it_names(encoder, extent):
    module, variables = ns.create_encoder(encoder, extent=extent, width=0.125)
    image = jax.ShapeDtypeStruct((2, 64, 96, 3), jnp.uint8)
    features = jax.eval_shape(lambda v, x: module.apply(v, x, train=False), variables, image)
    assert tuple(name for name, tap in features._asdict().items() if tap is not None) == module.taps
    stride = 32 if extent == "whole" else 16
    assert features.output.shape[:3] == (2, 64 // stride, 96 // stride)


def test_defaults_are_those_of_the_config():
    config = dataclasses.asdict(ModelConfig())
    for function in (ns.create_model, ns.create_encoder):
        parameters = inspect.signature(function).parameters
        for name, value in config.items():
            if name in parameters and name not in ("output_stride", "decoder"):
                default = parameters[name].default
                assert default in (inspect.Parameter.empty, value), (function.__name__, name)
    assert set(config) <= set(inspect.signature(ns.create_model).parameters), "a field without an argument"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_is_the_one_that_an_experiment_trains(dtype):
    config = quickstart.get_config()
    config.train.seed = 7
    config.train.dtype = dtype
    experiment = read_experiment(config)
    options = {
        **config.model.to_dict(),
        "encoder_depths": list(config.model.encoder_depths),
    }
    model, variables = ns.create_model(**options, seed=7, dtype=dtype)
    assert model == experiment.model
    state = experiment.init_state(experiment.static_arguments(steps_per_epoch=1))
    assert_same(
        {"params": variables["params"], "batch_stats": variables["batch_stats"]},
        {"params": state.params, "batch_stats": state.batch_stats},
    )
    _, others = ns.create_model(**options, seed=8, dtype=dtype)
    kernels = [tree["params"]["head"]["kernel"] for tree in (variables, others)]
    assert not np.array_equal(*kernels)


def test_weights_fill_the_encoder_and_nothing_else(converted):
    folder, values = converted
    model, variables = ns.create_model("unet", weights=folder, seed=3)
    _, scratch = ns.create_model("unet", seed=3)
    assert jax.tree.structure(variables) == jax.tree.structure(scratch)
    encoder = {collection: tree["encoder"] for collection, tree in variables.items()}
    loaded = flatten(encoder)
    assert loaded.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(loaded[name], value, err_msg=name)
    for collection, tree in scratch.items():
        for part in tree.keys() - {"encoder"}:
            assert_same(variables[collection][part], tree[part])
    module, alone = ns.create_encoder("resnet50", weights=str(folder), extent="cut")
    assert_same(alone, encoder)
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)

    @jax.jit
    def both(image):
        in_model = model.apply(variables, image, method=lambda model, x: model.encoder(x, train=False))
        return in_model.output, module.apply(alone, image, train=False).output

    np.testing.assert_array_equal(*both(image))


FAULTS = [
    (dict(decoder="unett"), "decoder is 'unett'; did you mean unet?"),
    (dict(decoder="unet", encoder="resnet5"), "encoder is 'resnet5'; did you mean resnet50"),
    (dict(decoder="unet", output_stride=8), "output_stride is 8\nExpected: 16 with decoder=unet"),
    (dict(decoder="unet", num_classes=0), "num_classes is 0\nExpected: 1 to 255"),
    (dict(decoder="unet", num_classes=2.0), "num_classes is 2.0\nExpected: a whole number"),
    (dict(decoder="unet", width=9, dropout=1), "dropout is 1.0; width is 9.0"),
    (dict(decoder="unet", encoder_depths=(1,)), r"encoder_depths is \(1,\)\nExpected: 3 positive"),
    (dict(decoder="unet", encoder_depths=3), "encoder_depths is 3"),
    (dict(decoder="unet", batch_norm_momentum=1.0), "batch_norm_momentum is 1.0"),
    (dict(decoder="unet", dtype="float16"), "dtype is 'float16'"),
    (dict(decoder="unet", dtype="floaty"), "dtype is 'floaty'"),
    (dict(decoder="unet", seed=-1), "seed is -1"),
    (dict(decoder="unet", weights="no/such/folder"), "no/such/folder is not there"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_errors_name_arguments_and_no_config_field(arguments, message):
    with pytest.raises(ns.UserError, match=message) as caught:
        ns.create_model(**arguments)
    assert not re.search(r"model\.|train\.|pretrained|--config", str(caught.value))
    if "decoder" in message or "dropout" in message or "num_classes" in message:
        return
    with pytest.raises(ns.UserError) as caught:
        ns.create_encoder(
            **{"encoder": "resnet50", "extent": "cut"}
            | {name: value for name, value in arguments.items() if name != "decoder"}
        )
    assert not re.search(r"model\.|train\.|pretrained|--config", str(caught.value))


def test_weights_that_do_not_fit_are_refused_in_words_of_the_arguments(converted):
    folder, _ = converted
    for arguments, message in (
        (dict(decoder="unet", encoder="resnet101"), "holds resnet50.*weights=DIR, or encoder=resnet50"),
        (dict(decoder="unet_five_levels"), "needs more: .*conv5"),
        (dict(decoder="unet", width=0.5), r"set width=1.0 and encoder_depths=\(\), or weights=None"),
    ):
        with pytest.raises(ns.UserError, match=f"(?s){message}") as caught:
            ns.create_model(**arguments, weights=folder)
        assert not re.search(r"model\.|pretrained\.|--config", str(caught.value))
    with pytest.raises(ns.UserError, match="needs more"):
        ns.create_encoder("resnet50", weights=folder)


def test_an_encoders_extent_and_stride_go_together():
    with pytest.raises(ns.UserError, match="extent is 'half'"):
        ns.create_encoder("resnet50", extent="half")
    with pytest.raises(ns.UserError, match=r"(?s)output_stride is 8.*16 with extent='cut'"):
        ns.create_encoder("resnet50", extent="cut", output_stride=8)


def test_real_weights_give_features_that_tell_tissues_apart(shared, tmp_path):
    """In mean features of patches, those of one slide are nearer to each other than to those of other slides."""
    source = shared / "weights" / "resnet50_keras_imagenet_conv1_to_conv4.npz"
    convert(target_of("resnet50"), source, tmp_path / "resnet50")
    encoder, variables = ns.create_encoder("resnet50", weights=tmp_path / "resnet50", extent="cut")
    with np.load(shared / "data" / "monuseg_folds.npz") as file:
        rows = [
            row
            for slide in np.unique(file["slide"])[:6]
            for row in np.flatnonzero(file["slide"] == slide)[:3]
        ]
        image, slide = file["image"][rows][:, :96, :96], file["slide"][rows]
    with np.load(source) as file:
        kernel = file["conv1_conv/kernel"]
    np.testing.assert_array_equal(variables["params"]["conv1_conv"]["kernel"], kernel)
    features = jax.jit(lambda x: encoder.apply(variables, x, train=False).stride8.mean((1, 2)))(image)
    features = np.asarray((features - features.mean(0)) / (features.std(0) + 1e-6))
    distance = np.linalg.norm(features[:, None] - features[None], axis=-1)
    same = slide[:, None] == slide[None]
    assert distance[same & ~np.eye(len(slide), dtype=bool)].mean() < 0.9 * distance[~same].mean()


# Metrics.
def slow_counts(prediction, truth, valid_px, num_classes):
    """[N, K, 4] by a loop over pixels."""
    kinds = [None, *range(1, num_classes)]
    counts = np.zeros((len(truth), len(kinds), 4), int)
    for n, y, x in np.ndindex(truth.shape):
        if not valid_px[n, y, x]:
            continue
        for k, kind in enumerate(kinds):
            p, t = (
                bool(mask[n, y, x]) if kind is None else mask[n, y, x] == kind for mask in (prediction, truth)
            )
            counts[n, k, {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}[p, t]] += 1
    return counts


@pytest.mark.parametrize("num_classes", [1, 2, 4])
def test_counts_equal_a_slow_loop(num_classes):
    rng = np.random.default_rng(num_classes)
    logits = rng.normal(size=(3, 6, 5, num_classes)).astype(np.float32)
    label = rng.integers(0, max(2, num_classes), (3, 6, 5)).astype(np.uint8)
    valid_px = rng.random((3, 6, 5)) < 0.8
    label[~valid_px] = 255
    shares = np.exp(logits.astype(np.float64))
    if num_classes == 1:
        prediction = (logits[..., 0] > 0).astype(int)
    else:
        is_nucleus = shares[..., 1:].sum(-1) > shares[..., 0]
        prediction = np.where(is_nucleus, shares[..., 1:].argmax(-1) + 1, 0)
    expected = slow_counts(prediction, label, valid_px, num_classes)
    of_logits = ns.metrics.count(logits, label, valid_px)
    of_masks = ns.metrics.count_masks(prediction, label, valid_px, num_classes=num_classes)
    for counts in (of_logits, of_masks, ns.metrics.count(jnp.asarray(logits), jnp.asarray(label), valid_px)):
        np.testing.assert_array_equal(counts.counts, expected)
    # Everything is nucleus against background to one class, instance maps and 0/255 masks too.
    as_one = ns.metrics.count_masks(prediction * 7, (label > 0) * np.uint8(255), valid_px)
    np.testing.assert_array_equal(as_one.counts[:, 0], expected[:, 0])


def test_scores_do_not_depend_on_batches_or_their_order():
    rng = np.random.default_rng(0)
    prediction, truth = rng.integers(0, 3, (2, 11, 8, 8))
    truth[4] = 0
    group = rng.integers(0, 3, 11)
    whole = ns.metrics.count_masks(prediction, truth, num_classes=3, group=group)
    parts = [
        ns.metrics.count_masks(prediction[rows], truth[rows], num_classes=3, index=rows, group=group[rows])
        for rows in ([9, 2, 4], [0, 1, 3, 5], [6, 7, 8, 10])
    ]
    merged = ns.metrics.Counts.empty()
    for part in reversed(parts):
        merged = merged.merge(part)
    assert ns.metrics.scores(merged) == ns.metrics.scores(whole)
    assert ns.metrics.scores(whole)["classes"].keys() == {"class 1", "class 2"}
    assert set(ns.metrics.scores(whole)["group"]) == set(METRICS)


def test_the_names_of_a_data_set_are_used_and_must_fit():
    mask = np.arange(16).reshape(1, 4, 4) % 6
    counts = ns.metrics.count_masks(mask, mask, num_classes=6)
    assert ns.metrics.scores(counts, PANNUKE) == counts.scores(PANNUKE)
    assert tuple(ns.metrics.scores(counts, PANNUKE)["classes"]) == PANNUKE.class_names
    three = ns.metrics.count_masks(mask > 0, mask > 0, num_classes=3)
    with pytest.raises(ns.UserError, match=r"(?s)num_classes=3, .*num_classes=1.*or 6") as caught:
        ns.metrics.scores(three, PANNUKE)
    assert "config" not in str(caught.value)


def test_pixels_that_cannot_be_counted_are_refused():
    logits, label = np.zeros((1, 4, 4, 3), np.float32), np.zeros((1, 4, 4), np.uint8)
    for change, message in (
        (dict(label=label + 3), "label has the value 3\nExpected: 0..2"),
        (dict(label=label + 255), r"valid_px=\(label != 255\)"),
        (dict(label=label.astype(float)), "label is float64"),
        (dict(label=label[0]), r"label is uint8 \[4, 4\]"),
        (dict(label=label[:, :2]), r"logits \(1, 4, 4, 3\) and label \(1, 2, 4\)"),
        (dict(valid_px=label), "valid_px is uint8"),
        (dict(index=[0, 1]), r"index has shape \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            ns.metrics.count(**dict(logits=logits, label=label) | change)


def test_metrics_and_losses_of_a_run_are_those_of_its_results(finished_run, command_line):
    """By hand, with a library's functions alone, batch by batch."""
    run = ns.load_run(finished_run)
    experiment = read_experiment_file(RunFolder(finished_run).config)
    data = experiment.plan().read()
    rows = data.rows("test")
    patches = data.patches.take(rows)
    forward = jax.jit(lambda image: run.experiment.model.apply(run.variables, image, train=False))
    counts, losses = ns.metrics.Counts.empty(), []
    for start in range(0, len(rows), 2):
        image, label = patches.image[start : start + 2], patches.label[start : start + 2]
        logits = forward(image)
        losses += np.asarray(ns.losses.soft_dice(logits, label)).tolist()
        index = np.arange(start, start + len(label))
        group = patches.group[start : start + 2]
        counts = counts.merge(ns.metrics.count(logits, label, index=index, group=group))
    published = json.loads((finished_run / "results.json").read_text())["test"]
    found = ns.metrics.scores(counts, run.info)
    assert {*found} == {"micro", "image_zero", "image_skip", "image_one", "batch8", run.info.group_noun}
    for convention, values in found.items():
        # Another program rounds differently, and a pixel at a probability of one half may fall on either side.
        assert values == pytest.approx(published[convention], abs=2e-4), convention
    assert np.mean(losses) == pytest.approx(published["dice_loss"], abs=1e-5)


# The page.
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
PREAMBLE, *EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TITLES = re.findall(r"^## \d+\. (.*)$", PAGE, re.MULTILINE)


def test_the_examples_of_the_page_are_short():
    assert len(EXAMPLES) == len(TITLES) >= 10
    for example in EXAMPLES:
        assert len([line for line in example.splitlines() if line.strip()]) <= 16


@pytest.fixture(scope="module")
def home_of_examples(converted, finished_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    (folder / "weights").mkdir()
    (folder / "runs").mkdir()
    os.symlink(converted[0], folder / "weights" / "resnet50")
    os.symlink(finished_run, folder / "runs" / "first")
    return folder


def test_the_example_of_the_readme_runs(home_of_examples, monkeypatch):
    monkeypatch.chdir(home_of_examples)
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## As a library")[2]
    names: dict = {}
    exec(compile(PREAMBLE, "preamble", "exec"), names)
    exec(compile(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], "README.md", "exec"), names)
    assert names["loss"] > 0
    assert names["nuclei"].shape == (64, 64)
    assert 0 <= names["scores"]["micro"]["accuracy"] <= 1


@pytest.mark.parametrize(("title", "example"), list(zip(TITLES, EXAMPLES, strict=True)))
def test_an_example_of_the_page_runs(title, example, home_of_examples, monkeypatch):
    monkeypatch.chdir(home_of_examples)
    names: dict = {}
    exec(compile(PREAMBLE, "preamble", "exec"), names)
    exec(compile(example, title, "exec"), names)
