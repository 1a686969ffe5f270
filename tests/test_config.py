import copy
import json
import math
import pathlib
import typing

import jax.numpy as jnp
import pytest

from configs import (
    base,
    consep,
    consep_small,
    deeplabv3plus_dilated_resnet50,
    deeplabv3plus_efficientnet_b4,
    deeplabv3plus_resnet50,
    distance_deeplabv3plus_resnet50,
    distance_unet_resnet50,
    folder,
    fpn_resnet50,
    hover_deeplabv3plus_resnet50,
    hover_unet_convnext_tiny,
    hover_unet_resnet50,
    monuseg,
    paper,
    quickstart,
    real_patches,
    small,
    unet_efficientnet_b4,
    unet_five_levels_resnet50,
    unet_resnet50,
)
from nucseg_jax.cli.given_config import unknown_overrides
from nucseg_jax.config import (
    Config,
    config_fields,
    default_config,
    differences,
    may_change_on_resume,
    read_config,
)
from nucseg_jax.config.data import SourceName
from nucseg_jax.config.model import DecoderName, EncoderName
from nucseg_jax.config.train import DtypeName, FeedChoice
from nucseg_jax.core.config_field import EFFECTS
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import PROJECT
from nucseg_jax.data.sources.folder.grid import PatchGrid
from nucseg_jax.data.sources.table import SOURCES
from nucseg_jax.experiment import read_experiment
from nucseg_jax.models.build import DECODERS, ENCODERS, LARGEST_NUM_CLASSES
from nucseg_jax.reporting.reading.paper import PAPER_MODELS
from nucseg_jax.training.feed import FeedName

CONFIGS = [
    base,
    consep,
    consep_small,
    quickstart,
    unet_resnet50,
    unet_efficientnet_b4,
    deeplabv3plus_resnet50,
    deeplabv3plus_efficientnet_b4,
    unet_five_levels_resnet50,
    deeplabv3plus_dilated_resnet50,
    folder,
    fpn_resnet50,
    monuseg,
    real_patches,
    small,
    hover_unet_resnet50,
    distance_unet_resnet50,
    hover_deeplabv3plus_resnet50,
    distance_deeplabv3plus_resnet50,
    hover_unet_convnext_tiny,
]


FIELDS = config_fields()
NUMBERS = [name for name, item in FIELDS.items() if item.kind in (int, float)]


def with_values(**values):
    """The defaults with some fields changed: section__field."""
    config = default_config()
    for name, value in values.items():
        section, key = name.split("__")
        config[section][key] = value
    return config


@pytest.mark.parametrize("module", CONFIGS)
def test_every_config_is_an_experiment_and_survives_json(module):
    config = read_experiment(module.get_config()).config
    assert read_config(json.loads(json.dumps(config.as_json()))) == config
    assert module.__doc__


def test_every_config_file_is_looked_at_here():
    files = {path.stem for path in pathlib.Path(base.__file__).parent.glob("*.py")}
    assert files == {module.__name__.split(".")[1] for module in (*CONFIGS, paper)} | {"__init__"}


def test_the_papers_configs_are_its_four_models():
    modules = {module.__name__.split(".")[1]: module for module in CONFIGS}
    assert [model.config for model in PAPER_MODELS] == [f"configs/{name}.py" for name in paper.NAMES]
    for model, name in zip(PAPER_MODELS, paper.NAMES, strict=True):
        config = modules[name].get_config()
        assert (config.model.encoder, config.model.decoder) == (model.encoder, model.decoder)
        assert (config.model.dropout, config.loss.l2) == (model.dropout, model.l2)


def test_configs_on_other_data_train_the_models_that_their_texts_name():
    """They stand alone, and say what they share."""
    real, tables = read_config(real_patches.get_config()), read_config(monuseg.get_config())
    assert {name.split(".")[0] for name in differences(real, tables)} == {"data", "split"}
    paper_model = read_config(deeplabv3plus_resnet50.get_config()).model
    for module in (consep, folder, monuseg, real_patches):
        changes = differences(
            read_config(deeplabv3plus_resnet50.get_config()), read_config(module.get_config())
        )
        changed = {name for name in changes if name.startswith("model.")}
        assert changed <= {"model.batch_norm_momentum", "model.num_classes"}
        assert paper_model.dropout == 0.7


@pytest.mark.parametrize("module", CONFIGS[1:])
def test_a_config_is_a_difference_from_base(module):
    lines = differences(read_config(base.get_config()), read_config(module.get_config()))
    # The recipes of instance heads change optimizer, schedule, losses and sampling too; the small model its data.
    assert len(lines) < (36 if "train.optimizer" in lines else 25)


def test_all_faults_are_named_at_once():
    config = base.get_config().to_dict()
    config["train"]["lr"] = "fast"
    config["train"]["batch_size"] = True
    config["model"]["colour"] = "red"
    config["model"]["encoder_depths"] = (1, "two")
    del config["loss"]["l2"]
    config["extra"] = {}
    del config["mesh"]
    with pytest.raises(UserError) as caught:
        read_config(config)
    for fault in (
        "train.lr is 'fast'",
        "train.batch_size is True",
        "unknown field model.colour",
        "model.encoder_depths is (1, 'two')",
        "loss.l2 is missing",
        "unknown section 'extra'",
        "'mesh' is missing",
    ):
        assert fault in str(caught.value)


