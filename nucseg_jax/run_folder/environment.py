"""Provenance of a run: versions, devices, commit and command, so that it can be repeated."""

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping

import jax

from nucseg_jax.core.program import PROGRAM_WORDS

PACKAGES = (
    "nucseg_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "clu",
    "ml-collections",
    "numpy",
    "tensorflow-datasets",
    "array_record",
    "grain",
    "scikit-image",
    "pillow",
    "tensorboardX",
)
GIT_TIMEOUT_S = 10


@dataclasses.dataclass(frozen=True)
class StartedFrom:
    """The origin of a run's config.

    Attributes:
      config: the config file.
      overrides: {'section.field': value} of what the command line and the sweep's row change in it.
      sweep: `file`, `label` and `index` of the row; None if the run is not part of a sweep.
    """

    config: str
    overrides: Mapping[str, object]
    sweep: Mapping[str, str | int] | None = None


def describe_environment(started_from: StartedFrom | None = None) -> dict[str, object]:
    """Returns all of this as JSON values; starts JAX's backend if it is not running. Holds no host name.

    Args:
      started_from: kept under that name; None if the caller does not know.

    Returns:
      `python`, `platform`, `packages` {name: version or None}, `jax` {backend, platform_version, device_kind,
      device_count, local_device_count, process_count}, `xla_flags`, `cpu_count`, `git` {commit, dirty}, both
      None where the package does not lie in a git checkout, `command`, and `started_from` {config, overrides,
      sweep} or None.
    """
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "jax": {
            "backend": jax.default_backend(),
            "platform_version": str(device.client.platform_version),
            "device_kind": device.device_kind,
            "device_count": jax.device_count(),
            "local_device_count": jax.local_device_count(),
            "process_count": jax.process_count(),
        },
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "cpu_count": os.cpu_count(),
        "git": describe_checkout(pathlib.Path(__file__)),
        "command": shlex.join((*PROGRAM_WORDS, *sys.argv[1:])),
        "started_from": None if started_from is None else dataclasses.asdict(started_from),
    }


def describe_checkout(file: pathlib.Path) -> dict[str, str | bool | None]:
    """Returns the state of the git checkout that tracks `file`; never raises.

    Returns:
      `commit`, 40 hex digits, and `dirty`, whether anything is changed, staged or new and not ignored. Both
      None without git, outside a checkout, and where the file merely lies inside a foreign one, as an
      installed package does in a virtual environment.
    """
    folder = file.resolve().parent
    # Listing the file fails unless it is tracked.
    tracked = _git(folder, "ls-files", "--error-unmatch", "--", file.name)
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", ":/")
    if tracked is None or commit is None:
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(folder: pathlib.Path, *arguments: str) -> str | None:
    # Inside a git hook these variables point at the repository of the hook, not at that of the folder.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
