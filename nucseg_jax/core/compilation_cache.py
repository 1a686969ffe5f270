"""JAX's persistent compilation cache: a paper model compiles for 25 to 60 s, and loads in 1 to 3 s.

What lies in the cache is machine code: whoever can write to the folder can run code as its user. So the default
folder is made for its user alone, and one that others could have written to is not used.
"""

import os
import pathlib
import stat
import sys
import time
from typing import Any, Literal

import jax

from nucseg_jax.core.paths import expand_user

VARIABLE = "JAX_COMPILATION_CACHE_DIR"
Origin = Literal["cache", "compiler"]
_HIT = "/jax/compilation_cache/cache_hits"
_hits = 0


def enable_compilation_cache() -> None:
    """Keeps compiled programs under the user's cache folder, unless JAX_COMPILATION_CACHE_DIR names another place.

    JAX_COMPILATION_CACHE_DIR= (empty) turns the cache off. A folder that it names is used as it is, with a warning
    if others may write to it. The default folder is made with mode 0700; if it is not safe, or there is no home
    folder, one line on standard error says so and nothing is kept.
    """
    if VARIABLE in os.environ:
        _use_named_folder(os.environ[VARIABLE])
        return
    base = _cache_home()
    if base is None:
        _print_line(f"compiled programs are not kept: HOME is not set; name a folder with {VARIABLE}")
        return
    folder = base / "nucseg_jax" / "jax"
    try:
        make_private(folder)
        fault = why_unsafe(folder)
    except OSError as error:
        fault = f"{folder} cannot be made: {error.strerror}"
    if fault:
        _print_line(f"compiled programs are not kept: {fault}")
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))


def make_private(folder: pathlib.Path) -> None:
    """Makes a folder, and those above it that are missing, with mode 0700; one that is there stays as it is."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)


def why_unsafe(folder: pathlib.Path) -> str:
    """Returns why others could put files into a folder, in a few words with what mends it; '' if they cannot.

    Args:
      folder: absolute. Those above it count too: who may rename one of them may exchange the folder.
    """
    entry = folder.lstat()
    if stat.S_ISLNK(entry.st_mode):
        return f"{folder} is a link; remove it"
    if not stat.S_ISDIR(entry.st_mode):
        return f"{folder} is no folder; remove it"
    if entry.st_uid != os.geteuid():
        return f"{folder} belongs to another user; remove it"
    if entry.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{folder} can be written by others; chmod go-w {folder}"
    for above in folder.parent.resolve().joinpath("-").parents:
        entry = above.stat()
        # In a user namespace the system's folders belong to another number than 0.
        if entry.st_uid not in (0, os.geteuid(), os.stat("/").st_uid):
            return f"{above} belongs to another user; name another folder with {VARIABLE}"
        # In a folder such as /tmp only its owner may rename an entry.
        if entry.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not entry.st_mode & stat.S_ISVTX:
            return f"{above} can be written by others; chmod go-w {above}, or name another with {VARIABLE}"
    return ""


def cached_compile(jitted: jax.stages.Wrapped, *args: Any) -> tuple[jax.stages.Compiled, float, Origin]:
    """Compiles a jitted function for arguments like these, or takes its program from the cache.

    Args:
      jitted: the function.
      args: arguments, or abstract ones, with the shapes, dtypes and shardings of every later call.

    Returns:
      The program, the seconds that tracing, lowering and compiling or loading took, and where it came from.
    """
    start, hits = time.perf_counter(), _hits
    program = jitted.lower(*args).compile()
    return program, time.perf_counter() - start, "cache" if _hits > hits else "compiler"


def _use_named_folder(named: str) -> None:
    if not named or "://" in named:
        return
    folder = pathlib.Path(expand_user(named)).absolute()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    try:
        make_private(folder)
        fault = why_unsafe(folder.resolve())
    except OSError as error:
        _print_line(f"{VARIABLE}: {folder} cannot be made: {error.strerror}")
        return
    if fault:
        _print_line(f"warning: {fault}. Whoever writes there can run code as you ({VARIABLE})")


def _cache_home() -> pathlib.Path | None:
    """The user's folder for caches; None without a home folder."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # A relative one is invalid by the XDG specification.
    if os.path.isabs(named):
        return pathlib.Path(named)
    home = os.path.expanduser("~")
    return pathlib.Path(home) / ".cache" if os.path.isabs(home) else None


def _print_line(text: str) -> None:
    print(f"cache     {text}", file=sys.stderr)


def _count_hit(event: str, **_: Any) -> None:
    global _hits
    _hits += event == _HIT


jax.monitoring.register_event_listener(_count_hit)
