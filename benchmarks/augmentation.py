"""What each augmentation costs: milliseconds an image of the jitted function, B = 8, 256 px, median of 20 calls.

python benchmarks/augmentation.py
"""

import dataclasses
import functools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.config.augment import AugmentConfig
from nucseg_jax.ops.augment.augmentation import NO_AUGMENTATION, augment

BATCH_SIZE, PATCH_PX, CALLS = 8, 256, 20
KINDS = {
    "nothing": NO_AUGMENTATION,
    "flips, quarter turns": AugmentConfig(flips=True, quarter_turns=True),
    "stain": dataclasses.replace(NO_AUGMENTATION, stain_factor=0.1, stain_offset=0.1),
    "colour": dataclasses.replace(NO_AUGMENTATION, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05),
    "blur, 1 px": dataclasses.replace(NO_AUGMENTATION, blur_sigma_px=1.0),
    "noise": dataclasses.replace(NO_AUGMENTATION, noise_sd=10.0),
}


def milliseconds_per_image(how: AugmentConfig) -> float:
    """The median over calls, compilation excluded."""
    rng = np.random.default_rng(0)
    image = jax.device_put(rng.integers(0, 256, (BATCH_SIZE, PATCH_PX, PATCH_PX, 3), dtype=np.uint8))
    label = jax.device_put(rng.integers(0, 6, (BATCH_SIZE, PATCH_PX, PATCH_PX), dtype=np.uint8))
    call = jax.jit(functools.partial(augment, how=how, seed=0))
    epoch = jnp.int32(0)
    arguments = (image, label, jnp.arange(BATCH_SIZE))
    jax.block_until_ready(call(*arguments, epoch=epoch))
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        jax.block_until_ready(call(*arguments, epoch=epoch))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1000 / BATCH_SIZE


def main() -> None:
    """Prints a line a kind."""
    print(f"{jax.devices()[0].device_kind}, {jax.__version__}")
    for name, how in KINDS.items():
        print(f"{name:22s} {milliseconds_per_image(how):8.3f} ms")


if __name__ == "__main__":
    main()
