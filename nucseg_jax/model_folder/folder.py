"""The model folder: what predicting needs, in plain formats, sealed.

model.json     facts, digests of the other files, and its own; written last
weights.npz    the variables of the model by name
seen.json      the patches that it was trained and selected on, so that nobody scores it on them unawares
README.md      the model card
run.json       where it comes from: the run's config, scores, split and versions; folders of before lack it

A packed model is the same as one file (`packed`): what follows takes either.
"""

import dataclasses
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import read_file, write_json, write_text
from nucseg_jax.core.seal import file_digest, named_digest, sealed, unsealed
from nucseg_jax.core.strict_json import JsonObject, parse_json
from nucseg_jax.model_folder.facts import ModelFacts
from nucseg_jax.model_folder.named import MODEL
from nucseg_jax.model_folder.packed import read_packed, write_packed
from nucseg_jax.model_folder.stored_weights import read_weights, write_weights

WEIGHTS, SEEN, CARD, ORIGIN = "weights.npz", "seen.json", "README.md", "run.json"
_FILES = (WEIGHTS, SEEN, CARD)
_ALL_FILES = (MODEL, *_FILES, ORIGIN)
_RUN_CONFIG = "config.json"
_ADVICE = "restore the folder from a copy, install the package again, or export the model again"
_ADVICE_PACKED = "copy or download the file again, or pack the model again"


@dataclasses.dataclass(frozen=True)
class ModelFolder:
    """A model folder, or a packed model, whose files are as they were written.

    Attributes:
      path: the folder or the file.
      facts: about the model.
      names: of its files.
    """

    path: pathlib.Path
    facts: ModelFacts
    names: tuple[str, ...]

    @property
    def card(self) -> pathlib.Path:
        """Path of the model card, Markdown; a packed model has none, see `read_card`."""
        return self.path / CARD

    def read_card(self) -> str:
        """Reads the model card.

        Raises:
          UserError: the file is damaged.
        """
        try:
            return _content(self.path, CARD).decode()
        except (OSError, ValueError) as error:
            raise self._damaged(CARD, error) from None

    def read_seen(self) -> list[JsonObject]:
        """Reads the patches that the model has seen, see `cli.seen_patches`.

        Raises:
          UserError: the file is damaged.
        """
        try:
            seen = parse_json(_content(self.path, SEEN))
            if not isinstance(seen, list) or not all(isinstance(each, dict) for each in seen):
                raise ValueError("it is no list of data sets")
        except (OSError, ValueError) as error:
            raise self._damaged(SEEN, error) from None
        return seen

    def read_variables(self, like: Variables) -> Variables:
        """Reads the model's variables, float32 on the host.

        Args:
          like: their shapes.

        Raises:
          UserError: the file does not hold this model.
        """
        try:
            return read_weights(io.BytesIO(_content(self.path, WEIGHTS)), like)
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise self._damaged(WEIGHTS, error) from None

    def pack(self, out: pathlib.Path) -> None:
        """Writes all of it as one file, atomically; the bytes follow from the content of its files alone.

        Raises:
          ValueError: more than 2 GiB.
          OSError: it cannot be written.
        """
        write_packed(out, {name: _content(self.path, name) for name in self.names})

    def _damaged(self, name: str, error: Exception) -> UserError:
        return UserError(
            f"{_place(self.path, name)} is damaged: {reason_of(error)}", advice=_advice(self.path)
        )


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
    """Returns whether a path is a model folder or a file, which should be a packed model; damaged or not.

    Raises:
      UserError: it is a run folder too.
    """
    if path.is_file():
        return True
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
    """Opens a model folder or a packed model and compares its files with their digests; makes no array.

    Raises:
      UserError: a file is missing, damaged or altered, or a later version wrote it; names the file.
    """
    try:
        values = parse_json(_content(path, MODEL))
        if not isinstance(values, dict):
            raise ValueError("it is no object")
        digests = unsealed(values)["files"]
        facts = ModelFacts.from_json(values)
        names = (*_FILES, *(name for name in (ORIGIN,) if name in digests))
        recorded = {name: (int(digests[name]["bytes"]), digests[name]["sha256"]) for name in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{_place(path, MODEL)} cannot be read: {reason_of(error)}",
            expected="a file that share wrote, a model folder, or a run folder"
            if path.is_file()
            else "the file that export wrote",
            advice=_advice(path),
        ) from None
    for name, (size, sha256) in recorded.items():
        _require_file(path, name, size, sha256)
    return ModelFolder(path, facts, (MODEL, *names))


def write_model_folder(
    path: pathlib.Path,
    facts: ModelFacts,
    arrays: Mapping[str, np.ndarray],
    seen: Sequence[JsonObject],
    card: str,
    origin: JsonObject,
) -> None:
    """Writes the files into an empty folder.

    Args:
      path: the folder.
      facts: about the model.
      arrays: see `stored_arrays`.
      seen: the patches that the model has seen.
      card: the text of README.md.
      origin: where the model comes from, see `cli.model_origin`.

    Raises:
      OSError: it cannot be written.
    """
    write_weights(path / WEIGHTS, arrays)
    write_text(path / SEEN, json.dumps(seen, allow_nan=False) + "\n")
    write_text(path / CARD, card)
    write_json(path / ORIGIN, origin)
    files = {name: file_digest(path / name) for name in (*_FILES, ORIGIN)}
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
    if names and (MODEL not in names or names - set(_ALL_FILES)):
        others = sorted(names - set(_ALL_FILES) or names)
        raise UserError(
            f"{out} holds other files than a model: {', '.join(others[:3])}{', ...' if others[3:] else ''}",
            expected="a new folder, an empty one, or a model folder to be replaced",
            advice=_OUT,
        )


_OUT = "choose another --out"


def _content(path: pathlib.Path, name: str) -> bytes:
    """Reads a file of a model folder, or of a packed model."""
    return read_packed(path, name, _ALL_FILES) if path.is_file() else read_file(path / name)


def _place(path: pathlib.Path, name: str) -> str:
    """Names a file of a model to people."""
    return f"{path} > {name}" if path.is_file() else str(path / name)


def _advice(path: pathlib.Path) -> str:
    return _ADVICE_PACKED if path.is_file() else _ADVICE


def _require_file(path: pathlib.Path, name: str, size: int, sha256: str) -> None:
    expected = f"a file of {size:,} bytes with SHA-256 {str(sha256)[:12]}"
    place, advice = _place(path, name), _advice(path)
    try:
        found = named_digest(name, _content(path, name))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{place} cannot be read: {reason_of(error)}", expected=expected, advice=advice
        ) from None
    if (found["bytes"], found["sha256"]) != (size, sha256):
        raise UserError(
            f"{place} is damaged or was altered: it holds {found['bytes']:,} bytes with SHA-256"
            f" {found['sha256'][:12]}",
            expected=expected,
            advice=advice,
        )
