"""A bar over the batches of a split, for those who wait."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def with_bar(batches: Iterable[T], text: str, total: int | None = None) -> Iterator[T]:
    """Passes batches on and shows how many are done, on standard error if that is a terminal; nothing stays of it.

    Args:
      batches: any items.
      text: beside the bar; '' for none.
      total: how many there will be, if that is known.
    """
    if not text:
        yield from batches
        return
    yield from tqdm(batches, text, total, leave=False, unit="batch", dynamic_ncols=True, disable=None)
