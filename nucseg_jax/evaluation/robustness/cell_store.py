"""The finished cells of one model on one split, a file each, so that a rerun computes only what is missing.

about.json    the run, the data, the package: what all cells of the folder depend on
clean.json, noise_3.json, ...
"""

import dataclasses
import pathlib

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import sealed, unsealed
from nucseg_jax.core.strict_json import JsonObject, read_json
from nucseg_jax.evaluation.robustness.cell_scores import CellScores
from nucseg_jax.evaluation.robustness.cells import Cell

_ADVICE = "choose another --out, or remove {} to score all of its cells again"


@dataclasses.dataclass(frozen=True)
class CellStore:
    """A folder of cells.

    Attributes:
      folder: the folder, made by the first cell that is written.
      about: JSON values that all its cells depend on.
    """

    folder: pathlib.Path
    about: JsonObject

    def require_same(self) -> None:
        """Raises UserError if the folder has cells of another run, split, number of views or package."""
        path = self.folder / "about.json"
        if not path.exists():
            return
        known = self._read(path)
        changes = [
            f"{name}: {known.get(name)!r} -> {self.about.get(name)!r}"
            for name in dict.fromkeys([*known, *self.about])
            if known.get(name) != self.about.get(name)
        ]
        if changes:
            raise UserError(
                f"{self.folder} holds cells of another run, split, number of views or package: "
                + "; ".join(changes),
                expected="the --out of the same command, or a new folder",
                advice=_ADVICE.format(self.folder),
            )

    def read(self, cell: Cell) -> CellScores | None:
        """Reads a finished cell; None if it is not there.

        Raises:
          UserError: it is damaged.
        """
        path = self._path(cell)
        if not path.exists():
            return None
        values = self._read(path)
        try:
            return CellScores.from_json(values, cell)
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(path, error) from None

    def write(self, cell: Cell, scores: CellScores) -> None:
        """Writes a cell atomically; before the first one `about.json`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "about.json").exists():
            write_json(self.folder / "about.json", sealed(self.about))
        write_json(self._path(cell), sealed(scores.as_json(cell)))

    def _path(self, cell: Cell) -> pathlib.Path:
        return self.folder / f"{cell.name}.json"

    def _read(self, path: pathlib.Path) -> JsonObject:
        try:
            return unsealed(read_json(path))
        except (OSError, ValueError, AttributeError) as error:
            raise self._damaged(path, error) from None

    def _damaged(self, path: pathlib.Path, error: Exception) -> UserError:
        return UserError(
            f"{path} is damaged: {reason_of(error)}",
            expected="a file that robustness wrote",
            advice=_ADVICE.format(path if path.name != "about.json" else self.folder),
        )
