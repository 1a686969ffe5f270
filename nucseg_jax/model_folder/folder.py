"""The model folder: what predicting needs, in plain formats, sealed.

model.json     facts, digests of the other files, and its own; written last
weights.npz    the variables of the model by name
seen.json      the patches that it was trained and selected on, so that nobody scores it on them unawares
README.md      the model card
"""

import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import write_json, write_text
from nucseg_jax.core.seal import file_digest, sealed, unsealed
from nucseg_jax.core.strict_json import JsonObject, read_json
from nucseg_jax.model_folder.facts import ModelFacts
from nucseg_jax.model_folder.named import MODEL
from nucseg_jax.model_folder.stored_weights import read_weights, write_weights

WEIGHTS, SEEN, CARD = "weights.npz", "seen.json", "README.md"
_FILES = (WEIGHTS, SEEN, CARD)
_RUN_CONFIG = "config.json"
_ADVICE = "restore the folder from a copy, install the package again, or export the model again"


@dataclasses.dataclass(frozen=True)
class ModelFolder:
    """A model folder whose files are as they were written.

    Attributes:
      path: the folder.
      facts: about the model.
    """

    path: pathlib.Path
    facts: ModelFacts

    @property
    def card(self) -> pathlib.Path:
        """The model card, Markdown."""
        return self.path / CARD

    def read_seen(self) -> list[JsonObject]:
        """Reads the patches that the model has seen, see `cli.seen_patches`.

        Raises:
          UserError: the file is damaged.
        """
        path = self.path / SEEN
        try:
            seen = read_json(path)
            if not isinstance(seen, list) or not all(isinstance(each, dict) for each in seen):
                raise ValueError("it is no list of data sets")
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged: {reason_of(error)}", advice=_ADVICE) from None
        return seen

    def read_variables(self, like: Variables) -> Variables:
        """Reads the model's variables, float32 on the host.

        Args:
          like: their shapes.

        Raises:
          UserError: the file does not hold this model.
        """
        path = self.path / WEIGHTS
        try:
            return read_weights(path, like)
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise UserError(f"{path} is damaged: {reason_of(error)}", advice=_ADVICE) from None


def require_some_model(path: pathlib.Path) -> None:
    """Raises UserError for a folder that is neither a model folder nor a run folder."""
    if path.is_dir() and not (path / MODEL).exists() and not (path / _RUN_CONFIG).exists():
        raise UserError(
            f"{path} holds no model: it has neither {_RUN_CONFIG}, as run folders, nor {MODEL}, as model folders",
            expected="the --workdir of a training run, or the --out of export --format=folder",
        )


def refuse_model_folder(path: pathlib.Path) -> None:
    """Raises UserError for a model folder where the folder of a run is needed."""
    if (path / MODEL).exists() and not (path / _RUN_CONFIG).exists():
        raise UserError(
            f"{path} is a model folder: it has neither the config nor the splits nor the checkpoints of a run",
            expected="the folder of a training run",
            advice="give the --workdir of a training run; predict, evaluate and export take a model folder as --model",
        )


def is_model_folder(path: pathlib.Path) -> bool:
    """Returns whether a folder is a model folder, damaged or not.

    Raises:
      UserError: it is a run folder too.
    """
    if not (path / MODEL).exists():
        return False
    if (path / _RUN_CONFIG).exists():
        raise UserError(
            f"{path} holds both {MODEL} and {_RUN_CONFIG}",
            expected="a model folder or a run folder",
            advice=f"move the files of the model ({MODEL}, {', '.join(_FILES)}) into a folder of their own",
        )
    return True


def read_model_folder(path: pathlib.Path) -> ModelFolder:
    """Opens a model folder and compares its files with their digests; reads no array.

    Raises:
      UserError: a file is missing, damaged or altered, or a later version wrote it; names the file.
    """
    file = path / MODEL
    try:
        values = read_json(file)
        if not isinstance(values, dict):
            raise ValueError("it is no object")
        digests = unsealed(values)["files"]
        facts = ModelFacts.from_json(values)
        recorded = {name: (int(digests[name]["bytes"]), digests[name]["sha256"]) for name in _FILES}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file} cannot be read: {reason_of(error)}",
            expected="the file that export wrote",
            advice=_ADVICE,
        ) from None
    for name, (size, sha256) in recorded.items():
        _require_file(path / name, size, sha256)
    return ModelFolder(path, facts)


def write_model_folder(
    path: pathlib.Path,
    facts: ModelFacts,
    arrays: Mapping[str, np.ndarray],
    seen: Sequence[JsonObject],
    card: str,
) -> None:
    """Writes the files into an empty folder.

    Args:
      path: the folder.
      facts: about the model.
      arrays: see `stored_arrays`.
      seen: the patches that the model has seen.
      card: the text of README.md.

    Raises:
      OSError: it cannot be written.
    """
    write_weights(path / WEIGHTS, arrays)
    write_text(path / SEEN, json.dumps(seen, allow_nan=False) + "\n")
    write_text(path / CARD, card)
    files = {name: file_digest(path / name) for name in _FILES}
    write_json(path / MODEL, sealed({**facts.as_json(), "files": files}))


def require_replaceable(out: pathlib.Path) -> None:
    """Raises UserError unless nothing is there, an empty folder, or a model folder with nothing else in it."""
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not out.is_dir():
        raise UserError(
            f"{out} is a {'link' if out.is_symlink() else 'file'}", expected="a new folder", advice=_OUT
        )
    names = {entry.name for entry in out.iterdir()}
    if names and (MODEL not in names or names - {MODEL, *_FILES}):
        others = sorted(names - {MODEL, *_FILES} or names)
        raise UserError(
            f"{out} holds other files than a model: {', '.join(others[:3])}{', ...' if others[3:] else ''}",
            expected="a new folder, an empty one, or a model folder to be replaced",
            advice=_OUT,
        )


_OUT = "choose another --out"


def _require_file(path: pathlib.Path, size: int, sha256: str) -> None:
    expected = f"a file of {size:,} bytes with SHA-256 {str(sha256)[:12]}"
    try:
        found = file_digest(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {reason_of(error)}", expected=expected, advice=_ADVICE
        ) from None
    if (found["bytes"], found["sha256"]) != (size, sha256):
        raise UserError(
            f"{path} is damaged or was altered: it holds {found['bytes']:,} bytes with SHA-256"
            f" {found['sha256'][:12]}",
            expected=expected,
            advice=_ADVICE,
        )
