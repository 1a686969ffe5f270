"""A small painted data set in the exact layout of the PanNuke release, so that the same builder reads it.

    Fold k/images/foldk/images.npy   float64 [N, 256, 256, 3]   RGB, 0..255
    Fold k/images/foldk/types.npy    str     [N]                tissues
    Fold k/masks/foldk/masks.npy     float64 [N, 256, 256, 6]   nucleus ids per class; channel 5 = background

The first five patches of every fold hold what trips readers of the release: `TRAPS`, in that order. Beyond
them each comes about as often as it does in the release.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from nucseg_jax.core import files
from nucseg_jax.data.sources.pannuke.synthetic_tissue import RECIPES, Tissue, paint_tissue
from nucseg_jax.data.sources.pannuke.vocabulary import FOLDS, NUCLEUS_CLASSES, PATCH_PX

BACKGROUND_CHANNEL = len(NUCLEUS_CLASSES)

LARGE_IDS = "large_ids"  # All ids above 255.
EMPTY = "empty"  # No nucleus.
VOID = "void"  # Pixels that are zero in all six channels.
OVERLAP = "overlap"  # Pixels claimed by two classes.
HIDDEN = "hidden"  # A nucleus that lies wholly under one of a later channel.
ORDINARY = "ordinary"
TRAPS = (LARGE_IDS, EMPTY, VOID, OVERLAP, HIDDEN)
# Of 7,901 patches 343 are empty, about 162 hold void pixels and 575 hold overlaps.
_LATER_KINDS = {EMPTY: 0.043, VOID: 0.020, OVERLAP: 0.073, ORDINARY: 0.864}
_LARGEST_FIRST_ID = 3000


@dataclasses.dataclass(frozen=True)
class Patch:
    """One row of the three arrays.

    Attributes:
      image: uint8 [256, 256, 3], RGB.
      masks: float64 [256, 256, 6], as the release stores them.
      tissue: as the release spells it.
      kind: one of `TRAPS`, or `ORDINARY`.
    """

    image: np.ndarray
    masks: np.ndarray
    tissue: str
    kind: str


def paint_patch(seed: int, fold: int, index: int) -> Patch:
    """Paints row `index` of a fold: a pure function, so a longer fold begins with the shorter one.

    Args:
      seed: >= 0, of the whole data set.
      fold: 1..3.
      index: >= 0, row in the fold.
    """
    rng = np.random.default_rng((seed, fold, index))
    kind = (
        TRAPS[index]
        if index < len(TRAPS)
        else str(rng.choice(list(_LATER_KINDS), p=[*_LATER_KINDS.values()]))
    )
    tissue = list(RECIPES)[(index + 3 * fold) % len(RECIPES)]
    painted = paint_tissue(rng, RECIPES[tissue], with_nuclei=kind != EMPTY)
    while kind != EMPTY and not painted.labels:
        painted = paint_tissue(rng, RECIPES[tissue])
    first_id = int(rng.integers(256 if kind == LARGE_IDS else 1, _LARGEST_FIRST_ID))
    masks = _masks(painted, first_id)
    if kind == VOID:
        _clear_background(rng, painted, masks)
    elif kind in (OVERLAP, HIDDEN):
        _claim_twice(painted, masks, first_id, whole=kind == HIDDEN)
    return Patch(painted.image, masks, tissue, kind)


def write_release(out: pathlib.Path, *, patches_per_fold: int, seed: int) -> None:
    """Writes three folds under `out`, patch by patch; each array appears whole or not at all.

    Args:
      out: folder, made if missing; existing arrays of the same names are replaced.
      patches_per_fold: >= 5, so that every trap is in every fold; a patch takes 4.7 MB.
      seed: >= 0; the same seed gives the same bytes.

    Raises:
      ValueError: patches_per_fold is below 5 or seed below 0.
      OSError: the disk is full.
    """
    if patches_per_fold < len(TRAPS):
        raise ValueError(f"patches_per_fold is {patches_per_fold}; at least {len(TRAPS)} are needed")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must not be negative")
    size = (PATCH_PX, PATCH_PX)
    for fold in FOLDS:
        images = out / f"Fold {fold}" / "images" / f"fold{fold}"
        masks = out / f"Fold {fold}" / "masks" / f"fold{fold}"
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        tissues = []
        with (
            _rows_of(images / "images.npy", (patches_per_fold, *size, 3)) as append_image,
            _rows_of(masks / "masks.npy", (patches_per_fold, *size, BACKGROUND_CHANNEL + 1)) as append_masks,
        ):
            for index in range(patches_per_fold):
                patch = paint_patch(seed, fold, index)
                append_image(patch.image)
                append_masks(patch.masks)
                tissues.append(patch.tissue)
        with files.atomic_write(images / "types.npy") as part, part.open("wb") as stream:
            np.save(stream, np.array(tissues), allow_pickle=False)


@contextlib.contextmanager
def _rows_of(path: pathlib.Path, shape: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], None]]:
    """A float64 `.npy` of `shape` that takes its rows one after another.

    Plain writes, not a memory map: on a full disk these raise OSError, where a map kills the process.
    """
    with files.atomic_write(path) as part, part.open("wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)

        def append(row: np.ndarray) -> None:
            stream.write(row.astype("<f8", order="C").data)

        yield append


def _masks(painted: Tissue, first_id: int) -> np.ndarray:
    """The six channels of a patch whose ids count from `first_id` on."""
    masks: np.ndarray = np.zeros((PATCH_PX, PATCH_PX, BACKGROUND_CHANNEL + 1), np.float64)
    label = np.array([BACKGROUND_CHANNEL, *painted.labels])[painted.instance]
    value = np.where(painted.instance > 0, painted.instance + (first_id - 1), 1).astype(np.float64)
    np.put_along_axis(masks, label[..., None], value[..., None], axis=-1)
    return masks


def _clear_background(rng: np.random.Generator, painted: Tissue, masks: np.ndarray) -> None:
    """Leaves a disc of background unsaid, in place: zero in all six channels."""
    rows, columns = np.nonzero(painted.instance == 0)
    at = rng.integers(rows.size)
    y, x = np.arange(PATCH_PX)[:, None] - rows[at], np.arange(PATCH_PX)[None, :] - columns[at]
    masks[y**2 + x**2 < 18**2, BACKGROUND_CHANNEL] = 0.0


def _claim_twice(painted: Tissue, masks: np.ndarray, first_id: int, *, whole: bool) -> None:
    """Gives the largest nucleus, or its upper half, to a second class too, under an id of its own; in place.

    With `whole` the two cover the same pixels, so whichever channel comes first is wholly hidden when later
    channels overwrite earlier ones.
    """
    largest = 1 + int(np.argmax(np.bincount(painted.instance.ravel())[1:]))
    channel = painted.labels[largest - 1]
    pixels = painted.instance == largest
    if not whole:
        rows = np.nonzero(pixels.any(axis=1))[0]
        pixels[(rows[0] + rows[-1] + 1) // 2 :] = False
    second = channel + 1 if channel + 1 < BACKGROUND_CHANNEL else channel - 1
    masks[pixels, second] = first_id + len(painted.labels)
