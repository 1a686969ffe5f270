"""From a config to checked, ready parts. Nothing below this package knows that configs exist.

parts     an `Experiment`: model, optimizer, splits, mesh, state
reading   a config to an `Experiment`
feeding   the feed of a training step
scoring   the evaluator, and what predicts the patches to be drawn
"""

from nucseg_jax.experiment.feeding import choose_feed, make_training_feed
from nucseg_jax.experiment.parts import Experiment
from nucseg_jax.experiment.reading import read_experiment, read_experiment_file
from nucseg_jax.experiment.scoring import make_evaluator, make_example_predictor

__all__ = [
    "Experiment",
    "choose_feed",
    "make_evaluator",
    "make_example_predictor",
    "make_training_feed",
    "read_experiment",
    "read_experiment_file",
]
