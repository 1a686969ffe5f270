r"""U-Net ResNet-50, row 1 of the paper's Table 1: 15,676,865 parameters, 59.80 MB.

    python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50
    python launch.py train --config=configs/unet_resnet50.py --workdir=runs/unet_resnet50 \
        --config.pretrained.path=weights/resnet50

Without the last flag it trains from scratch; the paper starts from ImageNet weights, which the first line brings.

Hardware: meant for one GPU; time there: not measured.
Expected: the paper reports test Dice .8286, IoU .7121, sensitivity .8116 on its own random
split; no published score on the official folds is known.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """Table 1: dropout 0.7 at the bridge (0.5 and 0.2 in the levels follow from it), L2 0.01."""
    config = ml_collections.ConfigDict(default_config())
    config.model.encoder = "resnet50"
    config.model.decoder = "unet"
    config.model.dropout = 0.7
    config.loss.l2 = 0.01
    return config
