"""The paper's four models, in the order of its Table 1."""

import ml_collections

from configs import (
    deeplabv3plus_efficientnet_b4,
    deeplabv3plus_resnet50,
    unet_efficientnet_b4,
    unet_resnet50,
)


def get_configs() -> tuple[ml_collections.ConfigDict, ...]:
    """One config a row of Table 1."""
    rows = (unet_resnet50, unet_efficientnet_b4, deeplabv3plus_resnet50, deeplabv3plus_efficientnet_b4)
    return tuple(row.get_config() for row in rows)
