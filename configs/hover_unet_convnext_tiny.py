r"""U-Net with five levels on a whole ConvNeXt-Tiny with HoVer maps and the recipe of the field: 31,517,257 parameters.

    python launch.py convert --encoder=convnext_tiny --source=download --out=weights/convnext_tiny
    python launch.py train --config=configs/hover_unet_convnext_tiny.py \
        --workdir=runs/hover_unet_convnext_tiny --config.pretrained.path=weights/convnext_tiny

PanNuke's five classes; --config.split.number=2 and 3 are the other two splits, and papers quote the mean of the three.
Hardware: meant for one GPU; time there: not measured.
Expected: not measured. ConvNeXt-Tiny with one U-Net decoder has bPQ .684 and mPQ .512 on the official splits in the
literature, with class-balanced sampling (tissue means, over three splits).
"""

import ml_collections

from nucseg_jax.recipes import instance_recipe


def get_config() -> ml_collections.ConfigDict:
    """The recipe of instance heads, with the weight decay that is usual for ConvNeXts."""
    config = ml_collections.ConfigDict(instance_recipe())
    config.model.encoder = "convnext_tiny"
    config.model.decoder = "unet_five_levels"
    config.model.output_stride = 32
    config.model.head = "hover"
    config.train.weight_decay = 0.05
    return config
