"""Rates of several modes of work, measured interleaved in one process.

A B, B A, A B, ...: a machine whose speed drifts drifts for all of them.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

# Long enough for the clock and for the queue of dispatches to fill, short enough to take turns.
BLOCK_S = 0.5
BLOCKS = 40


@dataclasses.dataclass(frozen=True)
class Mode:
    """One kind of work.

    Attributes:
      advance: does a number of dispatches and returns when all of them are done.
      images: of one dispatch.
      steps: of one dispatch.
    """

    advance: Callable[[int], None]
    images: int
    steps: int = 1


@dataclasses.dataclass(frozen=True)
class Rate:
    """Images a second over the blocks of one mode.

    Attributes:
      median, p10, p90: of the blocks.
      mean: all images by all the time: what a median hides, such as a checkpoint now and then, is in it.
      step_ms: milliseconds a step, median.
      blocks: images a second of each, in order.
    """

    median: float
    p10: float
    p90: float
    mean: float
    step_ms: float
    blocks: tuple[float, ...]


def rate_of(seconds: Sequence[float], *, images: float, steps: float) -> Rate:
    """The rate of blocks that took `seconds` each.

    Args:
      seconds: one a block, > 0.
      images, steps: of a block.

    Raises:
      ValueError: no block, or a block that took no time.
    """
    if not len(seconds) or min(seconds) <= 0:
        raise ValueError(f"blocks of {list(seconds)} s")
    times = np.asarray(seconds, float)
    rates = images / times
    p10, median, p90 = np.percentile(rates, [10, 50, 90])
    return Rate(
        median=float(median),
        p10=float(p10),
        p90=float(p90),
        mean=float(images * len(times) / times.sum()),
        step_ms=float(np.median(times) / steps * 1e3),
        blocks=tuple(rates.tolist()),
    )


def share_of(rate: Rate, other: Rate) -> float:
    """Returns the speed of one mode in units of another, measured in the same turns: the median over the turns.

    Neighbouring blocks are compared, so that a slow minute of the machine falls on both.
    """
    return float(np.median(np.asarray(rate.blocks) / np.asarray(other.blocks)))


def measure_in_turns(
    modes: Sequence[Mode],
    *,
    blocks: int = BLOCKS,
    block_s: float = BLOCK_S,
    failed: Callable[[Exception], bool] = lambda error: False,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Rate | Exception]:
    """Runs all modes block by block, in turns, there and back.

    Args:
      modes: compiled and warm.
      blocks: of each mode, > 0.
      block_s: about how long a block of each mode takes; at least one dispatch.
      failed: whether an error is that mode's result and the others continue; any other error is raised.
      clock: seconds.

    Returns:
      A rate, or the error that ended it, for each mode.
    """
    results: list[Exception | None] = [None] * len(modes)
    seconds: list[list[float]] = [[] for _ in modes]

    def timed(number: int, dispatches: int) -> float:
        if results[number] is not None:
            return math.inf
        start = clock()
        try:
            modes[number].advance(dispatches)
        except Exception as error:
            if not failed(error):
                raise
            results[number] = error
            return math.inf
        return clock() - start

    # The first of each may still hold something that happens once.
    for number in range(len(modes)):
        timed(number, 1)
    sizes = [max(1, round(block_s / max(timed(number, 1), 1e-6))) for number in range(len(modes))]
    for block in range(blocks):
        order = range(len(modes)) if block % 2 == 0 else reversed(range(len(modes)))
        for number in order:
            if results[number] is None:
                seconds[number].append(timed(number, sizes[number]))
    return [
        error or rate_of(times, images=mode.images * size, steps=mode.steps * size)
        for mode, error, times, size in zip(modes, results, seconds, sizes, strict=True)
    ]
