"""Quickstart: the paper's DeepLabV3+ ResNet-50, narrow and shallow, on painted tissue.

    python launch.py prepare --config=configs/quickstart.py
    python launch.py train   --config=configs/quickstart.py --workdir=runs/quickstart

Hardware: two CPU cores. Time: about a minute. Expected: test micro Dice .88; Otsu has .61.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The same classes as the paper's model; only widths, depths, tile size and schedule are smaller."""
    config = ml_collections.ConfigDict(default_config())
    config.data.source = "synthetic"
    config.data.dir = "data_dir/synthetic"
    config.data.synthetic_patches_per_fold = 40
    config.model.encoder = "resnet50"
    config.model.decoder = "deeplabv3plus"
    config.model.width = 0.25
    config.model.encoder_depths = (1, 1, 1)
    # A small net needs less of both; and few steps need quick moving statistics.
    config.model.dropout = 0.1
    config.model.batch_norm_momentum = 0.9
    config.loss.l2 = 1e-4
    config.train.epochs = 12
    config.train.tile_px = 64
    config.train.lr = 1e-3
    return config