@pytest.mark.parametrize("config", [[], None, {"data": 3}])
def test_what_is_no_config_is_refused(config):
    with pytest.raises(UserError):
        read_config(config)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data.source", "web"),
        ("data.dir", ""),
        ("data.synthetic_patches_per_fold", 4),
        ("split.protocol", "random"),
        ("split.number", 0),
        ("split.seed", -1),
        ("split.folds", -1),
        ("split.protocol", "table"),  # And no file named.
        ("data.patch_px", 128),  # Of PanNuke's own patches.
        ("data.patch_px", 0),
        ("data.patch_px", 250),
        ("data.microns_per_px", 0.001),
        ("data.microns_per_px", float("nan")),
        ("data.image_microns_per_px", 250.0),
        ("data.image_microns_per_px", -0.25),
        ("data.microns_per_px", 0.5),
        ("data.image_microns_per_px", 0.5),
        ("data.remainder", "drop"),
        ("data.remainder", "pad"),
        ("loss.l2", float("inf")),
        ("loss.l2", -0.1),
        ("loss.smooth", 0.0),
        ("loss.reduce", "sum"),
        ("loss.l2_scope", "none"),
        ("train.tile_px", 48),
        ("train.lr", float("nan")),
        ("train.dtype", "float16"),
        ("train.seed", 2**32),
        ("train.plateau_factor", 1.0),
        ("train.plateau_min_scale", 5.0),
        ("train.log_every_steps", 0),
        ("train.feed", "disk"),
        ("train.store", "split"),
        ("train.steps_per_dispatch", -1),
        ("augment.brightness", 1.5),
        ("augment.contrast", -0.1),
        ("augment.saturation", float("nan")),
        ("augment.hue", 0.6),
        ("augment.stain_factor", 2.0),
        ("augment.stain_offset", -1.0),
        ("augment.blur_sigma_px", 6.0),
        ("augment.noise_sd", -1.0),
        ("augment.scale", 1.5),
        ("augment.elastic_px", 9.0),
        ("augment.stain_probability", 1.5),
        ("augment.preset", "mild"),
        ("train.crops", "some"),
        ("eval.batch_size", 0),
        ("model.dropout", 1.0),
        ("model.output_stride", 8),
        ("model.drop_connect", 1.0),
        ("transfer.freeze_through", "block7"),
        ("transfer.encoder_lr_factor", -1.0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field, value):
    config = copy.deepcopy(base.get_config().to_dict())
    section, name = field.split(".")
    config[section][name] = value
    with pytest.raises(UserError) as caught:
        read_experiment(config)
    assert name in str(caught.value) or "seed" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train__optimizer": "adamw"}, "loss.l2 is 0.02 and train.optimizer is adamw"),
        ({"train__weight_decay": 0.05}, "train.weight_decay is 0.05 and train.optimizer is paper"),
        ({"train__warmup_epochs": 1.5}, "train.warmup_epochs is 1.5 and train.schedule is plateau"),
        ({"train__schedule": "cosine", "train__warmup_epochs": 120.0}, "less than train.epochs, 120"),
        ({"transfer__unfreeze_after_epochs": 120}, "transfer.unfreeze_after_epochs is 120"),
        (
            {"transfer__unfreeze_after_epochs": 5, "transfer__freeze_through": "all"},
            "transfer.freeze_through is all",
        ),
    ],
)
def test_fields_of_the_optimizer_that_contradict_each_other_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        read_config(with_values(**values))


def test_a_preset_beside_strengths_of_its_own_is_refused():
    with pytest.raises(
        UserError, match=r"augment.preset is strong, and augment.hue, augment.blur_probability are"
    ):
        read_config(with_values(augment__preset="strong", augment__hue=0.2, augment__blur_probability=0.5))
    config = read_config(with_values(augment__preset="strong", augment__flips=False))
    assert not config.augment.resolved.flips
    assert config.augment.resolved.stain_factor == 0.2


def test_random_crops_of_whole_patches_are_refused():
    with pytest.raises(UserError, match="tiles of 256 px fill patches of 256 px"):
        read_config(with_values(train__crops="random"))
    assert read_config(with_values(train__crops="random", train__tile_px=128)).train.crops == "random"


def test_a_recipe_of_adamw_and_cosine_is_taken():
    values = dict(train__optimizer="adamw", loss__l2=0.0, train__weight_decay=0.05, train__schedule="cosine")
    values |= dict(train__warmup_epochs=119.5, transfer__unfreeze_after_epochs=119)
    assert read_config(with_values(**values)).train.optimizer == "adamw"


def test_run_folders_from_before_a_field_came_are_read_as_what_they_did():
    config = base.get_config().to_dict()
    for item in FIELDS.values():
        if item.was_added:
            del config[item.section][item.key]
    assert read_config(config) == read_config(base.get_config()) == Config()


