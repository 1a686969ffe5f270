"""Compiled programs under keys of our own, so that a second start does not even trace them.

JAX's compilation cache spares compiling, but a program must be traced and lowered before it can be looked up
there: 3 to 4 s for a paper model. What a program follows from (config, this package's source, versions,
devices) is known at once, and so the program can be loaded while the data are read.

A stored program is machine code: like JAX's own cache, the folder must be one that only its owner writes to.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import pickle
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
from absl import logging
from jax.experimental import serialize_executable

from nucseg_jax.core.compilation_cache import cache_hits
from nucseg_jax.core.files import replaced_at_once

# Programs of 3 to 6 MB; the ones used last stay.
PROGRAMS_KEPT = 32
# What tracing and compiling go through.
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
_SOURCE = pathlib.Path(__file__).resolve().parent.parent
# Settings of JAX that say where and what to report; all others may change a program.
_REPORTING = ("cache", "log", "dump", "traceback")

Origin = Literal["store", "cache", "compiler"]


@dataclasses.dataclass(frozen=True)
class StoredProgram:
    """A place for one program.

    Attributes:
      path: its file; None = programs are not kept.
      devices: what it runs on.
    """

    path: pathlib.Path | None
    devices: tuple[jax.Device, ...]

    def load(self) -> jax.stages.Compiled | None:
        """The program, or None where there is none that can be used."""
        path = self.path
        # Somebody else's file is not to be trusted.
        try:
            if path is None or path.stat().st_uid != os.getuid():
                return None
            content = path.read_bytes()
        except OSError:  # It is not there, or was taken away just now.
            return None
        digest, body = content[:32], content[32:]
        if hashlib.sha256(body).digest() != digest:
            return None
        try:
            payload, in_tree, out_tree = pickle.loads(zlib.decompress(body))
            program = serialize_executable.deserialize_and_load(
                payload, in_tree, out_tree, execution_devices=self.devices
            )
        # A program of another machine or version fails in many ways, and each means that it must be compiled.
        except Exception as error:
            logging.warning("the stored program %s cannot be loaded: %r", path.name, error)
            return None
        with contextlib.suppress(OSError):  # Of a cache that cannot be written, nothing is pruned either.
            path.touch()
        return program

    def save(self, program: jax.stages.Compiled) -> None:
        """Keeps a program; one that cannot be kept is only reported."""
        if self.path is None:
            return
        try:
            body = zlib.compress(pickle.dumps(serialize_executable.serialize(program)), 1)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replaced_at_once(self.path) as temporary:
                temporary.write_bytes(hashlib.sha256(body).digest() + body)
            programs = sorted(self.path.parent.glob("*.program"), key=lambda file: file.stat().st_mtime)
            for old in programs[:-PROGRAMS_KEPT]:
                old.unlink(missing_ok=True)
        # A backend that cannot serialise, a full disk: the run does not depend on it.
        except Exception as error:
            logging.warning("the program %s cannot be stored: %r", self.path.name, error)


def stored_program(name: str, facts: Mapping[str, Any], devices: Sequence[jax.Device]) -> StoredProgram:
    """The place of a program beside JAX's compilation cache; nowhere, if that is off or several hosts run.

    Args:
      name: of the file, for people.
      facts: JSON values that the program follows from, together with what is added here: this package's
        source, versions, flags and devices.
      devices: what it runs on.
    """
    folder = jax.config.jax_compilation_cache_dir
    if not folder or not jax.config.jax_enable_compilation_cache or jax.process_count() > 1:
        return StoredProgram(None, tuple(devices))
    surroundings = {
        "source": _source_digest(),
        "packages": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "settings": {
            key: str(value)
            for key, value in jax.config.values.items()
            if not any(word in key for word in _REPORTING)
        },
        "flags": [os.environ.get(flags, "") for flags in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")],
        "devices": [f"{device.id} {device.device_kind}" for device in devices],
        "platform": [devices[0].platform, devices[0].client.platform_version, _processor()],
    }
    key = json.dumps([name, dict(facts), surroundings], sort_keys=True).encode()
    digest = hashlib.sha256(key).hexdigest()
    return StoredProgram(pathlib.Path(folder) / "programs" / f"{name}-{digest[:32]}.program", tuple(devices))


def _source_digest() -> str:
    """Of every line of this package."""
    digest = hashlib.sha256()
    for path in sorted(_SOURCE.rglob("*.py")):
        digest.update(f"{path.relative_to(_SOURCE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _processor() -> str:
    """The instruction sets of the CPU, where Linux says them."""
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


class LoadingProgram:
    """A program on its way from the store while the Python around it reads data and builds the state."""

    def __init__(self, place: StoredProgram):
        """Starts to load."""
        self._place = place
        # XLA loads without the interpreter's lock.
        pool = concurrent.futures.ThreadPoolExecutor(1)
        self._loading = pool.submit(place.load)
        pool.shutdown(wait=False)

    def ready(self, jitted: jax.stages.Wrapped, *args: Any) -> tuple[jax.stages.Compiled, Origin]:
        """The program for arguments, or abstract arguments, like these, and where it came from.

        Args:
          jitted: what the program is of; traced only if the store has no program that takes these arguments; stored
            only if JAX's cache has none either.
          args: their shapes, dtypes and shardings are those of every later call.
        """
        program = self._loading.result()
        if program is not None and _takes(program, args):
            return program, "store"
        before = cache_hits()
        program = jitted.lower(*args).compile()
        if cache_hits() > before:
            # XLA's CPU backend loses functions of a program that was itself loaded, if it is written again.
            return program, "cache"
        self._place.save(program)
        return program, "compiler"


def _takes(program: jax.stages.Compiled, args: tuple[Any, ...]) -> bool:
    """Whether the program was compiled for arguments of this structure, these shapes and dtypes."""
    infos = program.args_info[0]
    if jax.tree.structure(infos) != jax.tree.structure(args):
        return False
    return all(
        (info.shape, info.dtype) == (arg.shape, arg.dtype)
        for info, arg in zip(jax.tree.leaves(infos), jax.tree.leaves(args), strict=True)
    )
