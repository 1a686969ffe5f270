"""Batch-norm statistics of the images that a model will be given, in place of those that it was trained on.

Another stain or scanner moves the means and variances inside a model; estimated again on the new images, without
labels, they fit (Schneider et al. 2020, arXiv:2006.16971).
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.batches import shuffled_batches
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.evaluation.batch_norm import compile_statistics_step, reestimate_batch_statistics
from nucseg_jax.inference.tiling.job import Job
from nucseg_jax.inference.tiling.stream import Failed, Tile, read_events
from nucseg_jax.inference.tiling.tiles import spread_tiles
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.runtime.placement import held_examples, put_batch

# In all, spread over the images: a mean over 256 tiles moves by little with more.
MOST_TILES = 256
_SEED = 0


def adapted_variables(
    model: Segmenter,
    variables: Variables,
    mesh: Mesh,
    jobs: Iterable[Job | Failed],
    *,
    momentum: float,
    unbiased_variance: bool,
    batch_size: int,
) -> Variables:
    """Returns variables with statistics of images; weights, and statistics that the run froze, stay what they are.

    The statistics are those of full batches of tiles in an order without chance; tiles that fill no batch are left
    out, and of fewer tiles than a batch each is repeated until they fill one. They depend on the images, on the size of
    tiles and on `batch_size`.

    Args:
      model: that predicts.
      variables: of the model.
      mesh: where they are.
      jobs: images, of tiles of one size; read once, `thinned` where they have many tiles.
      momentum, unbiased_variance: of its batch norms, see `compile_statistics_step`.
      batch_size: tiles in a batch, a multiple of the devices.

    Raises:
      UserError: a model without batch norm, images without one tile of tissue, or statistics that are not finite.
    """
    if not variables.get("batch_stats"):
        raise UserError("the model has no batch norm, whose statistics could be those of the images")
    tiles, failures = [], []
    for event in read_events(jobs):
        if isinstance(event, Tile):
            tiles.append(event.values)
        elif isinstance(event, Failed):
            failures.append(event)
    if not tiles:
        reason = f" The first: {failures[0].error}" if failures else ""
        raise UserError(
            "no image could be read that has tissue, so that there are no statistics of the images",
            expected=f"at least one image with tissue.{reason}",
        )
    model = model.without_dropout()
    step = compile_statistics_step(
        model,
        mesh,
        momentum=momentum,
        unbiased_variance=unbiased_variance,
        frozen_stages=model.encoder.frozen_statistics,
    )
    patches, held = _as_patches(tiles), held_examples(mesh, batch_size)
    batches = (
        put_batch(batch, mesh, batch_size=batch_size)
        for batch in shuffled_batches(
            patches, np.arange(len(tiles)), batch_size=batch_size, seed=_SEED, held=held
        )
    )
    return reestimate_batch_statistics(step, variables, batches, unbiased_variance=unbiased_variance)


def thinned(job: Job, most: int) -> Job:
    """Returns a job with at most so many of its tiles, spread over the image."""
    return dataclasses.replace(job, is_computed=spread_tiles(job.is_computed, most))


def tiles_an_image(image_count: int) -> int:
    """Returns how many tiles of each image are looked at.

    >>> [tiles_an_image(count) for count in (1, 100, 10_000)]
    [256, 3, 1]
    """
    return max(1, round(MOST_TILES / max(image_count, 1)))


def _as_patches(tiles: list[np.ndarray]) -> Patches:
    """Returns tiles as patches without labels."""
    image, numbers = np.stack(tiles), np.arange(len(tiles), dtype=np.int32)
    return Patches(
        image=image,
        label=np.zeros(image.shape[:3], np.uint8),
        group=np.zeros_like(numbers),
        fold=np.zeros_like(numbers),
        index=numbers,
    )
