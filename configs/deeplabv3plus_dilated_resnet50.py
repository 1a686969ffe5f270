"""DeepLabV3+ of arXiv:1802.02611 on a whole ResNet-50 with a dilated last stage: output stride 16.

--config.model.output_stride=8 dilates conv4 and conv5 and doubles the atrous rates.

    python launch.py train --config=configs/deeplabv3plus_dilated_resnet50.py --workdir=runs/dilated

Hardware: meant for one GPU; time there: not measured.
Expected: not measured. Not a model of the paper; any encoder goes with it, --config.model.encoder=efficientnet_b4.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The whole encoder, conv5 dilated; a little dropout and L2."""
    config = ml_collections.ConfigDict(default_config())
    config.model.encoder = "resnet50"
    config.model.decoder = "deeplabv3plus_dilated"
    config.model.output_stride = 16
    config.model.dropout = 0.1
    config.loss.l2 = 1e-4
    return config
