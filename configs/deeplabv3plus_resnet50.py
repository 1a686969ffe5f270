r"""DeepLabV3+ ResNet-50, row 3 of the paper's Table 1: 30,462,849 parameters, 116.21 MB.

    python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50
    python launch.py train --config=configs/deeplabv3plus_resnet50.py --workdir=runs/deeplabv3plus_resnet50 \
        --config.pretrained.path=weights/resnet50

Without the last flag it trains from scratch; the paper starts from ImageNet weights, which the first line brings.

Hardware: meant for one GPU; time there: not measured.
Expected: the paper reports test Dice .8356, IoU .7280, sensitivity .8570 on its own random
split; no published score on the official folds is known.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """Table 1: dropout 0.7, L2 0.02."""
    config = ml_collections.ConfigDict(default_config())
    config.model.encoder = "resnet50"
    config.model.decoder = "deeplabv3plus"
    config.model.dropout = 0.7
    config.loss.l2 = 0.02
    return config
