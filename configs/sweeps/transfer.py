r"""ImageNet weights, no weights, and ImageNet weights in an encoder that is left as it is.

    python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50
    python launch.py train --config=configs/deeplabv3plus_resnet50.py \
        --sweep=configs/sweeps/transfer.py --executor=local --workdir=runs/transfer

For configs on ResNet-50. Cost: 3 runs of the config; a frozen encoder's are shorter. Not measured here.
"""

IMAGENET = "weights/resnet50"

ROWS = [
    {"label": "imagenet", "overrides": {"pretrained.path": IMAGENET, "transfer.freeze_through": ""}},
    {"label": "scratch", "overrides": {"pretrained.path": "", "transfer.freeze_through": ""}},
    {"label": "frozen", "overrides": {"pretrained.path": IMAGENET, "transfer.freeze_through": "all"}},
]
