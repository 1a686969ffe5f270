"""Compiled programs are kept between runs: a paper model compiles for 10 to 30 s, and loads in about 1 s."""

import os
import pathlib

import jax


def enable_compilation_cache() -> None:
    """Keeps compiled programs under the user's cache folder, unless JAX_COMPILATION_CACHE_DIR says where.

    JAX_COMPILATION_CACHE_DIR= (empty) turns the cache off.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(base) / "nucseg_jax" / "jax"))
