"""`evaluate --predictions`: nuclei that another program found, scored against a prepared split."""

import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from nucseg_jax.cli.table import instance_table
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import sealed
from nucseg_jax.data.prepared import PreparedData, plan_data
from nucseg_jax.evaluation.instances.given_predictions import GivenPrediction, open_predictions
from nucseg_jax.evaluation.instances.image_counts import classified_pair, count_image
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.per_nucleus import nucleus_columns, write_per_nucleus
from nucseg_jax.evaluation.progress import with_bar
from nucseg_jax.experiment import Experiment

# Patches that are read together.
_CHUNK = 32


def evaluate_predictions(
    experiment: Experiment, predictions: pathlib.Path, *, split: str, out: pathlib.Path | None
) -> None:
    """Prints the scores of given nuclei, and writes them with a table of nuclei on request.

    Args:
      experiment: names data and split.
      predictions: a folder or an array; see `evaluation.instances.given_predictions`.
      split: 'train', 'validation' or 'test'.
      out: folder for instances.json and nuclei.csv; None = nothing is written.

    Raises:
      UserError: no data, predictions that do not fit the split, or a folder that cannot be written.
    """
    plan = plan_data(
        experiment.data.prepared_folder,
        experiment.splits,
        used=[split],
        allow_duplicates=True,
        with_instances=True,
    )
    info = plan.info
    given = open_predictions(predictions, getattr(plan.splits, split), info)
    data = plan.read_or_open([split])
    print(f"{predictions} on {split}: {counted(len(given), 'patch')}\n", flush=True)
    num_classes = len(info.classes) if given.has_classes else 0
    images, groups, columns = [], [], []
    for position, truth, label, group, prediction in with_bar(
        _pairs(data, split, given), f"scoring {split}", len(given)
    ):
        arguments = (truth, label, prediction.instance, prediction.class_of)
        images.append(count_image(*arguments, num_classes=num_classes, microns_per_px=info.microns_per_px))
        groups.append(group)
        if out is not None:
            pair = classified_pair(*arguments, num_classes=num_classes)
            columns.append(nucleus_columns(position, pair, info))
    counts = InstanceCounts.of_images(images, index=range(len(images)), group=groups)
    scores = counts.scores(info)
    print(instance_table(scores["instances"], info))
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_per_nucleus(out / "nuclei.csv", columns)
        about = {
            "predictions": str(predictions),
            "data_digest": plan.digest,
            "split_digest": plan.splits.digest,
        }
        write_json(out / "instances.json", sealed({split: scores, "about": about}))
    except OSError as error:
        raise UserError(
            f"the scores above were not saved: {out} cannot be written: {error.strerror or error}",
            advice="choose another --out",
        ) from None
    print(f"\nwritten to {out}")


def _pairs(
    data: PreparedData, split: str, given: Iterable[GivenPrediction]
) -> Iterator[tuple[int, np.ndarray, np.ndarray, int, GivenPrediction]]:
    """Yields position, ids, label and group of each patch, and what was predicted in it."""
    rows = data.rows(split)
    predicted = iter(given)
    for first in range(0, len(rows), _CHUNK):
        taken = data.patches.take(rows[first : first + _CHUNK])
        assert taken.instance is not None
        for offset, (truth, label, group) in enumerate(
            zip(taken.instance, taken.label, taken.group.tolist(), strict=True)
        ):
            yield first + offset, truth, label, group, next(predicted)
    # What only shows at the end, such as masks in the place of ids.
    if next(predicted, None) is not None:
        raise AssertionError("more predictions than patches")
