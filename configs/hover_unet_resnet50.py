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

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """AdamW, cosine with warm-up, an encoder that waits for 25 epochs, rare classes more often, losses as CellViT's."""
    config = ml_collections.ConfigDict(default_config())
    config.data.sampling = "balanced"
    config.model.encoder = "resnet50"
    config.model.decoder = "unet"
    config.model.output_stride = 16
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
    config.train.weight_decay = 1e-4
    config.train.schedule = "cosine"
    config.train.warmup_epochs = 2.0
    config.augment.flips = True
    config.augment.quarter_turns = True
    config.augment.stain_factor = 0.1
    config.augment.brightness = 0.1
    config.augment.contrast = 0.1
    return config
