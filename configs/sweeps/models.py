r"""The paper's four models with the dropout and L2 of its Table 1, from scratch unless the config sets otherwise.

    python launch.py train --config=configs/base.py \
        --sweep=configs/sweeps/models.py --executor=local --workdir=runs/models

Cost: 4 runs; the paper trains for 37, 44, 23 and 34 minutes on a V100. Not measured here.
"""

# Table 1: encoder, decoder, dropout, L2.
_MODELS = [
    ("resnet50", "unet", 0.7, 0.01),
    ("efficientnet_b4", "unet", 0.5, 0.01),
    ("resnet50", "deeplabv3plus", 0.7, 0.02),
    ("efficientnet_b4", "deeplabv3plus", 0.25, 0.01),
]

ROWS = [
    {
        "label": f"{decoder}_{encoder}",
        "overrides": {
            "model.encoder": encoder,
            "model.decoder": decoder,
            "model.dropout": dropout,
            "loss.l2": l2,
        },
    }
    for encoder, decoder, dropout, l2 in _MODELS
]
