"""Compiled programs are kept between runs: a paper model compiles for 25 to 60 s, and loads in 1 to 3 s."""

import os
import pathlib
from typing import Any

import jax

_HIT = "/jax/compilation_cache/cache_hits"
_hits = 0


def enable_compilation_cache() -> None:
    """Keeps compiled programs under the user's cache folder, unless JAX_COMPILATION_CACHE_DIR says where.

    JAX_COMPILATION_CACHE_DIR= (empty) turns the cache off.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(base) / "nucseg_jax" / "jax"))


def cache_hits() -> int:
    """How many programs this process has taken from JAX's cache."""
    return _hits


def _count_hit(event: str, **_: Any) -> None:
    global _hits
    _hits += event == _HIT


jax.monitoring.register_event_listener(_count_hit)
