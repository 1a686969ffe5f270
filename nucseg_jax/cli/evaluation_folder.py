"""The folder of an evaluation inside a run: its name and its files."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from nucseg_jax.config.evaluation import EvalConfig
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import file_digest, sealed
from nucseg_jax.data.prepared import DataPlan
from nucseg_jax.data.store.reader import StoredDataset
from nucseg_jax.evaluation.instances.per_image_instances import write_per_image_instances
from nucseg_jax.evaluation.per_image import write_per_image
from nucseg_jax.evaluation.split_scores import SplitScores

# Fields of `eval` that no score depends on.
WITHOUT_SCORES = ("overlays", "time_inference")


def evaluation_name(
    plan: DataPlan,
    split: str,
    step: int,
    trained: EvalConfig,
    asked: EvalConfig,
    *,
    baselines: bool,
    views: int = 1,
) -> str:
    """Returns the name of an evaluation's folder, made from all its settings, so that no two evaluations share one.

    Fields of `eval` with the run's own values are left out, and those that no score depends on.

    Args:
      plan: data set and splits.
      split: that was scored.
      step: of the checkpoint.
      trained, asked: the run's own settings of evaluation, and those it was scored with.
      baselines: whether they were scored too.
      views: over which the model's outputs were averaged.
    """
    parts = [split, plan.digest[:8], plan.splits.digest[:8], f"step{step}"]
    own, other = dataclasses.asdict(trained), dataclasses.asdict(asked)
    parts += [
        f"{name}={value}"
        for name, value in other.items()
        if value != own[name] and name not in WITHOUT_SCORES
    ]
    if views > 1:
        parts.append(f"views={views}")
    return "-".join([*parts, "baselines"] if baselines else parts)


def write_evaluation(
    out: pathlib.Path,
    outcome: dict[str, Any],
    scored: SplitScores,
    patches: np.ndarray,
    dataset: StoredDataset,
) -> None:
    """Writes per_image.csv, per_image_instances.csv if nuclei were scored, and results.json with their digests.

    Args:
      out: the folder; made if missing.
      outcome: JSON values.
      scored: has the counts of the split.
      patches: of the split, see `write_per_image`.
      dataset: that was scored.

    Raises:
      UserError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        tables = [out / "per_image.csv"]
        write_per_image(tables[0], scored.counts, patches, info=dataset.info, index=dataset.index)
        if scored.instances is not None:
            tables.append(out / "per_image_instances.csv")
            write_per_image_instances(
                tables[1], scored.instances, patches, info=dataset.info, index=dataset.index
            )
        digests = {table.name: file_digest(table) for table in tables}
        write_json(out / "results.json", sealed({**outcome, "files": digests}))
    except OSError as error:
        raise UserError(
            f"the scores above were not saved: {out} cannot be written: {error.strerror or error}",
            advice="make the run folder writable, or copy it and evaluate the copy",
        ) from None
