"""Fields of `eval`."""

import dataclasses
from typing import Literal

from nucseg_jax.core.config_field import field

EstimatedOn = Literal["training", "scored"]
Comparison = Literal["never", "end", "epochs"]
StainNormalization = Literal["none", "reinhard", "macenko"]


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """Evaluation."""

    batch_size: int = field(8, "Whole patches per batch; no score depends on it.", at_least=1)
    reestimate_batch_norm: bool = field(
        False,
        "Estimates batch norm's statistics again on the training tiles before every evaluation; the paper uses the"
        " moving ones, which lag behind the weights while strong L2 still shrinks them.",
        phrase=lambda again: "re-estimated statistics" if again else "moving statistics",
    )
    estimate_on: EstimatedOn = field(
        "training",
        "With reestimate_batch_norm: the images that statistics are estimated on. training: tiles of the training"
        " split, shuffled, not augmented. scored: the patches that are scored, whole, without their labels, each split,"
        " data set and corruption by itself (Schneider et al. 2020, arXiv:2006.16971).",
        was_added=True,
        phrase="statistics of {} images",
    )
    compare_statistics: Comparison = field(
        "never",
        "When to score also with the statistics of the batch at hand, which the model trains with, and with moving or"
        " re-estimated ones, whichever reestimate_batch_norm did not choose. end: when training ends, and in"
        " `evaluate`; epochs: also with those of the batch at hand in every validation.",
        affects="nothing",
    )
    calibrate: bool = field(
        False,
        "Fits one temperature on the validation split when training ends (temperature.json). The logits of the best"
        " checkpoint are divided by it in scores, `evaluate`, `robustness`, `predict` and `export`, so that"
        " probabilities are shares (Guo et al. 2017). Validation during training is without it.",
        was_added=True,
        phrase=lambda fits: "calibrated" if fits else "not calibrated",
    )
    overlays: int = field(
        6,
        "Patches of each split whose predictions are drawn, spread evenly; half as many best and worst ones are kept"
        " for the report too.",
        at_least=0,
        affects="nothing",
    )
    instances: bool = field(
        False,
        "Finds and scores nuclei (PQ, AJI, F1) of a run without an instance head too when training ends, and in"
        " `evaluate`; one with a head always does.",
        affects="nothing",
        was_added=True,
    )
    tune_nuclei: bool = field(
        False,
        "Chooses what counts as a nucleus (threshold, depth, smallest size) on the validation split of a run without an"
        " instance head too, and scores its nuclei; one with a head always does.",
        affects="nothing",
        was_added=True,
    )
    stain_normalization: StainNormalization = field(
        "none",
        "Brings each image that is evaluated or predicted to the stain statistics of the run's training split before"
        " the model sees it: in validation, the choice of the checkpoint, the rule of nuclei, all scores and `predict`."
        " Training tiles stay as they are, also where batch norm's statistics are estimated again. reinhard: mean and"
        " deviation of each channel of CIE LAB; macenko: the two stains in optical density.",
        was_added=True,
        phrase=lambda method: (
            "no stain normalisation"
            if method == "none"
            else f"{method.capitalize()} stain normalisation in evaluation"
        ),
    )
    time_inference: bool = field(
        True,
        "Measures seconds per image at batch 1 and 8 when training ends (Table 5).",
        affects="nothing",
    )
