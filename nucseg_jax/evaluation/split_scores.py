"""A model over a whole split: every patch once, exact counts, and the entry of results.json that follows from them."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.counted import counted
from nucseg_jax.core.results import Entry
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.calibration import count_levels, no_levels
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer, TruePatch
from nucseg_jax.evaluation.progress import with_bar
from nucseg_jax.evaluation.step import EvaluatedBatch, EvaluationStep, placed_batches
from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.worker_count import worker_count
from nucseg_jax.ops.objective import WITH_NUCLEI, Objective
from nucseg_jax.ops.probability import FOREGROUND_RULE

Item = TypeVar("Item")
# CPU time to find and count the nuclei of a patch: 28 ms, hover, 240 patches of MoNuSeg on two busy cores, 2026-11-30
# (`python -m benchmarks.parallel_decoding --data=FILE --patches=240 --heads hover --work score`).
_SECONDS_A_PIXEL = 0.028 / 256**2


class SplitScores(NamedTuple):
    """A split as a model sees it.

    Attributes:
      counts: of every patch.
      levels: int64 [256, 2], pixels by predicted probability; see `evaluation.calibration`.
      instances: of every patch; None where nuclei were not scored.
      result: the split's entry of results.json: {convention: {metric: value}}, every term of the objective (mean
        over patches, without its weight; of ratios such as Dice the mean over patches with nuclei too),
        `l2_penalty`, and `loss`, the objective with the penalty (what Keras reports as the loss), None where a
        patch's loss is not finite; and `foreground_rule`, in words, what the mask is that was scored (scores before
        this entry took the largest logit of several classes).
    """

    counts: Counts
    levels: np.ndarray
    result: Entry
    instances: InstanceCounts | None = None


def score_split(
    step: EvaluationStep,
    variables: Variables,
    data: PreparedData,
    split: str,
    *,
    objective: Objective,
    l2_penalty: float,
    batch_size: int,
    mesh: Mesh,
    scorer: NucleusScorer | None = None,
    bar: str = "",
) -> SplitScores:
    """Evaluates every patch of a split once.

    Args:
      step: from `compile_evaluation_step`, with the same objective and mesh.
      variables: of the model.
      data: has the patches of the split.
      split: 'train', 'validation' or 'test'.
      objective: its terms are averaged over the patches.
      l2_penalty: of the variables; part of the loss.
      batch_size: whole patches a batch; no score depends on it (but with batch statistics).
      mesh: where it runs.
      scorer: finds and counts nuclei; None = they are not scored. The patches must have instance ids.
      bar: text of a progress bar; '' for none.
    """
    rows = data.rows(split)
    batches = placed_batches(data.patches, rows, batch_size=batch_size, mesh=mesh)
    barred = with_bar(batches, bar, -(-len(rows) // batch_size))
    workers = scoring_workers(len(rows), data.info.patch_px, platform=mesh.devices.flat[0].platform)
    counts, levels, instances = count_batches(step, variables, barred, scorer, workers=workers)
    if undefined := undefined_images(counts):
        print(
            f"{undefined:,} of the {counted(len(counts.index), 'patch')} of {split}: what the model gives is not a"
            " number. They are scored as background, and the loss is undefined.",
            flush=True,
        )
    result = {
        **counts.scores(data.info),
        **loss_entries(counts, objective, l2_penalty),
        "foreground_rule": FOREGROUND_RULE,
        **({} if instances is None else instances.scores(data.info)),
    }
    return SplitScores(counts, levels, result, instances)


def scoring_workers(patch_count: int, patch_px: int, *, platform: str) -> int:
    """Returns how many processes find and count the nuclei of a split; 1 on CPU, and below some 360 patches of 256 px.

    On CPU XLA uses the cores itself while nuclei are found beside it, in less time than it takes.

    Args:
      patch_count, patch_px: of the split.
      platform: of the devices that the model runs on, 'cpu', 'gpu' or 'tpu'.
    """
    return 1 if platform == "cpu" else worker_count(patch_count * patch_px**2 * _SECONDS_A_PIXEL)


def count_batches(
    step: EvaluationStep,
    variables: Variables,
    batches: Iterable[Batch[jax.Array]],
    scorer: NucleusScorer | None = None,
    *,
    workers: int = 1,
) -> tuple[Counts, np.ndarray, InstanceCounts | None]:
    """Runs the step over batches and gathers on the host what it counts in their valid patches.

    One batch is always under way while the one before is fetched.

    Args:
      step: from `compile_evaluation_step`.
      variables: of the model.
      batches: on the mesh, such as those of `placed_batches`.
      scorer: finds and counts nuclei; None = they are not counted.
      workers: processes that do so, see `map_in_processes`; no count depends on them.

    Returns:
      The counts of the split; its pixels by level, int64 [256, 2], see `evaluation.calibration`; and the counts of its
      nuclei, None without `scorer`.
    """
    parts: list[Counts] = []
    levels = no_levels()

    def fetched() -> Iterator[EvaluatedBatch[np.ndarray]]:
        nonlocal levels
        for running in _one_ahead(step(variables, batch) for batch in batches):
            fetched = running.masks_alone() if scorer is None else running
            seen: EvaluatedBatch[np.ndarray] = jax.device_get(fetched.replace(nucleus=None))
            parts.append(
                Counts.from_batch(
                    counts=seen.counts,
                    losses=seen.losses,
                    index=seen.index,
                    group=seen.group,
                    valid=seen.valid,
                )
            )
            is_counted = seen.valid if seen.valid_px is None else seen.valid[:, None, None] & seen.valid_px
            levels = levels + count_levels(seen.level[is_counted], seen.truth[is_counted])
            yield seen

    if scorer is None:
        instances = None
        for _ in fetched():
            pass
    else:
        instances = _count_nuclei(fetched(), scorer, workers)
    counts = Counts.empty()
    for of_batch in parts:
        counts = counts.merge(of_batch)
    return counts, levels, instances


def _one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yields the items, each once the one after it has been made."""
    items = iter(items)
    for waiting in items:
        for following in items:
            yield waiting
            waiting = following
        yield waiting


