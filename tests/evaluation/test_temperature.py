"""A temperature: dividing weights divides logits, and the fitted one is the minimum that a slow search finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from flax import linen as nn

from nucseg_jax.create import create_model
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.evaluation.step import placed_batches
from nucseg_jax.evaluation.temperature import compile_temperature_step, fit_temperature
from nucseg_jax.models.temperature import with_temperature
from nucseg_jax.runtime.mesh import make_mesh
from tests.toy_model import LogitsModel


@pytest.mark.parametrize(("num_classes", "head"), [(1, "none"), (3, "none"), (1, "hover"), (3, "hover")])
def test_dividing_the_weights_divides_logits_and_leaves_maps(num_classes, head):
    model, variables = create_model(
        "unet", width=0.125, encoder_depths=(1, 1, 1), num_classes=num_classes, head=head
    )
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    outputs_of = jax.jit(lambda variables: model.apply(variables, image, train=False, method="outputs"))
    plain, divided = outputs_of(variables), outputs_of(with_temperature(variables, 2.5, model.map_channels))
    np.testing.assert_allclose(divided.nucleus, plain.nucleus / 2.5, rtol=1e-5, atol=1e-6)
    if head == "none":
        np.testing.assert_allclose(divided.logits, plain.logits / 2.5, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(divided.maps, plain.maps)
    if head != "none" and num_classes > 1:
        np.testing.assert_allclose(divided.classes, plain.classes / 2.5, rtol=1e-5, atol=1e-6)
    same = with_temperature(variables, 1.0, model.map_channels)
    jax.tree.map(np.testing.assert_array_equal, same, variables)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(temperature):
    _, variables = create_model("unet", width=0.125, encoder_depths=(1, 1, 1))
    with pytest.raises(ValueError, match="above 0"):
        with_temperature(variables, temperature, 0)


class Colours(LogitsModel):
    """Logits are the first channels, from -4 to 4, times a factor: over-confident by it where they are shares at 1."""

    num_classes: int = 1
    factor: float = 1.0

    @nn.compact
    def __call__(self, image, *, train):
        del train
        return self.factor * (image[..., : self.num_classes].astype(jnp.float32) / 32 - 4)


def patches_of(num_classes: int, *, count=6, side=64, void=False) -> Patches:
    """Patches whose labels are drawn with the probabilities that `Colours` gives at a factor of 1."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (count, side, side, 3), np.uint8)
    logits = image[..., :num_classes].astype(np.float64) / 32 - 4
    if num_classes == 1:
        label = rng.random(logits.shape[:3]) < 1 / (1 + np.exp(-logits[..., 0]))
    else:
        # The largest of logits plus Gumbel noise is distributed as their softmax.
        label = np.argmax(logits + rng.gumbel(size=logits.shape), axis=-1)
    label = label.astype(np.uint8)
    if void:
        # A model that is wrong wherever nobody annotated.
        label[:, : side // 2] = VOID_LABEL
        image[:, : side // 2] = 255
    return Patches(
        image=image,
        label=label,
        group=np.zeros(count, np.int32),
        fold=np.ones(count, np.int32),
        index=np.arange(count, dtype=np.int32),
    )


def fitted(patches: Patches, model: Colours, *, batch_size=4, devices=1, void=False):
    mesh = make_mesh(devices)
    step = compile_temperature_step(model, mesh, has_void=void)
    rows = np.arange(len(patches.index))
    return fit_temperature(step, {}, placed_batches(patches, rows, batch_size=batch_size, mesh=mesh))


@pytest.mark.parametrize(("num_classes", "factor"), [(1, 2.5), (1, 0.4), (3, 2.5)])
def test_it_is_the_minimum_that_a_slow_search_finds(num_classes, factor):
    patches = patches_of(num_classes)
    logits = factor * (patches.image[..., :num_classes].astype(np.float64) / 32 - 4)
    truth = patches.label > 0

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        odds = (
            scaled[..., 0]
            if num_classes == 1
            else np.log(np.exp(scaled[..., 1:]).sum(axis=-1)) - scaled[..., 0]
        )
        return float(np.logaddexp(0, np.where(truth, -odds, odds)).mean())

    slow = scipy.optimize.minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-6})
    found = fitted(patches, Colours(num_classes=num_classes, factor=factor))
    assert found is not None
    assert found.value == pytest.approx(np.exp(slow.x), rel=2e-3)
    assert found.value == pytest.approx(factor, rel=0.05)
    assert found.loss_after == pytest.approx(slow.fun, rel=1e-3)
    assert found.loss_before == pytest.approx(loss(0.0), rel=1e-5)
    assert found.pixels == truth.size


def test_padding_devices_and_what_nobody_annotated_change_nothing():
    patches = patches_of(1, void=True)
    expected = fitted(patches, Colours(factor=2.0), batch_size=6, void=True)
    assert expected is not None
    assert expected.pixels == patches.label.size // 2
    assert expected.value == pytest.approx(2.0, rel=0.1)
    found = fitted(patches, Colours(factor=2.0), batch_size=4, devices=4, void=True)
    assert found is not None
    assert found.value == pytest.approx(expected.value, rel=1e-5)


def test_nothing_is_fitted_where_no_temperature_is_best():
    patches = patches_of(1)
    all_right = Patches(**{**vars(patches), "label": (patches.image[..., 0] > 128).astype(np.uint8)})
    assert fitted(all_right, Colours()) is None
    assert fitted(patches, Colours(factor=float("nan"))) is None
    nobody = Patches(**{**vars(patches), "label": np.full_like(patches.label, VOID_LABEL)})
    assert fitted(nobody, Colours(), void=True) is None
