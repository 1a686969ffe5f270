r"""The paper's experiment as published: its four models, ImageNet weights, its random split of 6,716 patches.

    python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50
    python launch.py convert --encoder=efficientnet_b4 --source=download --out=weights/efficientnet_b4
    python launch.py train --config=configs/base.py \
        --sweep=configs/sweeps/paper.py --executor=local --workdir=runs/paper

That split puts patches of one slide on both sides; configs/sweeps/models.py keeps the official folds, and Keras 3's
moving variances.
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
            "pretrained.path": f"weights/{encoder}",
            "split.protocol": "paper",
            "split.max_patches": 6716,
            # TensorFlow 2.15, which the paper ran on, lets moving variances follow n / (n - 1) times (fused kernel)
            # the batch's. Measured there: 1.0005 at n = 2,048 (batch 8 of 16x16), 1.1429 at the n = 8 of `aspp_pool`.
            "model.batch_norm_unbiased_variance": True,
        },
    }
    for encoder, decoder, dropout, l2 in _MODELS
]
