"""Every lowering of `nucseg_jax.ops` against XLA's own operation, on the paper's shapes and this machine's device.

    export GLIBC_TUNABLES=glibc.malloc.hugetlb=1
    python benchmarks/lowerings.py [--batch-size=2] [--rounds=5] [--dtype=float32]

Prints milliseconds of the forward pass and of forward and backward together: the median of rounds in which the
two forms take turns. `ops/lowering.py` has for each platform what wins here; after a change of JAX or of machine,
run it again and look whether that still holds.
"""

import argparse
import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.cli.table import render
from nucseg_jax.ops import conv, pool, resize
from nucseg_jax.ops.lowering import LOWERINGS
from nucseg_jax.training.throughput import Mode, measure_in_turns

Operation = Callable[..., jax.Array]


@dataclasses.dataclass(frozen=True)
class Duel:
    """A lowering and its reference on one shape.

    Attributes:
      name: the lowering, and where the paper's models have this shape.
      reference, lowering: functions of an image and, if there is one, a kernel.
      image: [H, W, C].
      kernel: None for operations without parameters.
    """

    name: str
    reference: Operation
    lowering: Operation
    image: tuple[int, int, int]
    kernel: tuple[int, int, int, int] | None


def duels() -> list[Duel]:
    """From the paper's four models at 256 px."""
    same = functools.partial(conv.convolve_reference, padding="SAME")
    group_px = LOWERINGS["cpu"].kernel_gradient_px or 0

    def grouped(image: jax.Array, kernel: jax.Array) -> jax.Array:
        return conv.convolve_grouped_gradient(image, kernel, conv.Geometry(1, "SAME", 1), group_px)

    def transposed(image: jax.Array, kernel: jax.Array) -> jax.Array:
        return conv.convolve_transpose_product(image, kernel, 2)

    transposed_reference = functools.partial(conv.convolve_transpose_reference, stride=2)
    found = [
        Duel(f"Winograd, {where}", same, conv.convolve_3x3_winograd, (px, px, C), (3, 3, C, D))
        for where, px, C, D in (
            ("DeepLabV3+ ResNet-50", 64, 640, 512),
            ("DeepLabV3+ EfficientNet-B4", 64, 256, 256),
            ("U-Net EfficientNet-B4", 128, 272, 128),
            ("U-Net ResNet-50", 64, 384, 128),
            ("U-Nets, last level", 256, 64, 64),
            ("ResNet-50 conv4, not chosen", 16, 256, 256),
        )
    ]
    found += [
        Duel("kernel gradient in groups", same, grouped, (256, 256, 64), (3, 3, 64, 64)),
        Duel("1x1 as product", same, conv.convolve_1x1, (64, 64, 256), (1, 1, 256, 64)),
    ]
    found += [
        Duel(
            f"atrous, rate {rate}",
            functools.partial(same, dilation=rate),
            functools.partial(conv.convolve_atrous, dilation=rate),
            (16, 16, 1024),
            (3, 3, 1024, 512),
        )
        for rate in (6, 12, 18)
    ]
    found += [
        Duel(
            f"depthwise {size}x{size}, stride {stride}",
            functools.partial(conv.convolve_depthwise_reference, stride=stride),
            functools.partial(conv.convolve_depthwise_shifted, stride=stride),
            (px, px, C),
            (size, size, 1, C),
        )
        for size, stride, px, C in ((3, 2, 128, 144), (5, 1, 16, 960))
    ]
    found += [
        Duel("transposed 3x3/2", transposed_reference, transposed, (128, 128, 64), (3, 3, 64, 64)),
        Duel("transposed 2x2/2", transposed_reference, transposed, (16, 16, 960), (2, 2, 512, 960)),
        Duel(
            "max-pool 3x3/2",
            pool.max_pool_3x3_stride_2_reference,
            pool.max_pool_3x3_stride_2_slices,
            (128, 128, 64),
            None,
        ),
        Duel(
            "nearest x2",
            lambda x: jax.image.resize(
                x, (x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]), "nearest"
            ),
            functools.partial(resize.upsample_nearest, factor=2),
            (64, 64, 128),
            None,
        ),
    ]
    return found


def with_gradients(operation: Operation) -> Operation:
    """The result and the gradients by all arguments, for the result itself as the cotangent."""

    def both(*arguments: jax.Array) -> Any:
        result, pull_back = jax.vjp(operation, *arguments)
        return result, pull_back(result)

    return both


def measure(
    duel: Duel, *, batch_size: int, rounds: int, dtype: str, block_s: float = 0.0
) -> dict[str, float]:
    """Measures both forms interleaved.

    Args:
      duel: what to measure.
      batch_size, dtype: of the image.
      rounds: blocks of each form.
      block_s: about how long a block takes; 0 = one call, which an accelerator's dispatch may outlast.

    Returns:
      Milliseconds, medians: `forward_reference`, `forward`, `both_reference`, `both` (with gradients).
    """
    rng = np.random.default_rng(0)
    arguments = [jnp.asarray(rng.normal(size=(batch_size, *duel.image)), dtype)]
    if duel.kernel is not None:
        arguments.append(jnp.asarray(rng.normal(size=duel.kernel), dtype))

    def mode(operation: Operation) -> Mode:
        program = jax.jit(operation).lower(*arguments).compile()

        def advance(calls: int) -> None:
            for _ in range(calls):
                result = program(*arguments)
            jax.block_until_ready(result)

        return Mode(advance, images=batch_size)

    found = {}
    for part, of in (("forward", lambda operation: operation), ("both", with_gradients)):
        rates = measure_in_turns(
            [mode(of(duel.reference)), mode(of(duel.lowering))], blocks=rounds, block_s=block_s
        )
        found |= {name: rate.step_ms for name, rate in zip((f"{part}_reference", part), rates, strict=True)}
    return found


def cells(duel: Duel, found: Mapping[str, float]) -> tuple[str, ...]:
    """Returns a row of the table."""
    kernel = "" if duel.kernel is None else "x".join(map(str, duel.kernel))
    pairs = [(found[f"{part}_reference"], found[part]) for part in ("forward", "both")]
    numbers = [f"{value:.3g}" for pair in pairs for value in (*pair, pair[0] / pair[1])]
    return (duel.name, "x".join(map(str, duel.image)), kernel, *numbers)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    device = jax.devices()[0]
    print(f"{device.device_kind}, {os.cpu_count()} processors, jax {jax.__version__}; milliseconds\n")
    headers = ("lowering", "image", "kernel", "XLA", "ours", "x", "XLA, both", "ours, both", "x, both")
    rows = []
    for duel in duels():
        found = measure(duel, batch_size=options.batch_size, rounds=options.rounds, dtype=options.dtype)
        rows.append(cells(duel, found))
        print(f"{len(rows)} of {len(duels())}", end="\r", file=sys.stderr)
    print(render(headers, rows))


if __name__ == "__main__":
    main()
