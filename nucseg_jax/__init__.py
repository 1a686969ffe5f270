"""Nuclei segmentation in H&E histology with JAX and Flax.

    import nucseg_jax as ns

    model, variables = ns.create_model("unet", encoder="resnet50", weights="weights/resnet50")
    logits = model.apply(variables, image, train=False)                   # [N, H, W, 3] -> [N, H, W, 1]
    loss = ns.losses.soft_dice(logits, label).mean()
    dice = ns.metrics.scores(ns.metrics.count(logits, label))["micro"]["dice"]
    nuclei = ns.load_run("runs/first").predict(image[0]).nuclei

Models
    create_model            a decoder on an encoder, and its variables: random, or with ImageNet weights
    create_encoder          an encoder alone: features by stride
    foreground_probability  logits to probabilities
    predicted_label         logits to classes, by the rule of every score
    export_model            a model as one StableHLO program
Training
    losses                  soft_dice, plain_dice, tversky, cross_entropy, focal: a number for each image
    augment                 augmentation of a batch, pure and jit-able; AugmentConfig has its strengths
    paper_optimizer         the paper's optax optimizer: Keras's Adam, coupled L2, frozen stages
Scores
    metrics                 count, count_masks, Counts, scores: exact counts, six conventions
    DatasetInfo             names of classes and groups; NucleusClass is one of its classes
Runs
    load_run                a trained model by path, URL or name, a Run, whose `predict` takes an image to nuclei
Errors
    UserError               a ValueError: what was given, what was expected, what to do

docs/library.md has examples. A name is imported with its first use; `import nucseg_jax` alone imports no JAX.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nucseg_jax import metrics
    from nucseg_jax.config.augment import AugmentConfig
    from nucseg_jax.core.errors import UserError
    from nucseg_jax.create import create_encoder, create_model
    from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
    from nucseg_jax.inference.export import export_model
    from nucseg_jax.load import load_run
    from nucseg_jax.ops import losses
    from nucseg_jax.ops.augment.augmentation import augment
    from nucseg_jax.ops.probability import foreground_probability, predicted_label
    from nucseg_jax.run import Run
    from nucseg_jax.training.optimizer import paper_optimizer

__all__ = [
    "AugmentConfig",
    "DatasetInfo",
    "NucleusClass",
    "Run",
    "UserError",
    "__version__",
    "augment",
    "create_encoder",
    "create_model",
    "export_model",
    "foreground_probability",
    "load_run",
    "losses",
    "metrics",
    "paper_optimizer",
    "predicted_label",
]
__version__ = "0.2.0"

# The module of the package that each name is in.
_SOURCES = {
    "AugmentConfig": "config.augment",
    "DatasetInfo": "data.dataset_info",
    "NucleusClass": "data.dataset_info",
    "Run": "run",
    "UserError": "core.errors",
    "augment": "ops.augment.augmentation",
    "create_encoder": "create",
    "create_model": "create",
    "export_model": "inference.export",
    "foreground_probability": "ops.probability",
    "load_run": "load",
    "paper_optimizer": "training.optimizer",
    "predicted_label": "ops.probability",
}
# Modules that are names themselves.
_MODULES = {"losses": "ops.losses", "metrics": "metrics"}


def __getattr__(name: str) -> Any:
    """Imports a name with its first use."""
    import importlib

    if name in _SOURCES:
        value = getattr(importlib.import_module(f"{__name__}.{_SOURCES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    else:
        from nucseg_jax.core.nearest import did_you_mean

        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{did_you_mean(name, __all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Lists the names that are imported with their first use, too."""
    return sorted({*globals(), *__all__})
