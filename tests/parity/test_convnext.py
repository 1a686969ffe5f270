"""ConvNeXt against timm and torchvision: taps, dilation, stochastic depth, and files as the libraries save them."""

import functools
import math

import jax
import numpy as np
import pytest

from nucseg_jax.core.tree import leaf_name
from nucseg_jax.models.build import ENCODERS, build_encoder
from nucseg_jax.models.initial import abstract_variables
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.load import load_encoder
from nucseg_jax.pretrained.target import target_of
from tests.parity.conftest import reference
from tests.parity.difference import relative_differences
from tests.parity.frozen import frozen_images, uniform

TOLERANCE = 1e-4
NAMES = [name for name, row in ENCODERS.items() if row.family == "convnext"]
# N, H, W; strides round the odd sizes down.
SIZES = [(2, 128, 128), (1, 131, 197)]

pytestmark = pytest.mark.parity


@pytest.fixture(scope="session")
def networks():
    return reference("convnext_networks", "torch", "torchvision", "timm")


def frozen_params(encoder):
    """Random in every leaf. Layer scales are of order one, where training starts from 1e-6: a block counts."""

    def fill(path, leaf):
        name = leaf_name(path)
        kind = name.rsplit("/", 1)[1]
        if kind == "kernel":
            limit = math.sqrt(3.0 / math.prod(leaf.shape[:3]))
            return uniform(name, leaf.shape, -limit, limit)
        low, high = {"scale": (0.5, 1.5), "bias": (-0.3, 0.3), "gamma": (0.1, 0.5)}[kind]
        return uniform(name, leaf.shape, low, high)

    return jax.tree_util.tree_map_with_path(fill, abstract_variables(encoder, px=64)["params"])


@functools.partial(jax.jit, static_argnames="encoder")
def forward(encoder, params, image):
    return encoder.apply({"params": params}, image, train=False)


def our_taps(encoder, params, image):
    pyramid = jax.device_get(forward(encoder, params, image))
    assert pyramid.stride2 is None
    np.testing.assert_array_equal(pyramid.stride4, pyramid.stride4_low_level)
    taps = {"stride4": pyramid.stride4, "stride8": pyramid.stride8, "output": pyramid.output}
    return taps if pyramid.stride16 is None else {**taps, "stride16": pyramid.stride16}


def held(encoder, params, library, networks, model, size):
    """The largest difference over taps, which is below the tolerance."""
    image = frozen_images(*size)
    networks.load(library, model, params)
    ours, theirs = our_taps(encoder, params, image), networks.observe(library, model, image)
    # At output stride 8 timm's third stage has no stride of 16.
    theirs = {name: theirs[name] for name in ours}
    differences = relative_differences(ours, theirs)
    assert max(differences.values()) < TOLERANCE, differences
    return f"{max(differences.values()):.1e}"


def shape_of(size):
    return "{} x {}x{}".format(*size)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_taps_are_theirs(name, size, library, networks, torch_networks, record):
    encoder = build_encoder(name, extent="whole")
    model = networks.published(library, name)
    worst = held(encoder, frozen_params(encoder), library, networks, model, size)
    record(name, torch_networks.version(library), "inference", shape_of(size), worst)


@pytest.mark.parametrize("output_stride", [16, 8])
def test_dilated_stages_are_timms(output_stride, networks, torch_networks, record):
    encoder = build_encoder("convnext_tiny", extent="whole", output_stride=output_stride)
    model = networks.timm_convnext(encoder.variant, output_stride=output_stride)
    size = (2, 128, 128)
    worst = held(encoder, frozen_params(encoder), "timm", networks, model, size)
    mode = f"inference, output stride {output_stride}"
    record("convnext_tiny", torch_networks.version("timm"), mode, shape_of(size), worst)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_stochastic_depth_rises_as_theirs(library, networks):
    encoder = build_encoder("convnext_tiny", extent="whole", drop_connect=0.3)
    model = networks.LIBRARIES[library](encoder.variant, drop_connect=0.3)
    ours = [encoder.drop_rate(block) for block in range(sum(encoder.depths))]
    np.testing.assert_allclose(ours, networks.drop_rates(library, model), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("library", "suffix"), [("torchvision", ".pth"), ("timm", ".safetensors")])
def test_a_model_that_the_library_saved_agrees_at_every_tap(
    library, suffix, networks, torch_networks, record, tmp_path
):
    model = networks.published(library, "convnext_tiny")
    with networks.torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith(("gamma", "layer_scale")):
                value.uniform_(0.1, 0.5)
            elif value.ndim == 1:
                value.add_(networks.torch.randn_like(value), alpha=0.1)
    file = tmp_path / f"model{suffix}"
    if suffix == ".pth":
        networks.torch.save(model.state_dict(), file)
    else:
        from safetensors.torch import save_file

        save_file(model.state_dict(), file)
    report = convert(target_of("convnext_tiny"), file, tmp_path / "converted")
    assert len(report.not_used) == 4
    encoder = build_encoder("convnext_tiny", extent="whole")
    params = load_encoder(tmp_path / "converted", "convnext_tiny", encoder).variables["params"]
    image = frozen_images(2, 128, 128)
    theirs = networks.observe(library, model, image)
    differences = relative_differences(our_taps(encoder, params, image), theirs)
    assert max(differences.values()) < TOLERANCE, differences
    record(
        f"convnext_tiny, {suffix}",
        torch_networks.version(library),
        "inference",
        "2 x 128x128",
        f"{max(differences.values()):.1e}",
    )
