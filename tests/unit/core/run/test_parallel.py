"""Items side by side in the threads of all cores."""

import threading
import time
from collections.abc import Iterator

import pytest

from stages.core.run import parallel
from stages.core.run.parallel import AHEAD, on_all_cores


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 4)


def test_results_come_in_the_order_of_the_items_whoever_is_first() -> None:
    def slow_for_small(item: int) -> int:
        time.sleep(0.02 / (item + 1))
        return item * item

    assert list(on_all_cores(slow_for_small, range(20))) == [item * item for item in range(20)]


def test_as_many_items_as_cores_are_worked_on_at_once() -> None:
    meeting = threading.Barrier(4, timeout=20)
    assert len(list(on_all_cores(lambda _: meeting.wait(), range(4)))) == 4  # fewer would wait for the others in vain


def test_items_are_taken_only_a_little_before_their_turn() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = on_all_cores(lambda item: item, items())
    assert next(results) == 0
    assert len(taken) == AHEAD * 4 + 1


def test_an_error_comes_at_the_turn_of_its_item_and_ends_the_work() -> None:
    begun: set[int] = set()

    def fails_at_five(item: int) -> int:
        begun.add(item)
        if item == 5:
            raise ValueError("five")
        return item

    results = on_all_cores(fails_at_five, range(1000))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert max(begun) <= 5 + AHEAD * 4


def test_nothing_gives_nothing() -> None:
    assert list(on_all_cores(str, [])) == []
