"""Names of models: a path, a URL, or a model of the installation; an error where a word could be both.

This file must import nothing slow: flags are checked and completed by it.
"""

import importlib.resources
import os
import pathlib
from typing import NamedTuple

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.core.paths import user_path
from nucseg_jax.model_folder.remote import fetch_model, is_url, parse_url

PACKAGE_DATA = "pretrained_models"
# The file that makes a folder a model folder.
MODEL = "model.json"


class NamedFolder(NamedTuple):
    """A run folder, a model folder or a packed model, and its name for people: as it was given."""

    path: pathlib.Path
    name: str


def models_folder() -> pathlib.Path:
    """Returns the folder of the models that come with this package; a folder of each, its name the model's."""
    return pathlib.Path(str(importlib.resources.files("nucseg_jax") / PACKAGE_DATA))


def model_names() -> list[str]:
    """Returns the names of the models of this installation, sorted."""
    folder = models_folder()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / MODEL).exists())


def check_model(text: str) -> None:
    """Raises UserError as `find_model` does, but downloads nothing."""
    if is_url(text):
        parse_url(text)
    else:
        find_model(text)


def find_model(text: str | pathlib.Path) -> NamedFolder:
    """Returns the folder or file that a text names.

    A text with `://` is the URL of a packed model, which is downloaded unless the cache has it. A `pathlib.Path`, and
    another text with a separator or `~`, is a path. A bare word is a model of this installation, or a folder or file of
    the working directory.

    Raises:
      UserError: a bare word is both, or neither; or see `remote`.
    """
    if isinstance(text, str) and is_url(text):
        url = parse_url(text)
        return NamedFolder(fetch_model(url), url.name)
    if isinstance(text, pathlib.Path) or not _is_word(text):
        path = user_path(text)
        return NamedFolder(path, str(path))
    names, folder = model_names(), pathlib.Path(text)
    if text in names and folder.exists():
        raise UserError(
            f"{text!r} is a model of this installation, and a folder or file here",
            expected="one of them",
            advice=f"write ./{text} for the folder; for the model rename the folder, or work in another directory",
        )
    if text in names:
        return NamedFolder(models_folder() / text, text)
    if folder.exists():
        return NamedFolder(folder, text)
    near = did_you_mean(text, names)
    listed = ", ".join(names) if names else "this installation has none"
    raise UserError(
        f"there is no model {text!r} in this installation{near}, and no folder or file {text!r} here",
        expected=f"the name of a model ({listed}), a URL, or the path of a packed model, model folder or run folder",
    )


def _is_word(text: str) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return bool(text) and text not in (".", "..") and text[0] != "~" and not separators & set(text)
