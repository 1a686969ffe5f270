"""Fields of `eval`."""

import dataclasses
from typing import Literal

from nucseg_jax.core.config_field import field

Comparison = Literal["never", "end", "epochs"]


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
    compare_statistics: Comparison = field(
        "never",
        "When to score also with the statistics of the batch at hand, which the model trains with, and with moving or"
        " re-estimated ones, whichever reestimate_batch_norm did not choose. end: when training ends, and in"
        " `evaluate`; epochs: also with those of the batch at hand in every validation.",
        affects="nothing",
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
    time_inference: bool = field(
        True,
        "Measures seconds per image at batch 1 and 8 when training ends (Table 5).",
        affects="nothing",
    )
