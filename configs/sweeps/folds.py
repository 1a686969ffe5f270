r"""The three official rotations of PanNuke's folds: each trains once, selects once and tests once.

    python launch.py train --config=configs/deeplabv3plus_resnet50.py --config.pretrained.path=weights/resnet50 \
        --sweep=configs/sweeps/folds.py --executor=local --workdir=runs/folds

Cost: 3 runs of the config. Not measured here.
"""

ROWS = [
    {"label": f"rotation{number}", "overrides": {"split.protocol": "official", "split.number": number}}
    for number in (1, 2, 3)
]
