import copy

import pytest

from configs import (
    base,
    consep,
    deeplabv3plus_dilated_resnet50,
    deeplabv3plus_efficientnet_b4,
    deeplabv3plus_resnet50,
    folder,
    monuseg,
    quickstart,
    unet_efficientnet_b4,
    unet_five_levels_resnet50,
    unet_resnet50,
)
from nucseg_jax.config import config_fields, differences, read_config
from nucseg_jax.core.errors import UserError
from nucseg_jax.experiment import read_experiment

CONFIGS = [
    base,
    consep,
    quickstart,
    unet_resnet50,
    unet_efficientnet_b4,
    deeplabv3plus_resnet50,
    deeplabv3plus_efficientnet_b4,
    unet_five_levels_resnet50,
    deeplabv3plus_dilated_resnet50,
    folder,
    monuseg,
]


@pytest.mark.parametrize("module", CONFIGS)
def test_every_config_is_an_experiment_and_survives_json(module):
    settings = read_experiment(module.get_config()).config
    assert read_config(settings.as_json()) == settings
    assert module.__doc__


@pytest.mark.parametrize("module", CONFIGS[1:])
def test_a_config_is_a_difference_from_base(module):
    lines = differences(read_config(base.get_config()), read_config(module.get_config()))
    assert len(lines) < 15


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


def test_run_folders_from_before_a_field_came_are_read_as_what_they_did():
    config = base.get_config().to_dict()
    for name, field in config_fields().items():
        if field.was_added:
            section, _, key = name.partition(".")
            del config[section][key]
    assert read_config(config) == read_config(base.get_config())
    assert {"mesh.fsdp", "mesh.space", "loss.skip_empty", "data.allow_duplicates"} <= {
        name for name, field in config_fields().items() if field.was_added
    }
