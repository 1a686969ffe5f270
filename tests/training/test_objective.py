import jax
import numpy as np
import pytest

from configs import quickstart
from nucseg_jax.core.errors import UserError
from nucseg_jax.experiment import read_experiment


def experiment_with(**loss):
    config = quickstart.get_config()
    config.loss.update(loss)
    return read_experiment(config)


def test_a_config_weighs_its_terms_and_reports_them_bare():
    parts = experiment_with(dice=0.0, tversky=2.0, focal=0.5, tversky_alpha=0.1, focal_gamma=3.0)
    trained, evaluated = parts.recipe(1).objective, parts.evaluation_objective
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
    values = jax.jit(evaluated.values)(logits, label)
    expected = 0.5 * values["focal_loss"] + 2.0 * values["tversky_loss"]
    np.testing.assert_allclose(evaluated.total(values), expected, rtol=1e-6)
    np.testing.assert_allclose(trained.total(trained.values(logits, label)), expected, rtol=1e-6)
    other = experiment_with(dice=0.0, tversky=2.0, focal=0.5).recipe(1).objective.values(logits, label)
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
    ],
)
def test_losses_that_cannot_be_are_refused(loss):
    config = quickstart.get_config().to_dict()
    config["loss"].update(loss)
    with pytest.raises(UserError):
        read_experiment(config)
