"""What a step of the accelerator's measurement is told, and the environment of the commands that it starts."""

import dataclasses
import os
import pathlib
import sys

from configs import paper
from nucseg_jax.runtime.huge_pages import with_huge_pages

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LAUNCH = (sys.executable, str(ROOT / "launch.py"))
DEVICES = ("cpu", "cuda", "tpu")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of one step.

    Attributes:
      device: 'cpu', 'cuda' or 'tpu'.
      small: everything shrunk until two CPU cores take minutes for the whole.
      out: folder of the record; what a step leaves there counts towards its size.
      scratch: folder for data sets, runs and traces, kept between calls.
    """

    device: str
    small: bool
    out: str
    scratch: str

    @property
    def models(self) -> tuple[str, ...]:
        """Names of configs: the paper's four, or in small one of each encoder."""
        return (paper.NAMES[2], paper.NAMES[3]) if self.small else paper.NAMES

    @property
    def seconds(self) -> float:
        """To measure a row for, compilation not counted."""
        return 0.5 if self.small else 4.0

    def shrunk(self, model: str) -> list[str]:
        """Returns what makes a paper config narrow and shallow in small, as flags; nothing otherwise."""
        if not self.small:
            return []
        stages = 3 if model.endswith("resnet50") else 5
        return [
            "--config.model.width=0.125",
            f"--config.model.encoder_depths=({'1,' * stages})",
            "--config.train.tile_px=64",
        ]


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """Returns the variables of a command that uses the device; the CPU stands behind it, for comparisons.

    Args:
      settings: of the step.
      more: variables on top.
    """
    platforms = "cpu" if settings.device == "cpu" else f"{settings.device},cpu"
    return {
        **with_huge_pages(os.environ),
        "JAX_PLATFORMS": platforms,
        # Several processes of a step may hold the device at a time, and PyTorch's share it.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        **more,
    }
