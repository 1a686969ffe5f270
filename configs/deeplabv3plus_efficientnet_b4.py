r"""DeepLabV3+ EfficientNet-B4, row 4 of the paper's Table 1: 14,306,600 parameters, 54.58 MB.

    python launch.py convert --encoder=efficientnet_b4 --source=download --out=weights/efficientnet_b4
    python launch.py train --config=configs/deeplabv3plus_efficientnet_b4.py --workdir=runs/deeplabv3plus_b4 \
        --config.pretrained.path=weights/efficientnet_b4

Without the last flag it trains from scratch; the paper starts from ImageNet weights, which the first line brings.

Hardware: meant for one GPU; time there: not measured.
Expected: the paper reports test Dice .6419, IoU .4893, sensitivity .5212 on its own random
split; no published score on the official folds is known.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """Table 1: dropout 0.25, L2 0.01."""
    config = ml_collections.ConfigDict(default_config())
    config.model.encoder = "efficientnet_b4"
    config.model.decoder = "deeplabv3plus"
    config.model.dropout = 0.25
    config.loss.l2 = 0.01
    return config