def test_run_folders_of_earlier_versions_are_read():
    """A field of now is `was_added`, or they cannot be opened."""
    files = sorted((PROJECT / "docs" / "real_patches").glob("*/config.json"))
    assert len(files) > 5
    for file in files:
        assert read_config(json.loads(file.read_text())).train.epochs > 0


@pytest.mark.parametrize("name", FIELDS)
def test_a_declaration_is_whole(name):
    item = FIELDS[name]
    assert item.fault(item.default) is None
    assert item.converted(item.default) == item.default
    assert len(item.doc) > 5
    assert item.doc.endswith((".", ".)")), item.doc
    assert "|" not in item.doc + item.allowed
    assert item.affects in EFFECTS
    assert item.phrased(item.default)
    # Phrases are for names of runs that differ in results.
    assert item.phrase is None or item.affects in ("results", "model")
    assert not item.is_per_model or item.affects == "results"


@pytest.mark.parametrize("name", NUMBERS)
def test_every_bound_is_taken_and_the_next_number_beyond_it_refused(name):
    item, limits = FIELDS[name], FIELDS[name].range
    step = limits.multiple_of or 1
    beyond = {
        -1: lambda bound: bound - step if item.kind is int else math.nextafter(bound, -math.inf),
        1: lambda bound: bound + step if item.kind is int else math.nextafter(bound, math.inf),
    }
    for bound, is_taken, outwards in (
        (limits.at_least, True, -1),
        (limits.at_most, True, 1),
        (limits.above, False, -1),
        (limits.below, False, 1),
    ):
        if bound is None:
            continue
        inside, outside = (bound, beyond[outwards](bound)) if is_taken else (beyond[-outwards](bound), bound)
        assert item.fault(item.converted(inside)) is None
        if outside != limits.or_equals:
            found = item.fault(item.converted(outside))
            assert found is not None
            assert found.found.startswith(f"{name} is ")
    if limits.or_equals is not None:
        assert item.fault(item.converted(limits.or_equals)) is None
    if limits.multiple_of is not None:
        assert item.fault(limits.multiple_of * 3 + 1) is not None


def test_every_field_of_a_config_is_held_to_its_declaration():
    """In `read_config`, not in the declaration alone: one error names them all."""
    config = default_config()
    for item in FIELDS.values():
        if item.choices:
            config[item.section][item.key] = "?"
        elif item.kind is float:
            config[item.section][item.key] = math.nan
        elif item.range.at_least is not None:
            config[item.section][item.key] = -1
        elif item.is_required:
            config[item.section][item.key] = ""
        else:
            config[item.section][item.key] = {}
    with pytest.raises(UserError) as caught:
        read_config(config)
    assert all(f"{name} is " in str(caught.value) for name in FIELDS)


def test_one_fault_is_an_error_of_two_lines():
    with pytest.raises(UserError) as caught:
        read_config(with_values(model__encoder="resnet5O"))
    found, expected = str(caught.value).splitlines()
    assert found.startswith("model.encoder is 'resnet5O'; did you mean resnet50")
    assert expected.startswith("Expected: one of resnet50, ")


def test_choices_are_those_of_what_implements_them():
    choices = {name: item.choices for name, item in FIELDS.items() if item.choices}
    assert set(choices["model.encoder"]) == set(ENCODERS) == set(typing.get_args(EncoderName))
    assert set(choices["model.decoder"]) == set(DECODERS) == set(typing.get_args(DecoderName))
    assert choices["data.source"] == tuple(SOURCES) == typing.get_args(SourceName)
    assert (
        set(choices["train.feed"]) == {"auto", *typing.get_args(FeedName)} == set(typing.get_args(FeedChoice))
    )
    assert {jnp.dtype(name).name for name in choices["train.dtype"]} == set(typing.get_args(DtypeName))
    assert typing.get_type_hints(PatchGrid)["remainder"] == typing.Literal[choices["data.remainder"]]
    assert set(choices["eval.compare_statistics"]) == {"never", "end", "epochs"}


def test_the_largest_number_of_classes_is_that_of_the_models():
    assert FIELDS["model.num_classes"].range.at_most == LARGEST_NUM_CLASSES


@pytest.mark.parametrize("name", ["train.lrr", "trian.lr", "train.l2", "lr", "", "augment.noise"])
def test_a_misspelt_field_is_named_with_the_nearest(name):
    (text,) = unknown_overrides([f"--config.{field}=1" for field in ("train.lr", name, "loss.l2")])
    assert text.startswith(f"--config.{name}: configs have no field {name}")
    assert ("did you mean" in text) == (name not in ("", "lr")), text
    assert not may_change_on_resume(name)


def test_differences_are_named_by_their_field():
    changed = read_config(with_values(train__lr=1, model__encoder_depths=[3, 4]))
    assert differences(Config(), changed) == {
        "model.encoder_depths": "model.encoder_depths: [] -> [3, 4]",
        "train.lr": "train.lr: 0.0001 -> 1.0",
    }
    assert differences(changed, changed) == {}
