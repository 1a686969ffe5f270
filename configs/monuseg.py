r"""MoNuSeg's 30 training slides, divided by patient as the table of docs/real_patches.md is: ten train, ten validate.

    python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50
    python launch.py prepare --config=configs/monuseg.py --config.data.release_dir=FOLDER
    python launch.py train   --config=configs/monuseg.py --workdir=runs/monuseg

FOLDER holds 'Tissue Images' and 'Annotations' as published, without the test set. All rows of the table:
--sweep=configs/sweeps/real_patches.py --executor=local. The other rotations: --config.split.column=fold
--config.split.number=1 to 3, the fold that tests.

Hardware: two CPU cores. Time: 17 to 50 minutes a run, by what else runs there. Expected: not measured.
"""

import ml_collections

from nucseg_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    """The model and schedule of configs/real_patches.py on nine patches a slide."""
    config = ml_collections.ConfigDict(default_config())
    config.data.source = "monuseg"
    config.data.release_dir = "MoNuSeg"
    config.data.dir = "data_dir/monuseg"
    config.data.remainder = "drop"
    config.split.protocol = "table"
    config.split.table = "configs/monuseg_slides.csv"
    config.split.column = "division"
    config.pretrained.path = "weights/resnet50"
    config.train.tile_px = 128
    config.train.epochs = 9
    config.model.batch_norm_momentum = 0.9
    config.loss.l2 = 1e-4
    config.eval.compare_statistics = "end"
    return config
