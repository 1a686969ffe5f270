"""Scores of nuclei for the run folders of `conftest.write_run`, counted on small maps that a test can look at too."""

import functools
import json
import pathlib

import numpy as np

from nucseg_jax.core.files import write_json
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.instances.image_counts import count_image
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.per_image_instances import (
    per_image_instances_path,
    write_per_image_instances,
)
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from tests.evaluation.instances.random_maps import Image, random_image
from tests.reporting.conftest import index_of


@functools.cache
def image_of(split: str, position: int, seed: int, quality: float) -> Image:
    """The truth depends on split and position alone; the share `quality` of its nuclei is found, some a px aside."""
    truth = random_image(1000 * len(split) + position)
    rng = np.random.default_rng((len(split), position, seed))
    ids = np.unique(truth.truth)
    is_found = rng.random(truth.truth.max() + 1) < quality
    prediction = np.where(is_found[truth.truth], truth.truth, 0).astype(np.uint32)
    prediction[np.isin(prediction, ids[::2])] = 0
    prediction = np.maximum(
        prediction, np.roll(np.where(np.isin(truth.truth, ids[::2]), truth.truth, 0), 1, 0)
    )
    classes = np.zeros(256, np.uint8)
    classes[ids] = rng.integers(0, 6, len(ids))
    for number in ids[1:]:
        if rng.random() < quality:
            classes[number] = np.bincount(truth.label[truth.truth == number]).argmax()
    return Image(truth.truth, truth.label, prediction.astype(np.uint32), classes)


def counts_of(run: pathlib.Path, split: str, *, quality: float) -> InstanceCounts:
    """Counts of all images of a split, in the groups of the run's counts of pixels."""
    config = json.loads((run / "config.json").read_text())
    pixels, _ = read_per_image(per_image_path(run, split), PANNUKE)
    num_classes = config["model"]["num_classes"] - 1
    images = [image_of(split, int(position), config["train"]["seed"], quality) for position in pixels.index]
    counted = [count_image(*image, num_classes=num_classes, microns_per_px=1.0) for image in images]
    return InstanceCounts.of_images(counted, index=pixels.index.tolist(), group=pixels.group.tolist())


def add_nuclei(run: pathlib.Path, *, quality: float) -> pathlib.Path:
    """Adds what a run leaves whose nuclei are scored."""
    results = json.loads((run / "results.json").read_text())
    for split in SPLIT_NAMES:
        counts = counts_of(run, split, quality=quality)
        results[split] |= counts.scores(PANNUKE)
        _, patches = read_per_image(per_image_path(run, split), PANNUKE)
        path = per_image_instances_path(run, split)
        write_per_image_instances(path, counts, patches, info=PANNUKE, index=index_of(None))
    write_json(run / "results.json", results)
    return run
