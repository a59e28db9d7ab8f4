"""Work done ahead by threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aadn.inference import ahead as module
from aadn.inference.ahead import ahead


def nothing(done: object) -> int:
    return 0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 2e-3)), st.integers(1, 5))
def test_what_is_done_comes_in_order(seconds: list[float], workers: int) -> None:
    def work(item: tuple[int, float]) -> int:
        time.sleep(item[1])
        return item[0]

    assert list(ahead(work, enumerate(seconds), workers, nothing)) == list(range(len(seconds)))


def test_so_many_are_worked_on_at_a_time() -> None:
    meet = threading.Barrier(3)
    busy: list[int] = []
    most: list[int] = []

    def work(item: int) -> int:
        busy.append(item)
        most.append(len(busy))
        if item < 3:
            meet.wait(10)  # all three, or an error
        busy.remove(item)
        return item

    assert list(ahead(work, range(20), 3, nothing)) == list(range(20))
    assert max(most) == 3


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a slow reader, at most WAITING bytes and what is being worked on are ahead."""
    monkeypatch.setattr(module, "WAITING", 100)
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(50):
            asked.append(item)
            yield item

    results = ahead(lambda item: item, items(), 2, lambda done: 30)
    for given_out in range(10):
        assert next(results) == given_out
        time.sleep(0.005)
        assert len(asked) - given_out <= 100 / 30 + 4 + 2
    results.close()  # type: ignore[attr-defined]
    assert len(asked) < 25


def test_an_error_comes_in_its_place() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise KeyError("three")
        return item

    results = ahead(work, range(9), 4, nothing)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)


def test_an_error_of_the_items_comes_after_what_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("no more")

    results = ahead(lambda item: item, items(), 4, nothing)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="no more"):
        next(results)


def test_closed_early_it_leaves_no_thread() -> None:
    before = threading.active_count()
    results = ahead(lambda item: time.sleep(0.001), range(10**6), 3, nothing)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
