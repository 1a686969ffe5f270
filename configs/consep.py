r"""CoNSeP, four classes: DeepLabV3+ ResNet-50 on 24 tiles, tested on three.

    python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50
    python launch.py prepare --config=configs/consep.py --config.data.release_dir=FOLDER
    python launch.py train   --config=configs/consep.py --workdir=runs/consep

FOLDER holds Train/ and Test/ as published, or Train/ alone. 27 tiles: 21 train, three validate, three test; the other
folds by --config.split.number=2 to 9.

Hardware: two CPU cores or one GPU. Time: not measured. Expected: not measured (a narrow one: see docs/data.md).
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """Miscellaneous, inflammatory, epithelial and spindle-shaped nuclei; each tile is a group."""
    config = ml_collections.ConfigDict(default_config())
    config.data.source = "consep"
    config.data.release_dir = "CoNSeP"
    config.data.dir = "data_dir/consep"
    config.split.protocol = "k_fold"
    config.split.folds = 9
    config.model.num_classes = 5
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
