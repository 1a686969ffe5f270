"""Settings that several configs share beside the paper's; a config begins with one and changes what is its own."""

from collections.abc import Mapping

from nucseg_jax.config import default_config
from nucseg_jax.core.config_field import FieldValue


def instance_recipe() -> dict[str, dict[str, FieldValue]]:
    """Returns the recipe by which the field trains instance heads on PanNuke's five classes.

    AdamW with a cosine schedule and warm-up, an encoder that waits for 25 epochs, rare classes more often, and losses
    as in CellViT (arXiv:2306.15350). The defaults everywhere else.

    Returns:
      {section: {field: value}}, as `config.default_config` does.
    """
    return _defaults_but_for(
        {
            "data": {"sampling": "balanced"},
            "model": {"num_classes": 6, "dropout": 0.1, "batch_norm_momentum": 0.9},
            "loss": {"l2": 0.0, "cross_entropy": 1.0, "reduce": "batch", "smooth": 1e-3},
            "transfer": {"unfreeze_after_epochs": 25},
            "train": {
                "batch_size": 16,
                "optimizer": "adamw",
                "lr": 3e-4,
                "weight_decay": 1e-4,
                "schedule": "cosine",
                "warmup_epochs": 2.0,
            },
            "augment": {
                "flips": True,
                "quarter_turns": True,
                "stain_factor": 0.1,
                "brightness": 0.1,
                "contrast": 0.1,
            },
        }
    )


def short_instance_recipe() -> dict[str, dict[str, FieldValue]]:
    """Returns a recipe that shows in minutes on two CPU cores how instance heads compare, at .5 microns per px.

    A U-Net of a quarter of the channels, from scratch. Classes weigh as much as nuclei. The derivatives of HoVer's maps
    are twice as steep as at .25 microns, their squared error four times as large, and its weight so much smaller.

    Returns:
      {section: {field: value}}, as `config.default_config` does.
    """
    return _defaults_but_for(
        {
            "model": {"decoder": "unet", "width": 0.25, "dropout": 0.1, "batch_norm_momentum": 0.9},
            "loss": {
                "l2": 0.0,
                "cross_entropy": 1.0,
                "smooth": 1.0,
                "class_cross_entropy": 1.0,
                "class_dice": 1.0,
                "hover_mse": 1.0,
                "hover_gradient": 0.25,
            },
            "train": {
                "tile_px": 128,
                "optimizer": "adamw",
                "lr": 1e-3,
                "weight_decay": 1e-4,
                "schedule": "cosine",
                "warmup_epochs": 1.0,
            },
            "augment": {"stain_factor": 0.1, "brightness": 0.1, "contrast": 0.1},
            "eval": {"tune_nuclei": True, "time_inference": False},
        }
    )


def _defaults_but_for(changes: Mapping[str, Mapping[str, FieldValue]]) -> dict[str, dict[str, FieldValue]]:
    recipe = default_config()
    for section, fields in changes.items():
        recipe[section].update(fields)
    return recipe
