"""JAX's persistent compilation cache: a paper model compiles for 25 to 60 s, and loads in 1 to 3 s.

What lies in the cache is machine code: whoever can write to the folder can run code as its user. So the default
folder is made for its user alone, and one that others could have written to is not used.
"""

import os
import pathlib
import stat
import sys
import time
from typing import Literal

import jax

from nucseg_jax.core.paths import cache_home, expand_user
from nucseg_jax.runtime.private_folder import make_private, why_exchangeable, why_unsafe

VARIABLE = "JAX_COMPILATION_CACHE_DIR"
Origin = Literal["cache", "compiler"]
_HIT = "/jax/compilation_cache/cache_hits"
_hits = 0


def enable_compilation_cache() -> None:
    """Keeps compiled programs under the user's cache folder, unless JAX_COMPILATION_CACHE_DIR names another place.

    JAX_COMPILATION_CACHE_DIR= (empty) turns the cache off. A folder that it names is used as it is, with a warning
    if everybody may write to it. The default folder is made with mode 0700; if it is not safe, or there is no home
    folder, one line on standard error reports it and nothing is kept.
    """
    if VARIABLE in os.environ:
        _use_named_folder(os.environ[VARIABLE])
        return
    base = cache_home()
    if base is None:
        _print_line(f"compiled programs are not kept: HOME is not set; name a folder with {VARIABLE}")
        return
    folder = base / "nucseg_jax" / "jax"
    try:
        make_private(folder)
        fault = why_unsafe(folder) or why_exchangeable(folder)
    except OSError as error:
        fault = f"{folder} cannot be made: {error.strerror}"
    if fault:
        _print_line(f"compiled programs are not kept: {fault}, or name another folder with {VARIABLE}")
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))


def cached_compile(jitted: jax.stages.Wrapped, *args: object) -> tuple[jax.stages.Compiled, float, Origin]:
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
        mode = folder.stat().st_mode
    except OSError as error:
        _print_line(f"{VARIABLE}: {folder} cannot be made: {error.strerror}")
        return
    # A group may share one on purpose.
    if mode & stat.S_IWOTH:
        _print_line(f"warning: everybody may write to {folder} ({VARIABLE}), and so can run code as you")


def _print_line(text: str) -> None:
    print(f"cache     {text}", file=sys.stderr)


def _count_hit(event: str, **_: object) -> None:
    global _hits
    _hits += event == _HIT


jax.monitoring.register_event_listener(_count_hit)
