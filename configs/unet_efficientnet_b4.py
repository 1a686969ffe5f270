r"""U-Net EfficientNet-B4, row 2 of the paper's Table 1: 14,932,072 parameters, 56.96 MB.

    python launch.py convert --encoder=efficientnet_b4 --source=download --out=weights/efficientnet_b4
    python launch.py train --config=configs/unet_efficientnet_b4.py --workdir=runs/unet_b4 \
        --config.pretrained.path=weights/efficientnet_b4

Without the last flag it trains from scratch; the paper starts from ImageNet weights, which the first line brings.

Hardware: meant for one GPU; time there: not measured.
Expected: the paper reports test Dice .8138, IoU .7111, sensitivity .7911 on its own random
split; no published score on the official folds is known.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """Table 1: dropout 0.5 in the two deep levels (0.25 in the two shallow ones follows from it), L2 0.01."""
    config = ml_collections.ConfigDict(default_config())
    config.model.encoder = "efficientnet_b4"
    config.model.decoder = "unet"
    config.model.dropout = 0.5
    config.loss.l2 = 0.01
    return config
