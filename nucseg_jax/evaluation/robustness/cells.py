"""The cells of a robustness benchmark: the clean split, and every kind at every severity."""

from collections.abc import Iterable
from typing import NamedTuple

from nucseg_jax.ops.corruptions.kinds import KINDS, SEVERITIES


class Cell(NamedTuple):
    """One kind at one severity.

    Attributes:
      kind: a name of `KINDS`; 'clean' = the images as they are.
      severity: 1..5; 0 = the images as they are.
    """

    kind: str
    severity: int

    @property
    def name(self) -> str:
        """Names the cell in files: 'clean', 'noise_3'."""
        return f"{self.kind}_{self.severity}" if self.severity else self.kind

    @property
    def value(self) -> float | None:
        """Strength in the kind's unit; None of the clean cell."""
        return KINDS[self.kind].values[self.severity - 1] if self.severity else None

    @property
    def unit(self) -> str:
        """Unit of `value`; '' of the clean cell."""
        return KINDS[self.kind].unit if self.severity else ""


CLEAN = Cell("clean", 0)


def cells_of(kinds: Iterable[str]) -> list[Cell]:
    """Returns the clean cell and those of the kinds, kind by kind, severities ascending."""
    return [CLEAN, *(Cell(kind, severity) for kind in kinds for severity in SEVERITIES)]
