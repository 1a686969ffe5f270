r"""A small model for use: a U-Net of a quarter of the channels with HoVer maps, at .5 microns per px.

    python launch.py prepare --config=configs/small.py --config.data.release_dir=MoNuSeg
    python launch.py train   --config=configs/small.py --workdir=runs/small

Needs no weights. 25 of MoNuSeg's 30 training slides train, three validate, two test; of each slide the upper left
768 px. Stain, colour, scale, blur and noise of the training tiles vary as `augment.preset=strong` has it, so that it
keeps to other stains (docs/train_for_use.md).

Hardware: one CPU core. Time: an hour. Expected: micro Dice .736 on the two test slides, .751 on PanNuke breast, .727 on
BBBC038 (nucseg_jax/pretrained_models/small/README.md, which is this model).
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """1,680 steps of eight tiles, 64 microns wide."""
    config = ml_collections.ConfigDict(default_config())
    config.data.source = "monuseg"
    config.data.release_dir = "MoNuSeg"
    config.data.dir = "data_dir/small"
    config.data.microns_per_px = 0.5
    config.data.patch_px = 384
    config.data.remainder = "drop"
    config.split.protocol = "table"
    config.split.table = "configs/monuseg_slides.csv"
    config.split.column = "small"
    config.model.decoder = "unet"
    config.model.head = "hover"
    config.model.width = 0.25
    config.model.dropout = 0.1
    config.model.batch_norm_momentum = 0.9
    config.loss.l2 = 0.0
    config.loss.cross_entropy = 1.0
    config.loss.smooth = 1.0
    config.loss.hover_mse = 1.0
    config.loss.hover_gradient = 0.25
    config.train.epochs = 60
    config.train.tile_px = 128
    config.train.crops = "random"
    config.train.lr = 1e-3
    config.train.optimizer = "adamw"
    config.train.weight_decay = 1e-4
    config.train.schedule = "cosine"
    config.train.warmup_epochs = 1.0
    config.train.ema_decay = 0.999
    config.augment.preset = "strong"
    config.eval.calibrate = True
    return config
