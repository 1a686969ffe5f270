r"""The paper's four models with the dropout and L2 of its Table 1, from scratch unless the config says otherwise.

    python launch.py train --config=configs/base.py \
        --sweep=configs/sweeps/models.py --executor=local --workdir=runs/models

Cost: 4 runs; the paper trains for 37, 44, 23 and 34 minutes on a V100. Not measured here.
"""

ROWS = [
    {
        "label": "unet_resnet50",
        "overrides": {
            "model.encoder": "resnet50",
            "model.decoder": "unet",
            "model.dropout": 0.7,
            "loss.l2": 0.01,
        },
    },
    {
        "label": "unet_efficientnet_b4",
        "overrides": {
            "model.encoder": "efficientnet_b4",
            "model.decoder": "unet",
            "model.dropout": 0.5,
            "loss.l2": 0.01,
        },
    },
    {
        "label": "deeplabv3plus_resnet50",
        "overrides": {
            "model.encoder": "resnet50",
            "model.decoder": "deeplabv3plus",
            "model.dropout": 0.7,
            "loss.l2": 0.02,
        },
    },
    {
        "label": "deeplabv3plus_efficientnet_b4",
        "overrides": {
            "model.encoder": "efficientnet_b4",
            "model.decoder": "deeplabv3plus",
            "model.dropout": 0.25,
            "loss.l2": 0.01,
        },
    },
]
