r"""Can moving statistics that lag behind the weights explain the paper's failed row? Momentum x L2 x re-estimation.

    python launch.py train --config=configs/deeplabv3plus_efficientnet_b4.py \
        --config.pretrained.path=weights/efficientnet_b4 \
        --sweep=configs/sweeps/batch_norm.py --executor=local --workdir=runs/batch_norm

DeepLabV3+ EfficientNet-B4 has Dice .87 in training and .64 in the test of the paper. Strong L2 keeps shrinking
weights, and moving statistics of momentum .99 follow slowly. If that is the reason, rows with momentum .9, with weak
L2, or with statistics re-estimated before each evaluation do not fail. Every row also scores with each batch's own
statistics. Cost: 8 runs of the config, with two passes in each evaluation. Not measured here.
"""

ROWS = [
    {
        "label": f"momentum{momentum}_l2_{l2}_{'reestimated' if is_reestimated else 'moving'}",
        "overrides": {
            "model.batch_norm_momentum": momentum,
            "loss.l2": l2,
            "eval.reestimate_batch_norm": is_reestimated,
            "eval.compare_statistics": "epochs",
        },
    }
    for momentum in (0.99, 0.9)
    for l2 in (0.01, 0.0001)
    for is_reestimated in (False, True)
]
