r"""Tiles without a nucleus in the mean of eq. 4: counted as in the paper, skipped, or softened by a larger `smooth`.

    python launch.py train --config=configs/quickstart.py --config.data.source=release \
        --config.data.release_dir=release --config.data.dir=data_dir/real --config.train.epochs=4 \
        --config.model.width=0.125 --sweep=configs/sweeps/empty_tiles.py --workdir=runs/empty_tiles --executor=local

Three seeds each. Cost: 12 runs of a minute of one CPU core each, on 270 real patches in three folds.
docs/training.md has the outcome.
"""

_FORMS = {
    "paper": {},
    "skip": {"loss.skip_empty": True},
    "smooth1": {"loss.smooth": 1.0},
    "smooth100": {"loss.smooth": 100.0},
}

ROWS = [
    {"label": f"{form}_seed{seed}", "overrides": {**overrides, "train.seed": seed}}
    for seed in (0, 1, 2)
    for form, overrides in _FORMS.items()
]
