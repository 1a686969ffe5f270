"""Paths as a user writes them: `~` is the home folder in every flag and every config field."""

import os
import pathlib

from nucseg_jax.core.errors import UserError

# The folder of a checkout; of an installed package that of all packages.
PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent


def expand_user(text: str) -> str:
    """Expands a leading `~` or `~user`, as a shell does; no shell does it after the `=` of a flag.

    Args:
      text: a path or a glob pattern.

    Returns:
      The path. A `~name` of no user stays as it is: it may be a file's name, such as `~$slide.svs`.

    Raises:
      UserError: `~`, and this user has no home folder.

    >>> expand_user("runs/~first")
    'runs/~first'
    """
    expanded = os.path.expanduser(text)
    if expanded == text and text.split("/", 1)[0] == "~":
        raise UserError(
            f"{text} names a home folder, and this user has none",
            expected="HOME in the environment, or an entry for this user in the password database",
            advice="write the full path, or set HOME",
        )
    return expanded


def user_path(path: str | pathlib.Path) -> pathlib.Path:
    """Returns a path that a user gave, `~` expanded; every such path passes through here.

    Args:
      path: of a flag, a config field or an argument of the library.

    Raises:
      UserError: see `expand_user`.
    """
    return pathlib.Path(expand_user(str(path)))


def cache_home() -> pathlib.Path | None:
    """Returns the user's folder for caches, XDG_CACHE_HOME or ~/.cache; None without a home folder."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # A relative one is invalid by the XDG specification.
    if os.path.isabs(named):
        return pathlib.Path(named)
    home = os.path.expanduser("~")
    return pathlib.Path(home) / ".cache" if os.path.isabs(home) else None


def table_path(text: str) -> pathlib.Path:
    """Returns a path of a config field; `configs/NAME` that is not there is the file that comes with this package."""
    path = user_path(text)
    first, _, rest = text.partition("/")
    packaged = configs_folder() / rest
    return packaged if first == "configs" and not path.exists() and packaged.is_file() else path


def configs_folder() -> pathlib.Path:
    """Returns the folder of the configs that come with this package: a checkout's own, or the installed one."""
    installed = pathlib.Path(__file__).resolve().parent.parent / "configs"
    return installed if installed.is_dir() else PROJECT / "configs"