def _count_nuclei(
    batches: Iterable[EvaluatedBatch[np.ndarray]], scorer: NucleusScorer, workers: int
) -> InstanceCounts:
    index: list[int] = []
    group: list[int] = []

    def patches() -> Iterator[TruePatch]:
        for seen in batches:
            assert seen.instance is not None
            assert seen.label is not None
            outputs = dict(seen.band().present())
            for position in np.flatnonzero(seen.valid):
                index.append(int(seen.index[position]))
                group.append(int(seen.group[position]))
                band = Band(**{name: values[position] for name, values in outputs.items()})
                yield TruePatch(band, seen.instance[position], seen.label[position])

    images = list(scorer.count_patches(patches(), workers=workers))
    if not images:
        return InstanceCounts.empty(scorer.num_classes)
    return InstanceCounts.of_images(images, index=index, group=group)


def loss_entries(counts: Counts, objective: Objective, l2_penalty: float) -> dict[str, float | None]:
    """Returns the losses of a split's entry of results.json; see `SplitScores.result`."""
    # A split without patches has no losses, one without nuclei no mean over patches with nuclei.
    losses = dict.fromkeys(objective.terms) | counts.mean_losses()
    with_nuclei = dict.fromkeys(objective.terms) | counts.mean_losses_with_nuclei()
    loss = None
    finite = {name: value for name, value in losses.items() if value is not None}
    if len(finite) == len(losses):
        minimised = {
            name: with_nuclei[name] or 0.0 if term.skips_empty else finite[name]
            for name, term in objective.terms.items()
        }
        loss = objective.total(minimised) + l2_penalty
    return {
        "loss": loss,
        **losses,
        "l2_penalty": l2_penalty,
        **{f"{name}{WITH_NUCLEI}": with_nuclei[name] for name in objective.ratios},
    }


def undefined_images(counts: Counts) -> int:
    """Counts the images with a loss that is NaN, as it is where a logit is; such a pixel counts as background."""
    losses = np.array(list(counts.losses.values())).reshape(-1, len(counts.index))
    return int(np.isnan(losses).any(axis=0).sum())
