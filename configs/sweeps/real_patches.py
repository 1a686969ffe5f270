r"""The comparisons on real patches, in the order of what they answer; each row is one run.

    python launch.py train --config=configs/real_patches.py --sweep=configs/sweeps/real_patches.py \
        --workdir=runs/real_patches --executor=local

Cost: 15 runs of 17 to 50 minutes on two CPU cores, by what else runs there. Weights of EfficientNet-B4 belong into
weights/efficientnet_b4; without them its two rows fail, and the others go on.
"""

_SCRATCH = {"pretrained.path": ""}
_UNET_R50 = {"model.decoder": "unet"}
_UNET_B4 = {"model.decoder": "unet", "model.encoder": "efficientnet_b4", "model.dropout": 0.5}
_DEEPLAB_B4 = {"model.encoder": "efficientnet_b4", "model.dropout": 0.25}
_B4_WEIGHTS = {"pretrained.path": "weights/efficientnet_b4"}

ROWS = [
    # Transfer against scratch, three seeds of DeepLabV3+ ResNet-50.
    {"label": "deeplab_r50_imagenet_seed0", "overrides": {}},
    {"label": "deeplab_r50_scratch_seed0", "overrides": _SCRATCH},
    {"label": "deeplab_r50_imagenet_seed1", "overrides": {"train.seed": 1}},
    {"label": "deeplab_r50_scratch_seed1", "overrides": {**_SCRATCH, "train.seed": 1}},
    {"label": "deeplab_r50_imagenet_seed2", "overrides": {"train.seed": 2}},
    {"label": "deeplab_r50_scratch_seed2", "overrides": {**_SCRATCH, "train.seed": 2}},
    # The other models of the paper.
    {"label": "unet_r50_imagenet", "overrides": _UNET_R50},
    {"label": "deeplab_b4_scratch", "overrides": {**_DEEPLAB_B4, **_SCRATCH}},
    {"label": "unet_b4_scratch", "overrides": {**_UNET_B4, **_SCRATCH}},
    {"label": "deeplab_b4_imagenet", "overrides": {**_DEEPLAB_B4, **_B4_WEIGHTS}},
    {"label": "unet_b4_imagenet", "overrides": {**_UNET_B4, **_B4_WEIGHTS}},
    # L2 and momentum: do lagging statistics part training from evaluation?
    {"label": "deeplab_r50_imagenet_l2_0.02", "overrides": {"loss.l2": 0.02}},
    {
        "label": "deeplab_r50_imagenet_momentum_0.99",
        "overrides": {"model.batch_norm_momentum": 0.99, "eval.compare_statistics": "epochs"},
    },
    {
        "label": "deeplab_r50_imagenet_l2_0.02_momentum_0.99",
        "overrides": {
            "loss.l2": 0.02,
            "model.batch_norm_momentum": 0.99,
            "eval.compare_statistics": "epochs",
        },
    },
    # The same two on the model whose row failed in the paper (there with L2 .01, from ImageNet weights).
    {
        "label": "deeplab_b4_scratch_l2_0.02_momentum_0.99",
        "overrides": {
            **_DEEPLAB_B4,
            **_SCRATCH,
            "loss.l2": 0.02,
            "model.batch_norm_momentum": 0.99,
            "eval.compare_statistics": "epochs",
        },
    },
]
