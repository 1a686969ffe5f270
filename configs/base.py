"""The defaults of every field, which docs/config.md lists; the other configs are differences from these.

Override any field on the command line: --config=configs/unet_resnet50.py --config.train.lr=3e-4
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """Returns the paper's protocol wherever it states one."""
    return ml_collections.ConfigDict(default_config())
