r"""Dropout x L2 around the rates of the paper's Table 1 (dropout .25 to .7, L2 .01 and .02), and far less L2.

    python launch.py train --config=configs/deeplabv3plus_resnet50.py --config.pretrained.path=weights/resnet50 \
        --sweep=configs/sweeps/regularization.py --executor=local --workdir=runs/regularization

Cost: 12 runs of the config; the paper trains for 23 to 44 minutes a run on a V100. Not measured here.
"""

ROWS = [
    {"label": f"dropout{dropout}_l2_{l2}", "overrides": {"model.dropout": dropout, "loss.l2": l2}}
    for dropout in (0.25, 0.5, 0.7)
    for l2 in (0.0001, 0.001, 0.01, 0.02)
]
