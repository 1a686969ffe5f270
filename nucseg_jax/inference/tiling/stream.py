"""Images as a stream of events, so that batches are full whatever the images' sizes, and stages run side by side.

Each image gives Begin, then for each row of tiles its Tiles from the left and a RowEnd, then End. Failed may take the
place of any of them, and ends the image. Inference keeps the order and puts probabilities in the pixels' place.
"""

import dataclasses
import pathlib
import queue
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np

from nucseg_jax.images.open_source import refused
from nucseg_jax.images.source import RefusedImage
from nucseg_jax.inference.tiling.job import Job
from nucseg_jax.inference.tiling.predictor import Predictor
from nucseg_jax.inference.tiling.tiles import reflected

T = TypeVar("T")

_BATCHES_UNDER_WAY = 2
# Events that may wait for a batch to fill. Images without a computed tile never fill one, and each is held open.
_WAITING_PER_TILE = 4


@dataclasses.dataclass(frozen=True)
class Begin:
    """An image follows."""

    job: Job


@dataclasses.dataclass(frozen=True)
class Tile:
    """A tile: uint8 [T, T, 3] before inference, float32 [T, T, F] after it."""

    job: Job
    column: int
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class RowEnd:
    """All computed tiles of a row have come."""

    job: Job
    row: int


@dataclasses.dataclass(frozen=True)
class End:
    """The image is complete."""

    job: Job


@dataclasses.dataclass(frozen=True)
class Failed:
    """The image cannot be read (further), and why."""

    path: pathlib.Path
    error: RefusedImage


Event = Begin | Tile | RowEnd | End | Failed


def read_events(jobs: Iterable[Job | Failed]) -> Iterator[Event]:
    """Reads images one after the other; only reading is caught, and becomes a Failed."""
    for job in jobs:
        if isinstance(job, Failed):
            yield job
            continue
        yield Begin(job)
        try:
            for row in range(job.first_row, job.plan.rows):
                for first, end in _runs(job.is_computed[row]):
                    with refused(job.path):
                        pixels = read_tiles(job, row, first, end)
                    for column in range(first, end):
                        left = (column - first) * job.plan.stride_px
                        tile = pixels[:, left : left + job.plan.tile_px]
                        yield Tile(job, column, tile if job.stain is None else job.stain.apply(tile))
                yield RowEnd(job, row)
        except RefusedImage as error:
            yield Failed(job.path, error)
            continue
        yield End(job)


def read_tiles(job: Job, row: int, first: int, end: int) -> np.ndarray:
    """Tiles `first` to `end` - 1 of a row as one image, uint8 [T, (end - first - 1) * S + T, 3]."""
    plan = job.plan
    rows = reflected(row * plan.stride_px, plan.tile_px, plan.height)
    width = (end - first - 1) * plan.stride_px + plan.tile_px
    columns = reflected(first * plan.stride_px, width, plan.width)
    top, left = int(rows.min()), int(columns.min())
    region = job.view.read(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left)
    return region[(rows - top)[:, None], (columns - left)[None, :]]


def _runs(is_computed: np.ndarray) -> list[tuple[int, int]]:
    """First and end of each run of True."""
    edges = np.flatnonzero(np.diff(is_computed.astype(np.int8), prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def infer(events: Iterable[Event], predictor: Predictor) -> Iterator[Event]:
    """Puts probabilities in the place of pixels, in full batches, which may hold tiles of several images.

    Order is kept. Up to two batches are under way while the tiles of the next are read. A batch goes as it is where
    many events have come and few of them tiles.
    """
    waiting: list[Event] = []
    tiles = 0
    under_way: deque[tuple[list[Event], jax.Array | None]] = deque()
    for event in events:
        waiting.append(event)
        tiles += isinstance(event, Tile)
        if tiles == predictor.batch_size or len(waiting) >= _WAITING_PER_TILE * predictor.batch_size:
            under_way.append((waiting, _start(waiting, predictor)))
            waiting, tiles = [], 0
            if len(under_way) > _BATCHES_UNDER_WAY:
                yield from _finish(*under_way.popleft())
    under_way.append((waiting, _start(waiting, predictor)))
    while under_way:
        yield from _finish(*under_way.popleft())


def _start(events: list[Event], predictor: Predictor) -> jax.Array | None:
    pixels = [event.values for event in events if isinstance(event, Tile)]
    return predictor.start(pixels) if pixels else None


def _finish(events: list[Event], running: jax.Array | None) -> Iterator[Event]:
    probabilities = iter(() if running is None else jax.device_get(running))
    for event in events:
        yield dataclasses.replace(event, values=next(probabilities)) if isinstance(event, Tile) else event


def ahead(items: Iterable[T], most: int) -> Generator[T, None, None]:
    """`items`, made in a thread of its own, at most `most` of them before they are asked for.

    What is raised there comes out here, in its place. Closing this iterator stops the thread.
    """
    made: queue.Queue[tuple[bool, Any]] = queue.Queue(most)
    stopped = threading.Event()

    def hand_over(is_item: bool, value: Any) -> bool:
        while not stopped.is_set():
            try:
                made.put((is_item, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not hand_over(True, item):
                    return
            hand_over(False, None)
        except BaseException as error:  # It is raised again where the items are taken.
            hand_over(False, error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            is_item, value = made.get()
            if is_item:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        stopped.set()
        thread.join()
