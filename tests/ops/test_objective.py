import jax
import numpy as np
import pytest

from configs import quickstart
from nucseg_jax.core.errors import UserError
from nucseg_jax.experiment import read_experiment
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.ops.objective import TILES_WITH_NUCLEI, Objective, Term
from nucseg_jax.ops.outputs import Outputs
from nucseg_jax.runtime.mesh import batch_sharded, make_mesh


def experiment_with(**loss):
    config = quickstart.get_config()
    config.loss.update(loss)
    return read_experiment(config)


def test_a_config_weighs_its_terms_and_reports_them_bare():
    parts = experiment_with(dice=0.0, tversky=2.0, focal=0.5, tversky_alpha=0.1, focal_gamma=3.0)
    trained, evaluated = parts.static_arguments(1).objective, parts.evaluation_objective
    assert {name: term.weight for name, term in trained.terms.items()} == {
        "focal_loss": 0.5,
        "tversky_loss": 2.0,
    }
    # Eq. 4 is reported whatever is trained with.
    assert {name: term.weight for name, term in evaluated.terms.items()} == {
        "dice_loss": 0.0,
        "focal_loss": 0.5,
        "tversky_loss": 2.0,
    }
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 6, 6, 1)).astype(np.float32)
    label = rng.integers(0, 2, (2, 6, 6)).astype(np.uint8)
    values = jax.jit(evaluated.values)(Outputs(logits, logits), label)
    expected = 0.5 * values["focal_loss"] + 2.0 * values["tversky_loss"]
    np.testing.assert_allclose(evaluated.total(values), expected, rtol=1e-6)
    np.testing.assert_allclose(
        trained.total(trained.values(Outputs(logits, logits), label)), expected, rtol=1e-6
    )
    other = (
        experiment_with(dice=0.0, tversky=2.0, focal=0.5)
        .static_arguments(1)
        .objective.values(Outputs(logits, logits), label)
    )
    assert not np.allclose(other["tversky_loss"], values["tversky_loss"], rtol=1e-3)
    assert not np.allclose(other["focal_loss"], values["focal_loss"], rtol=1e-3)


@pytest.mark.parametrize(
    "loss",
    [
        {"dice": 0.0},
        {"bce": 1.0},
        {"focal": -1.0},
        {"focal_gamma": 0.5},
        {"focal_alpha": 1.5},
        {"tversky_alpha": 0.0, "tversky_beta": 0.0},
        {"skip_empty": True, "reduce": "batch"},
    ],
)
def test_losses_that_cannot_be_are_refused(loss):
    config = quickstart.get_config().to_dict()
    config["loss"].update(loss)
    with pytest.raises(UserError):
        read_experiment(config)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_means_over_tiles_with_nuclei_are_those_of_the_tiles_alone(devices):
    """Whatever stands in padding and in empty tiles, and wherever they lie."""
    rng = np.random.default_rng(0)
    values = {"dice_loss": rng.random(16, np.float32)}
    valid, has_nucleus = rng.random(16) < 0.7, rng.random(16) < 0.6
    values["dice_loss"][~valid] = np.nan
    parts = {skips: Objective({"dice_loss": Term(1.0, soft_dice, True, skips)}) for skips in (False, True)}
    sharding = batch_sharded(make_mesh(devices)).valid
    put = [jax.device_put(leaf, sharding) for leaf in (valid, has_nucleus)]
    loss = jax.device_put(values, sharding)
    sums = jax.jit(parts[False].sums_with_nuclei)(loss, put[0] & put[1])
    kept = values["dice_loss"][valid & has_nucleus]
    assert sums[TILES_WITH_NUCLEI] == len(kept)
    np.testing.assert_allclose(sums["dice_loss_with_nuclei"], kept.sum(), rtol=1e-6)
    means = {skips: jax.jit(parts[skips].means)(loss, *put)["dice_loss"] for skips in parts}
    np.testing.assert_allclose(means[True], kept.mean(), rtol=1e-6)
    np.testing.assert_allclose(means[False], values["dice_loss"][valid].mean(), rtol=1e-6)


def test_a_tile_without_a_nucleus_sets_a_floor_and_skipped_pulls_at_nothing():
    rng = np.random.default_rng(0)
    logits = rng.normal(-3.0, 1.0, (4, 16, 16, 1)).astype(np.float32)
    label = rng.integers(0, 2, (4, 16, 16)).astype(np.uint8) * (np.arange(4) < 3)[:, None, None]
    label = label.astype(np.uint8)
    valid, has_nucleus = np.ones(4, bool), label.any((1, 2))

    def total(objective):
        return lambda logits: objective.total(
            objective.means(objective.values(Outputs(logits, logits), label), valid, has_nucleus)
        )

    paper = experiment_with().static_arguments(1).objective
    skipping = experiment_with(skip_empty=True).static_arguments(1).objective
    assert paper.values(Outputs(logits, logits), label)["dice_loss"][3] > 0.999
    assert np.abs(jax.grad(total(paper))(logits)[3]).max() > 0
    assert np.abs(jax.grad(total(skipping))(logits)[3]).max() == 0
    np.testing.assert_allclose(
        total(skipping)(logits),
        paper.values(Outputs(logits[:3], logits[:3]), label[:3])["dice_loss"].mean(),
        rtol=1e-6,
    )
    nowhere = skipping.means(skipping.values(Outputs(logits, logits), label * 0), valid, valid & False)
    assert float(nowhere["dice_loss"]) == 0


def test_a_ratio_of_the_whole_batch_has_no_tiles():
    assert experiment_with(reduce="batch").static_arguments(1).objective.sum_names == ()
    assert experiment_with(cross_entropy=1.0).static_arguments(1).objective.ratios == ("dice_loss",)
