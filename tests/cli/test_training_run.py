"""The phases of a training run, without training."""

import types

import numpy as np
import pytest

from configs import quickstart
from nucseg_jax import best_model
from nucseg_jax.cli import run_scores, training_run
from nucseg_jax.experiment import read_experiment
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_state
from nucseg_jax.runtime.stopwatch import Stopwatch
from nucseg_jax.training.state import EpochSums, TrainState

NAMESPACE = types.SimpleNamespace


@pytest.mark.parametrize(
    ("best", "is_best", "schedule", "factor"),
    [
        (None, True, "plateau", 0.5),
        (0.2, True, "plateau", 0.5),
        (0.25, True, "plateau", 0.5),
        (0.3, False, "plateau", 0.5),
        # Of the fourth of ten steps of warm-up.
        (None, True, "cosine", 0.4),
    ],
)
def test_an_epoch_ends_by_its_validation_and_tells_the_rate_that_it_trained_at(
    best, is_best, schedule, factor, monkeypatch
):
    """The plateau sees the loss of validation; equal scores count as best, as in the checkpoints that are kept."""
    values = {"train": {"loss": 0.75}, "validation": {"loss": 0.5, "micro": {"dice": 0.25}}}
    monkeypatch.setattr(training_run, "validate", lambda run, state: values)
    monkeypatch.setattr(training_run, "best_score", lambda checkpoints: best)
    config = quickstart.get_config()
    config.eval.overlays = 0
    config.train.schedule = schedule
    config.train.warmup_epochs = 2.5 if schedule == "cosine" else 0.0
    experiment = read_experiment(config)
    mesh = make_mesh(1)
    run = NAMESPACE(
        experiment=experiment,
        mesh=mesh,
        watch=None,
        static=experiment.static_arguments(steps_per_epoch=4),
        data=NAMESPACE(splits=NAMESPACE(digest="")),
        feed=NAMESPACE(fetch=None, tickets=None),
        evaluator=NAMESPACE(step=None),
    )
    told = {}
    observer = NAMESPACE(
        on_epoch=lambda step, values, **others: told.update(others),
        on_wait=lambda text: None,
        on_step=None,
        on_logs=None,
    )
    plateau = experiment.plateau.init(np.zeros((), np.float32))
    state = TrainState(
        step=np.int32(4),
        params={},
        batch_stats={},
        constants={},
        opt_state=(),
        plateau=plateau._replace(scale=np.float32(0.5)),
        epoch_sums=EpochSums.zero(("dice_loss",), 1).replace(steps=np.int32(4)),
    )
    end_epoch = training_run.training_hooks(run, None, observer).end_epoch
    closed, score = end_epoch(put_state(state, mesh), 0)
    assert score == 0.25
    assert told["is_best"] == is_best
    assert told["learning_rate"] == pytest.approx(factor * experiment.config.train.lr)
    assert float(closed.plateau.best_value) == 0.5
    assert int(closed.epoch_sums.steps) == 0


def test_validation_predictions_and_scores_are_of_averaged_weights(monkeypatch):
    experiment = read_experiment(quickstart.get_config())
    averages = {"params": {"kernel": np.float32(2)}, "batch_stats": {}}
    state = TrainState(
        step=np.int32(4),
        params={"kernel": np.float32(1)},
        batch_stats={},
        constants={"mean": np.float32(3)},
        opt_state=(),
        plateau=(),
        epoch_sums=None,
        ema=averages,
    )
    expected = {**averages, "constants": state.constants}
    best = NAMESPACE(path=None, record=NAMESPACE(step=4))
    for module in (run_scores, best_model):
        monkeypatch.setattr(module, "best_checkpoint", lambda folder: (best, []))
        monkeypatch.setattr(module, "restore_checkpoint", lambda path, like: (state, None))
    monkeypatch.setattr(training_run, "training_scores", lambda sums, objective: {})
    monkeypatch.setattr(best_model, "require_config", lambda folder: None)

    class ScoredError(Exception):
        """Ends the scoring at its first call."""

    def score(variables, *others, **more):
        assert variables == expected
        raise ScoredError

    run = NAMESPACE(
        experiment=experiment,
        mesh=make_mesh(1),
        folder=NAMESPACE(read_splits=lambda: None, path=None),
        static=experiment.static_arguments(4),
        watch=Stopwatch(),
        data=NAMESPACE(info=None, rows=lambda split: None),
        evaluator=NAMESPACE(
            validate=lambda variables, data: variables, score=score, step=None, batch_size=8, mesh=None
        ),
    )
    assert training_run.validate(run, state)["validation"] == expected
    assert best_model.best_variables(experiment, run.folder, run.mesh) == (4, expected)
    with pytest.raises(ScoredError):
        run_scores.score_best(run)
