"""Work that threads do ahead of who asks for it, given out in order, within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Done = TypeVar("Done")

WAITING = 64 << 20
"""Bytes of pictures that may wait in memory, for the next step or for who asked for them (our
choice: 70 pictures of 640×480 pixels)."""


def ahead(
    function: Callable[[Item], Done],
    items: Iterable[Item],
    workers: int,
    size: Callable[[Done], int],
) -> Iterator[Done]:
    """What a function makes of each item, in order.

    One worker is who asks: each item is asked for when its result is. Of more, so many items are
    worked on at a time, each by a thread, as many more are asked for, and what is done waits up to
    WAITING bytes. An exception of the function, or of the items' iterator, comes in its place in
    the order and ends it. When the iterator is closed, what has not begun is left undone.

    Args:
        function: safe to be called from several threads.
        items: asked for in this thread, as they are needed.
        workers: 1 or more.
        size: bytes of memory that something done keeps.
    """
    if workers == 1:
        yield from map(function, items)
        return
    from concurrent.futures import ThreadPoolExecutor  # which loads much

    waiting: deque[Future[Done]] = deque()
    left = iter(items)
    ended: Exception | None = None
    pool = ThreadPoolExecutor(workers, thread_name_prefix="aadn")
    try:
        while True:
            while ended is None and _room(waiting, workers, size):
                try:
                    item = next(left)
                except StopIteration as end:
                    ended = end
                except Exception as error:  # after what came before it
                    ended = error
                else:
                    waiting.append(pool.submit(function, item))
            if not waiting:
                break
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    if not isinstance(ended, StopIteration):
        assert ended is not None
        raise ended


def _room(waiting: deque[Future[Done]], workers: int, size: Callable[[Done], int]) -> bool:
    """Whether another item may be begun; waits where that may change before one is given out."""
    from concurrent.futures import FIRST_COMPLETED, wait

    while True:
        busy = [future for future in waiting if not future.done()]
        if len(busy) < 2 * workers:  # one after another for each, should the reader be slow
            break
        if waiting[0].done():
            return False
        wait([waiting[0], *busy], return_when=FIRST_COMPLETED)
    done = (future for future in waiting if future.done() and future.exception() is None)
    return sum(size(future.result()) for future in done) < WAITING
