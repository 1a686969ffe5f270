"""`model.json` is read by later versions: with defaults for what was added, and refused where it would be misread."""

import json

import pytest

from nucseg_jax.config import config_fields, read_config
from nucseg_jax.config.whole import default_config
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.part_by_hover import HoverParting
from nucseg_jax.model_folder.card import card_text
from nucseg_jax.model_folder.facts import ModelFacts


def facts(**changes) -> ModelFacts:
    values = default_config()
    values["model"] |= {"encoder": "convnext_tiny", "decoder": "fpn", "output_stride": 32, "head": "hover"}
    values["model"] |= {"encoder_depths": (1, 1, 2, 1), "num_classes": 6}
    values["train"]["dtype"] = "bfloat16"
    values["data"]["dir"] = "somebodys/folder"
    others = dict(
        info=PANNUKE,
        rule=NucleusRule(threshold=0.4, parting=HoverParting(depth=0.2)),
        checkpoint_step=960,
        stored_dtype="float16",
        kept_float32=("params/a",),
        scores={"patches": 3, "micro": {"dice": 0.75, "iou": None}, "instances": {"pooled": {"bpq": 0.5}}},
        licence="CC BY-NC-SA 4.0\nhttps://...",
        notes="A note.",
    )
    return ModelFacts.of_config(read_config(values), **(others | changes))


def written() -> dict:
    return json.loads(json.dumps(facts().as_json()))


def test_facts_come_back_as_they_were_and_hold_no_path_of_who_trained():
    assert ModelFacts.from_json(written()).as_json() == facts().as_json()
    assert "somebodys" not in json.dumps(written())


def test_the_config_has_the_network_of_the_run_and_defaults_elsewhere():
    config = read_config(ModelFacts.from_json(written()).config)
    assert (config.model.encoder, config.model.encoder_depths) == ("convnext_tiny", (1, 1, 2, 1))
    assert (config.train.dtype, config.data.dir) == ("bfloat16", "data_dir")


def test_fields_that_were_added_since_have_their_defaults():
    values = written()
    added = [name for name, field in config_fields().items() if name.startswith("model.") and field.was_added]
    assert added
    for name in added:
        values["config"]["model"].pop(name.partition(".")[2])
    values["nucleus_rule"].pop("smallest_um2")
    values["of_a_later_version"] = {"ignored": True}
    read = ModelFacts.from_json(values)
    assert read_config(read.config).model.head == config_fields()["model.head"].default
    assert read.rule.smallest_um2 == NucleusRule().smallest_um2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(format=2), "format 2"),
        (lambda values: values.update(format="1"), "format '1'"),
        (lambda values: values["config"]["model"].update(attention=True), "attention"),
        (lambda values: values.update(licence=None), "licence"),
        (lambda values: values.update(checkpoint_step=1.5), "checkpoint_step"),
        (lambda values: values["nucleus_rule"].update(of_later=1), "of_later"),
        (lambda values: values.pop("dataset"), "dataset"),
    ],
)
def test_what_would_be_misread_is_refused(change, message):
    values = written()
    change(values)
    with pytest.raises((ValueError, KeyError, TypeError), match=message):
        ModelFacts.from_json(values)


def test_the_card_has_scale_classes_scores_and_the_first_line_of_the_licence():
    text = card_text(facts(), "small")
    for row in (
        "| licence of the weights | CC BY-NC-SA 4.0 |",
        "| test Dice (micro) | 0.7500 |",
        "| test bPQ (nuclei, pooled) | 0.5000 |",
    ):
        assert row in text
    for part in ("# small\n", "0.25 microns per pixel", "Neoplastic", "float16", "A note."):
        assert part in text
    assert "IoU" not in text
    assert "not stated" in card_text(facts(licence=""), "small")
