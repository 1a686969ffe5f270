r"""U-Net ResNet-50 with HoVer maps and the recipe of the field: 15,677,385 parameters.

    python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50
    python launch.py train --config=configs/hover_unet_resnet50.py \
        --workdir=runs/hover_unet_resnet50 --config.pretrained.path=weights/resnet50

PanNuke's five classes; --config.split.number=2 and 3 are the other two splits, and papers quote the mean of the three.
Hardware: meant for one GPU; time there: not measured.
Expected: not measured. One U-Net decoder with HoVer maps on ResNet-50 has bPQ .678 and mPQ .487 on the official
splits (LKCell, arXiv:2407.18054, table 5), HoVer-Net .660 and .463 (tissue means, over three splits).
"""

import ml_collections

from nucseg_jax.recipes import instance_recipe


def get_config() -> ml_collections.ConfigDict:
    """The recipe of instance heads."""
    config = ml_collections.ConfigDict(instance_recipe())
    config.model.encoder = "resnet50"
    config.model.decoder = "unet"
    config.model.output_stride = 16
    config.model.head = "hover"
    return config
