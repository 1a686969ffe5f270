"""The line that `train` prints before anything slow is imported; this file must import nothing slow itself."""

import pathlib

from nucseg_jax import __version__


def print_first_line(
    config: str, workdir: pathlib.Path, *, sweep: str = "", index: int | None = None
) -> None:
    """Prints which version trains what into which folder; importing JAX takes seconds.

    Args:
      config: the config file, as it was given.
      workdir: the run folder; of a sweep the folder of its run folders.
      sweep: the file of the rows; '' = no sweep.
      index: of the one row to train; None = all of them.

    >>> print_first_line("configs/base.py", pathlib.Path("runs/seeds"), sweep="seeds.py", index=3)  # doctest: +ELLIPSIS
    nucseg_jax ...: training configs/base.py, row 3 of seeds.py, into runs/seeds
    """
    rows = f", {'all rows' if index is None else f'row {index}'} of {sweep}," if sweep else ""
    print(f"nucseg_jax {__version__}: training {config}{rows} into {workdir}", flush=True)
