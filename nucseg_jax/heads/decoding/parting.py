"""The seam between maps and nuclei: decoders of a connected piece of foreground, one for each instance head.

To add one: a file like `part_by_distance.py`, with a frozen dataclass that has what `Parting` lists, and a row of
`PARTINGS`.
"""

from typing import Protocol

import numpy as np

from nucseg_jax.heads.decoding.part_by_distance import DistanceParting
from nucseg_jax.heads.decoding.part_by_hover import HoverParting
from nucseg_jax.heads.decoding.part_by_shape import ShapeParting


class Parting(Protocol):
    """Parameters of a decoder, lengths in microns, and the decoder itself.

    Attributes:
      head: name of the instance head that makes the maps; its row in `PARTINGS`.
      maps: M, the number of maps.
      tuned: the field that `tuning.tune` chooses on the validation split.
      grid: values of that field to try; its default among them.
    """

    @property
    def head(self) -> str: ...  # noqa: D102

    @property
    def maps(self) -> int: ...  # noqa: D102

    @property
    def tuned(self) -> str: ...  # noqa: D102

    @property
    def grid(self) -> tuple[float, ...]: ...  # noqa: D102

    def part(self, piece: np.ndarray, maps: np.ndarray, microns_per_px: float) -> np.ndarray:
        """Parts one connected piece of foreground into nuclei.

        The result depends on the piece and on the maps inside it, on nothing else: outside of the piece all is
        background and every map is 0, whatever `maps` holds there. So it depends on no window, tile or strip.

        Args:
          piece: bool [h, w], 4-connected; what lies outside counts as background.
          maps: float32 [h, w, M].
          microns_per_px: of the piece.

        Returns:
          int32 [h, w]: 0 outside the piece, 1, 2, ... on all of it; each nucleus 4-connected.
        """


# By the name of the instance head, `model.head`.
PARTINGS: dict[str, type[ShapeParting] | type[HoverParting] | type[DistanceParting]] = {
    "none": ShapeParting,
    "hover": HoverParting,
    "distance": DistanceParting,
}
