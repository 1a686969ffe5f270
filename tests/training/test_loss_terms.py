"""Every loss of the config has a row, and every row reaches the objective by its weight alone."""

import dataclasses

import numpy as np
import pytest

from nucseg_jax.config import config_fields
from nucseg_jax.config.loss import LossConfig
from nucseg_jax.config.model import ModelConfig
from nucseg_jax.heads.table import HEADS
from nucseg_jax.training.loss_terms import LOSS_TERMS, make_objective

WEIGHTS = {item.loss_term: item for item in config_fields().values() if item.loss_term}
NOTHING = {item.key: 0.0 for item in WEIGHTS.values()}


def test_the_table_and_the_config_name_the_same_losses_in_the_same_order():
    assert list(LOSS_TERMS) == list(WEIGHTS)


def model_of(name):
    """A model that can have the loss."""
    head = next((head for head, row in HEADS.items() if name in row.losses), "hover")
    return ModelConfig(head=head, num_classes=3)


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("head", HEADS)
def test_a_model_has_the_losses_of_its_own_outputs(head, num_classes):
    """Of its own maps, and of classes where they have logits of their own."""
    outputs = {"nucleus"} | ({"classes"} if head != "none" and num_classes > 1 else set())
    expected = [name for name, row in LOSS_TERMS.items() if row.of in outputs or name in HEADS[head].losses]
    assert list(LossConfig().weights(ModelConfig(head=head, num_classes=num_classes))) == expected


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_is_a_number_from_0_and_its_name_is_one_that_results_know(name):
    item = WEIGHTS[name]
    assert name.endswith("_loss")
    assert item.section == "loss"
    assert item.kind is float
    assert item.range.at_least == 0
    assert 0 in item.range


@pytest.mark.parametrize("reduce", ["image", "batch"])
@pytest.mark.parametrize("name", LOSS_TERMS)
def test_a_weight_alone_brings_its_loss_into_the_objective(name, reduce):
    config = LossConfig(**{**NOTHING, WEIGHTS[name].key: 0.25}, skip_empty=True)
    ((found, term),) = make_objective(config, model_of(name), reduce=reduce).terms.items()
    assert (found, term.weight) == (name, 0.25)
    assert term.is_ratio == term.skips_empty == (LOSS_TERMS[name].is_ratio and reduce == "image")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, (2, 6, 6)).astype(np.uint8)
    channels = {"nucleus": 1, "classes": 3, "maps": len(HEADS[model_of(name).head].maps)}[term.of]
    predicted = rng.normal(size=(2, 6, 6, channels)).astype(np.float32)
    truth = HEADS[model_of(name).head].target_maps(label) if term.of == "maps" else label
    values = np.asarray(term.loss(predicted, truth, None))
    assert values.shape == (2,)
    # A loss that does not pool images gives them their own numbers in both reductions.
    assert (values[0] == values[1]) == (LOSS_TERMS[name].is_ratio and reduce == "batch")


def test_losses_without_a_weight_are_reported_where_they_are_asked_for():
    config = dataclasses.replace(LossConfig(), **{**NOTHING, "focal": 1.0})
    objective = make_objective(config, ModelConfig(), reduce="image", always=("dice_loss",))
    assert {name: term.weight for name, term in objective.terms.items()} == {
        "dice_loss": 0.0,
        "focal_loss": 1.0,
    }
