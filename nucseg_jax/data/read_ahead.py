"""Items read in threads before they are asked for, in order and in bounded memory, by grain."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

THREADS = 4
ITEMS_AHEAD = 4


def read_ahead(read: Callable[[int], T], numbers: Sequence[int]) -> Iterator[T]:
    """`read(number)` of each number in order, while up to `ITEMS_AHEAD` of the next are being read.

    Args:
      read: a pure function; runs in other threads, several at a time. Its errors come out where its item would.
      numbers: such as a range; nothing before the first is read, so a stream may begin anywhere.
    """
    import grain  # A second that patches in memory need not wait for.

    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=ITEMS_AHEAD)
    items = iter(grain.MapDataset.source(numbers).map(read).to_iter_dataset(options))
    try:
        yield from items
    finally:
        items.close()
