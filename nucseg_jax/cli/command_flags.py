"""Which flags belong to which commands; a flag that would do nothing is a mistake. Quick to import."""

from collections.abc import Collection

from nucseg_jax.core.errors import UserError

_PROCESSES = ("train", "evaluate")
FLAGS_OF = {
    "config": ("prepare", "train", "evaluate", "describe", "profile"),
    "workdir": ("train", "evaluate", "predict", "export"),
    **dict.fromkeys(("sweep", "list", "index", "executor", "jobs", "slurm"), ("train",)),
    **dict.fromkeys(("distributed", "coordinator", "processes", "process_index"), _PROCESSES),
    **dict.fromkeys(("split", "baselines", "force"), ("evaluate",)),
    **dict.fromkeys(("encoder", "source"), ("convert",)),
    "out": ("convert", "report", "predict", "export"),
    **dict.fromkeys(
        ("inputs", "mpp", "mpp_from_objective", "tile_px", "overlap_px", "threshold", "batch_size"),
        ("predict",),
    ),
    "runs": ("report",),
    "layers": ("describe",),
    "json": ("describe", "profile"),
    **dict.fromkeys(("feeds", "batch_sizes", "dtypes", "seconds", "trace"), ("profile",)),
}


def check_flags(given: Collection[str], command: str) -> None:
    """Raises UserError for a flag that the command does not look at.

    Args:
      given: names of `FLAGS_OF` that stand on the command line.
      command: such as 'train'.
    """
    for name in sorted(given):
        if command not in FLAGS_OF[name]:
            raise UserError(
                f"--{name} goes with {' and '.join(FLAGS_OF[name])}; the command is {command}",
                advice=f"leave out --{name}; fields of the config are --config.SECTION.FIELD=VALUE",
            )
