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

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """AdamW, cosine with warm-up, an encoder that waits for 25 epochs, rare classes more often, losses as CellViT's."""
    config = ml_collections.ConfigDict(default_config())
    config.data.sampling = "balanced"
    config.model.encoder = "convnext_tiny"
    config.model.decoder = "unet_five_levels"
    config.model.output_stride = 32
    config.model.head = "hover"
    config.model.num_classes = 6
    config.model.dropout = 0.1
    config.model.batch_norm_momentum = 0.9
    config.loss.l2 = 0.0
    config.loss.cross_entropy = 1.0
    config.loss.reduce = "batch"
    config.loss.smooth = 1e-3
    config.transfer.unfreeze_after_epochs = 25
    config.train.batch_size = 16
    config.train.optimizer = "adamw"
    config.train.lr = 3e-4
    config.train.weight_decay = 0.05
    config.train.schedule = "cosine"
    config.train.warmup_epochs = 2.0
    config.augment.flips = True
    config.augment.quarter_turns = True
    config.augment.stain_factor = 0.1
    config.augment.brightness = 0.1
    config.augment.contrast = 0.1
    return config
