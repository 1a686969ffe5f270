r"""DeepLabV3+ ResNet-50 on a small release of real patches (docs/real_patches.md): a budget that two cores carry.

    python launch.py convert --encoder=resnet50 --source=FILE --out=weights/resnet50
    python launch.py prepare --config=configs/real_patches.py
    python launch.py train   --config=configs/real_patches.py --workdir=runs/real

Hardware: two CPU cores. Time: 17 to 50 minutes a run (270 patches in three folds), by what else runs there.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """405 steps, and what so few of them ask for: less L2, quick moving statistics."""
    config = ml_collections.ConfigDict(default_config())
    config.data.source = "release"
    config.data.release_dir = "release"
    config.data.dir = "data_dir/real"
    config.pretrained.path = "weights/resnet50"
    config.train.tile_px = 128
    config.train.epochs = 9
    # The paper's momentum of 0.99 and L2 of 0.02 are rows of sweeps/real_patches.py.
    config.model.batch_norm_momentum = 0.9
    config.loss.l2 = 1e-4
    config.eval.compare_statistics = "end"
    return config
