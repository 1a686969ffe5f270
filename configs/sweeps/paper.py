r"""The paper's experiment as published: its four models, ImageNet weights, its random split of 6,716 patches.

    python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50
    python launch.py convert --encoder=efficientnet_b4 --source=download --out=weights/efficientnet_b4
    python launch.py train --config=configs/base.py \
        --sweep=configs/sweeps/paper.py --executor=local --workdir=runs/paper

That split puts patches of one slide on both sides; configs/sweeps/models.py keeps the official folds, and Keras 3's
moving variances.
Cost: 4 runs; the paper trains for 37, 44, 23 and 34 minutes on a V100. Not measured here.
"""

from configs.sweeps import models

ROWS = [
    {
        "label": row["label"],
        "overrides": {
            **row["overrides"],
            "pretrained.path": f"weights/{row['overrides']['model.encoder']}",
            "split.protocol": "paper",
            "split.max_patches": 6716,
            # TensorFlow 2.15, which the paper ran on, lets moving variances follow n / (n - 1) times (fused kernel)
            # the batch's. Measured there: 1.0005 at n = 2,048 (batch 8 of 16x16), 1.1429 at the n = 8 of `aspp_pool`.
            "model.batch_norm_unbiased_variance": True,
        },
    }
    for row in models.ROWS
]
