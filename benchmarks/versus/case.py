"""What is measured: one contender at one model, mode, batch size and dtype. Imports neither JAX nor PyTorch."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np

from configs import paper

OURS = "nucseg_jax"


@dataclasses.dataclass(frozen=True)
class Case:
    """One measurement of one contender.

    Attributes:
      contender: 'nucseg_jax', or one of PyTorch's ('eager', 'compile', ...).
      model: 'unet_resnet50', ...; see `model_config`.
      mode: 'train' (forward, loss, backward, update) or 'inference' (image to logits).
      batch_size, px: images a step, and their side.
      dtype: of computation, 'float32' or 'bfloat16' (autocast in PyTorch).
      device: 'cpu' or 'cuda'.
      threads: on a CPU.
    """

    contender: str
    model: str
    mode: str
    batch_size: int
    px: int
    dtype: str
    device: str
    threads: int


@dataclasses.dataclass(frozen=True)
class Contender:
    """A compiled step.

    Attributes:
      run: takes so many steps, a multiple of `steps_per_dispatch`, and waits for the last.
      steps_per_dispatch: steps the device takes by itself.
      compile_s: seconds; None where nothing is compiled.
      reset_peak_memory, peak_device_bytes: of an accelerator; None where there is nothing of the kind.
      about: versions and device, JSON values.
    """

    run: Callable[[int], None]
    steps_per_dispatch: int
    compile_s: float | None
    reset_peak_memory: Callable[[], None] | None
    peak_device_bytes: Callable[[], int] | None
    about: dict[str, Any]


def paper_models() -> dict[str, ml_collections.ConfigDict]:
    """Returns the paper's four configs by the names of their files."""
    return {name: importlib.import_module(f"configs.{name}").get_config() for name in paper.NAMES}


def model_config(case: Case) -> ml_collections.ConfigDict:
    """The paper's config for a case: no augmentation, one device."""
    config = paper_models()[case.model]
    config.augment.flips = config.augment.quarter_turns = False
    config.train.batch_size = config.eval.batch_size = case.batch_size
    config.train.tile_px = case.px
    config.train.dtype = case.dtype
    config.mesh.data = 1
    return config


def pixels(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The fixed batch of both sides: image uint8 [N, px, px, 3], label uint8 [N, px, px] with blobs of 8 px."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (case.batch_size, case.px, case.px, 3), np.uint8)
    blobs = generator.random((case.batch_size, case.px // 8, case.px // 8)) < 0.2
    return image, blobs.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
