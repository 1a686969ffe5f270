r"""Three seeds of one config: how far runs differ that differ in nothing else.

    python launch.py train --config=configs/deeplabv3plus_resnet50.py --config.pretrained.path=weights/resnet50 \
        --sweep=configs/sweeps/seeds.py --executor=local --workdir=runs/seeds

The seed draws initial weights, order, augmentation and dropout; the split stays. Cost: 3 runs of the config.
"""

ROWS = [{"label": f"seed{seed}", "overrides": {"train.seed": seed}} for seed in (0, 1, 2)]
