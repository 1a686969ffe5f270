"""Files as the libraries themselves save them: converted, loaded, run beside the model that was saved."""

import jax
import numpy as np
import pytest

from nucseg_jax.models.build import build_encoder
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.load import load_encoder
from nucseg_jax.pretrained.target import target_of
from tests.parity.difference import relative_differences
from tests.parity.frozen import frozen_images
from tests.parity.observation import observe_ours

TOLERANCE = 1e-4
SIZE = (2, 128, 128)

pytestmark = pytest.mark.parity


def loaded_from(file, encoder_name, folder):
    """Encoder and variables by way of a checkpoint."""
    convert(target_of(encoder_name), file, folder / "converted")
    encoder = build_encoder(encoder_name, extent="whole")
    return encoder, load_encoder(folder / "converted", encoder_name, encoder).variables


def scramble_statistics(model, keras):
    """Moving statistics as a trained network might have them; a new network has zeros and ones."""
    rng = np.random.RandomState(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    rng.uniform(0.8, 1.2, gamma.shape),
                    rng.normal(0, 0.1, beta.shape),
                    rng.normal(0, 0.1, mean.shape),
                    rng.uniform(0.5, 1.5, variance.shape),
                ]
            )


@pytest.mark.parametrize("include_top", [False, True])
@pytest.mark.parametrize("suffix", [".h5", ".keras", ".weights.h5"])
@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b4"])
def test_a_model_that_keras_saved_agrees_at_every_tap(
    name, suffix, include_top, keras_networks, record, tmp_path
):
    """With weights=None, as anybody has it; the layers' own initial values and other moving statistics."""
    keras = keras_networks.keras
    shape = {} if include_top else {"input_shape": (*SIZE[1:], 3)}
    model = keras_networks.APPLICATIONS[name](weights=None, include_top=include_top, **shape)
    scramble_statistics(model, keras)
    file = tmp_path / f"model{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(file)

    encoder, variables = loaded_from(file, name, tmp_path)
    H, W = SIZE[1:] if not include_top else model.input_shape[1:3]
    image = frozen_images(1, H, W)
    taps = keras_networks.tap_layers(encoder)
    outputs = {layer: model.get_layer(layer).output for layer in taps.values()}
    results = keras.Model(model.input, outputs)(keras_networks.preprocess(encoder, image), training=False)
    theirs = {field: np.asarray(results[layer]) for field, layer in taps.items()}
    differences = relative_differences(observe_ours(encoder, variables, image, train=False).taps, theirs)
    assert max(differences.values()) < TOLERANCE, differences
    kind = f"{suffix} {'with' if include_top else 'without'} top"
    record(
        f"{name}, {kind}",
        keras_networks.VERSION,
        "inference",
        f"1 x {H}x{W}",
        f"{max(differences.values()):.1e}",
    )


@pytest.mark.parametrize(("library", "suffix"), [("torchvision", ".pth"), ("timm", ".safetensors")])
def test_a_model_that_pytorch_saved_agrees_at_every_tap(library, suffix, torch_networks, record, tmp_path):
    pytest.importorskip(library, reason=f"{library} is not installed", exc_type=ImportError)
    torch = torch_networks.torch
    model = torch_networks.LIBRARIES[library]()
    with torch.no_grad():
        # One training pass moves the statistics off zero and one.
        model.train()(torch_networks.preprocess(frozen_images(*SIZE)))
    file = tmp_path / f"model{suffix}"
    if suffix == ".pth":
        torch.save(model.state_dict(), file)
    else:
        from safetensors.torch import save_file

        save_file(model.state_dict(), file)

    encoder, variables = loaded_from(file, "resnet50_v1_5", tmp_path)
    image = frozen_images(*SIZE)
    # The library's model with the variables put back through the tests' own naming: equal only if both are right.
    theirs = torch_networks.observe(library, jax.device_get(variables), image, train=False)
    restored = torch_networks.LIBRARIES[library]()
    torch_networks.load(restored, variables)
    for key, value in model.state_dict().items():
        if not key.startswith("fc.") and "num_batches_tracked" not in key:
            assert torch.equal(restored.state_dict()[key], value), key
    differences = relative_differences(observe_ours(encoder, variables, image, train=False).taps, theirs.taps)
    assert max(differences.values()) < TOLERANCE, differences
    record(
        f"resnet50_v1_5, {suffix}",
        torch_networks.version(library),
        "inference",
        "{} x {}x{}".format(*SIZE),
        f"{max(differences.values()):.1e}",
    )
