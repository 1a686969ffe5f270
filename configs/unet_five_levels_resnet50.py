"""The usual U-Net with five levels on a whole ResNet-50: 30,550,753 parameters.

    python launch.py train --config=configs/unet_five_levels_resnet50.py --workdir=runs/unet_five_levels_resnet50

Hardware: meant for one GPU; time there: not measured.
Expected: not measured. Not a model of the paper; any encoder goes with it, --config.model.encoder=efficientnet_b4.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The whole encoder to stride 32; a little dropout and L2."""
    config = ml_collections.ConfigDict(default_config())
    config.model.encoder = "resnet50"
    config.model.decoder = "unet_five_levels"
    config.model.output_stride = 32
    config.model.dropout = 0.1
    config.loss.l2 = 1e-4
    return config
