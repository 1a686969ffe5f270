r"""Means of training against other stains, scanners and magnifications, one beside the other (docs/train_for_use.md).

    python launch.py train --config=configs/small.py --config.model.head=none --config.split.column=division \
        --config.train.epochs=24 --config.eval.calibrate=False \
        --sweep=configs/sweeps/robustness.py --executor=local --workdir=runs/robustness

Cost: 8 runs of the config. Then `robustness --workdir=RUN` for each, and `report`. Choose on the validation split.
Optimizer, schedule, crops and averaged weights are the rows'; all else is the config's.
"""

from nucseg_jax.config import PRESETS

_PLAIN = {
    "train.optimizer": "paper",
    "train.weight_decay": 0.0,
    "train.schedule": "plateau",
    "train.warmup_epochs": 0.0,
    "train.lr": 1e-3,
    "train.crops": "grid",
    "train.ema_decay": 0.0,
}
_STRONG = {**_PLAIN, "augment.preset": "strong"}
# Beside the same augmentation, a tint of glass and background, which no other kind gives.
_TINTED = {
    f"augment.{name}": value
    for name, value in {**PRESETS["strong"], "white_balance": 0.3, "gamma": 0.2}.items()
}
_ADAMW = {
    "train.optimizer": "adamw",
    "train.weight_decay": 1e-4,
    "loss.l2": 0.0,
    "train.schedule": "cosine",
    "train.warmup_epochs": 1.0,
}
_CROPS = {"train.crops": "random"}
_EMA = {"train.ema_decay": 0.999}

ROWS = [
    {"label": "paper", "overrides": {**_PLAIN, "augment.preset": "paper"}},
    {"label": "light", "overrides": {**_PLAIN, "augment.preset": "light"}},
    {"label": "strong", "overrides": _STRONG},
    {"label": "strong_tinted", "overrides": {**_PLAIN, "augment.preset": "own", **_TINTED}},
    {"label": "strong_crops", "overrides": {**_STRONG, **_CROPS}},
    {"label": "strong_ema", "overrides": {**_STRONG, **_EMA}},
    {"label": "strong_adamw", "overrides": {**_STRONG, **_ADAMW}},
    {"label": "strong_crops_ema_adamw", "overrides": {**_STRONG, **_ADAMW, **_CROPS, **_EMA}},
]
