"""Maps of many patches to nuclei, on idle cores: what evaluation does after the model."""

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.in_processes import map_in_processes

LevelAndMaps = tuple[np.ndarray, np.ndarray | None]


def decode_patches(
    patches: Iterable[LevelAndMaps], rule: NucleusRule, *, microns_per_px: float, workers: int = 1
) -> Iterator[np.ndarray]:
    """Finds the nuclei of independent patches.

    Args:
      patches: of each the probability, uint8 [h, w] in 255ths, and the maps, int8 [h, w, M] (see `quantize`) or None.
      rule: what counts as a nucleus.
      microns_per_px: of all patches.
      workers: processes; see `map_in_processes`. One decodes a patch of 256 px in 5 (distance) to 12 ms (none); more
        take seconds to start, and pay off from some 500 patches on where cores are idle.

    Returns:
      An iterator over int32 [h, w], as `find_nuclei` gives them, in the order of the patches.

    Raises:
      UserError: the rule needs other maps, or there is no worker.
    """
    decode = functools.partial(_decode, rule=rule, microns_per_px=microns_per_px)
    return map_in_processes(decode, patches, workers=workers)


def _decode(patch: LevelAndMaps, *, rule: NucleusRule, microns_per_px: float) -> np.ndarray:
    level, maps = patch
    return find_nuclei(level, maps, rule, microns_per_px=microns_per_px)
