r"""Your own images (docs/own_images.md): DeepLabV3+ ResNet-50 on a dozen annotated ones, by group.

    python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50
    python launch.py prepare --config=configs/folder.py --config.data.release_dir=FOLDER
    python launch.py train   --config=configs/folder.py --config.data.release_dir=FOLDER --workdir=runs/own

Better than the encoder's weights is a whole trained model: --config.pretrained.path= --config.pretrained.run=RUN.
With classes: --config.model.num_classes=N, one more than there are. With fewer than five groups:
--config.split.folds=0.

Hardware: two CPU cores or one GPU. Time: three minutes an epoch of 24 steps on two busy cores. Expected: see
docs/own_images.md.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """Few steps: less L2, quick moving statistics, and stain, colour and scale as they differ between laboratories."""
    config = ml_collections.ConfigDict(default_config())
    config.data.source = "folder"
    config.data.release_dir = "data"
    config.data.dir = "data_dir/folder"
    # Whole groups (patients, slides; without them images): three folds train, one validates, one tests.
    config.split.protocol = "k_fold"
    config.split.folds = 5
    config.pretrained.path = "weights/resnet50"
    config.train.tile_px = 128
    config.train.epochs = 30
    config.model.batch_norm_momentum = 0.9
    config.loss.l2 = 1e-4
    # Dice alone gives tiles without a class a constant loss for it.
    config.loss.cross_entropy = 1.0
    # What held best on other stains (docs/train_for_use.md).
    config.augment.preset = "strong"
    config.train.ema_decay = 0.999
    return config
