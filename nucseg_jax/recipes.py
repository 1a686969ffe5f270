"""Settings that several configs share beside the paper's; a config begins with one and changes what is its own."""

from nucseg_jax.config import default_config
from nucseg_jax.core.config_field import FieldValue


def instance_recipe() -> dict[str, dict[str, FieldValue]]:
    """Returns the recipe by which the field trains instance heads on PanNuke's five classes.

    AdamW with a cosine schedule and warm-up, an encoder that waits for 25 epochs, rare classes more often, and losses
    as in CellViT (arXiv:2306.15350). The defaults everywhere else.

    Returns:
      {section: {field: value}}, as `config.default_config` does.
    """
    recipe = default_config()
    changes: dict[str, dict[str, FieldValue]] = {
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
    for section, fields in changes.items():
        recipe[section].update(fields)
    return recipe
