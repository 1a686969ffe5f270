"""The line that `train` prints before anything slow is imported; this file must import nothing slow itself."""

import pathlib

from nucseg_jax import __version__


def print_first_line(config: str | None, workdir: pathlib.Path | None) -> None:
    """Prints which version trains what into which folder; JAX takes seconds to import.

    Args:
      config: the config file, as it was given.
      workdir: the run folder. Without it or `config` nothing is printed: an error follows.
    """
    if config is not None and workdir is not None:
        print(f"nucseg_jax {__version__}: training {config} into {workdir}", flush=True)
