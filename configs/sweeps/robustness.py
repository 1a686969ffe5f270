r"""Means of training against other stains, scanners and magnifications, each beside the config as it stands.

    python launch.py train --config=configs/real_patches.py \
        --sweep=configs/sweeps/robustness.py --executor=local --workdir=runs/robustness

Cost: 7 runs of the config. Then `robustness --workdir=RUN` for each, and `report`. Choose on the validation split.
"""

_STRONG = {"augment.preset": "strong"}
_ADAMW = {
    "train.optimizer": "adamw",
    "train.weight_decay": 1e-4,
    "loss.l2": 0.0,
    "train.schedule": "cosine",
    "train.warmup_epochs": 1.0,
    "train.lr": 1e-3,
}

ROWS = [
    {"label": "paper", "overrides": {"augment.preset": "paper"}},
    {"label": "light", "overrides": {"augment.preset": "light"}},
    {"label": "strong", "overrides": _STRONG},
    {"label": "strong_crops", "overrides": {**_STRONG, "train.crops": "random"}},
    {"label": "strong_ema", "overrides": {**_STRONG, "train.ema_decay": 0.999}},
    {"label": "strong_adamw", "overrides": {**_STRONG, **_ADAMW}},
    {
        "label": "strong_crops_ema_adamw",
        "overrides": {**_STRONG, **_ADAMW, "train.crops": "random", "train.ema_decay": 0.999},
    },
]
