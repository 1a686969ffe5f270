"""FPN of arXiv:1612.03144 on a whole ResNet-50: 26,195,713 parameters.

    python launch.py train --config=configs/fpn_resnet50.py --workdir=runs/fpn_resnet50

Hardware: meant for one GPU; time there: not measured.
Expected: not measured. Not a model of the paper; any encoder goes with it, --config.model.encoder=efficientnet_b4.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The whole encoder to stride 32; a little dropout and L2."""
    config = ml_collections.ConfigDict(default_config())
    config.model.encoder = "resnet50"
    config.model.decoder = "fpn"
    config.model.output_stride = 32
    config.model.dropout = 0.1
    config.loss.l2 = 1e-4
    return config
