"""A split with its images corrupted, scored by the evaluation step that is compiled already.

Kinds that run on devices are applied to a batch on the mesh, one compiled program for each kind with the severity as
an argument; kinds of the host are applied when patches are taken.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.patch_store import Patches, PatchStore
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.evaluator import Evaluator
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer
from nucseg_jax.evaluation.robustness.cells import Cell
from nucseg_jax.evaluation.split_scores import SplitScores
from nucseg_jax.ops.corruptions.draws import cell_keys, content_digests
from nucseg_jax.ops.corruptions.kinds import KINDS, corrupted_on_device
from nucseg_jax.runtime.mesh import batch_sharded, examples_sharded, replicated
from nucseg_jax.runtime.placement import put

_PATCHES_AT_ONCE = 64

Seen = TypeVar("Seen")
Step: TypeAlias = Callable[[Variables, Batch[jax.Array]], Seen]


@dataclasses.dataclass(frozen=True)
class CorruptedPatches:
    """Patches whose images are changed on the host when they are taken; a `PatchStore`.

    Attributes:
      patches: as they are.
      change: an image, uint8 [S, S, 3], to one like it.
    """

    patches: PatchStore
    change: Callable[[np.ndarray], np.ndarray]

    @property
    def fold(self) -> np.ndarray:
        """int32 [P], of the patches."""
        return self.patches.fold

    @property
    def index(self) -> np.ndarray:
        """int32 [P], of the patches."""
        return self.patches.index

    def take(self, rows: np.ndarray) -> Patches:
        """Takes the patches of these rows, int [N], and changes their images."""
        taken = self.patches.take(rows)
        return dataclasses.replace(taken, image=np.stack([self.change(one) for one in taken.image]))


@dataclasses.dataclass(frozen=True)
class CorruptedSplit:
    """Scores one split of one model in any cell; reuse it, it caches compiled programs.

    Attributes:
      evaluator: of the model, on the mesh that everything runs on.
      variables: that are scored.
      data: has the patches of the split.
      split: 'train', 'validation' or 'test'.
      scorer: finds and counts nuclei; None = they are not scored.
    """

    evaluator: Evaluator
    variables: Variables
    data: PreparedData
    split: str
    scorer: NucleusScorer | None = None

    def score(self, cell: Cell) -> SplitScores:
        """Scores every patch of the split in one cell; the clean one as `Evaluator.score` does.

        Batch-norm statistics of scored patches are those of the corrupted ones.
        """
        how = self.evaluator.reestimation
        of_scored = self.evaluator.reestimates and how.on == "scored"
        once = dataclasses.replace(
            self.evaluator,
            step=self._of_corrupted(self.evaluator.step, cell),
            reestimation=dataclasses.replace(
                how, statistics_step=self._of_corrupted(how.statistics_step, cell)
            )
            if of_scored
            else how,
            reestimates=of_scored,
            compares="never",
        )
        no_rows = np.zeros(0, np.int64)
        _, scored = once.score(self.variables, self._data(cell), no_rows, [self.split], scorer=self.scorer)[
            self.split
        ]
        return scored

    def _data(self, cell: Cell) -> PreparedData:
        on_host, value = KINDS[cell.kind].on_host if cell.severity else None, cell.value
        if on_host is None or value is None:
            return self.data
        return self.data._replace(
            patches=CorruptedPatches(self.data.patches, lambda image: on_host(image, value))
        )

    def _of_corrupted(self, step: Step[Seen], cell: Cell) -> Step[Seen]:
        """Returns a step of batches that are corrupted on the devices before it."""
        if not cell.severity or KINDS[cell.kind].on_device is None:
            return step
        mesh = self.evaluator.mesh
        corrupt = compile_corruption(cell.kind, self.data.info.microns_per_px, mesh)
        keys = put(cell_keys(self._contents, cell.kind, cell.severity), replicated(mesh))
        value = np.float32(cell.value)

        def corrupted_step(variables: Variables, batch: Batch[jax.Array]) -> Seen:
            return step(variables, batch.replace(image=corrupt(batch.image, keys, batch.index, value)))

        return corrupted_step

    @functools.cached_property
    def _contents(self) -> list[bytes]:
        """Digest of each image of the split, in the order of its list."""
        rows = self.data.rows(self.split)
        return [
            digest
            for first in range(0, len(rows), _PATCHES_AT_ONCE)
            for digest in content_digests(
                self.data.patches.take(rows[first : first + _PATCHES_AT_ONCE]).image
            )
        ]


@functools.lru_cache(maxsize=len(KINDS))
def compile_corruption(kind: str, microns_per_px: float, mesh: Mesh) -> jax.stages.Wrapped:
    """Returns a jitted function from images on the mesh to corrupted ones in the same places.

    Its arguments: image uint8 [N, H, W, 3]; keys uint32 [P, 2] of the whole split, see `draws.cell_keys`; index int32
    [N], position of each image in the split, of padding any; value float32 [], the strength.

    Args:
      kind: one with `on_device`.
      microns_per_px: of the images.
      mesh: the batch is split over it.
    """
    shardings = batch_sharded(mesh)

    def corrupt(image: jax.Array, keys: jax.Array, index: jax.Array, value: jax.Array) -> jax.Array:
        # Blurs reach over rows: a device has whole images here, also where 'space' splits them.
        whole = jax.lax.with_sharding_constraint(image, examples_sharded(mesh))
        return corrupted_on_device(whole, keys[index % len(keys)], value, kind, microns_per_px)

    everywhere = replicated(mesh)
    return jax.jit(
        corrupt,
        in_shardings=(shardings.image, everywhere, shardings.index, everywhere),
        out_shardings=shardings.image,
    )
