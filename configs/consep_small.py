r"""CoNSeP at .5 microns per px: a narrow U-Net from scratch that two cores train in minutes, to compare instance heads.

    python launch.py prepare --config=configs/consep_small.py --config.data.release_dir=CoNSeP
    python launch.py train   --config=configs/consep_small.py --sweep=configs/sweeps/heads.py \
        --executor=local --workdir=runs/consep_heads

The training tiles as published, divided by consep_tiles.csv: 22 train, 2 validate, 3 test, the classes' shares as near
to those of the whole as so few tiles allow.

Hardware: two CPU cores. Time: 10 minutes of one core a run. Expected: see docs/instance_heads.md.
"""

import ml_collections

from nucseg_jax.recipes import short_instance_recipe


def get_config() -> ml_collections.ConfigDict:
    """880 steps of eight tiles, 64 microns wide."""
    config = ml_collections.ConfigDict(short_instance_recipe())
    config.data.source = "consep"
    config.data.release_dir = "CoNSeP"
    config.data.dir = "data_dir/consep_small"
    config.data.microns_per_px = 0.5
    config.split.protocol = "table"
    config.split.table = "configs/consep_tiles.csv"
    config.model.num_classes = 5
    config.train.epochs = 20
    return config
