r"""The config's model without an instance head, with a distance map and with HoVer maps, all scored by nuclei.

What counts as a nucleus is tuned on the validation split in all three.

    python launch.py train --config=configs/unet_resnet50.py \
        --sweep=configs/sweeps/heads.py --executor=local --workdir=runs/heads

Cost: 3 runs of the config. Several seeds tell more: repeat it with --config.train.seed=1 in another folder.
"""

ROWS = [
    {"label": head, "overrides": {"model.head": head, "eval.tune_nuclei": True}}
    for head in ("none", "distance", "hover")
]
