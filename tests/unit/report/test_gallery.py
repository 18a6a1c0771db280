"""Which images a reader sees first."""

from stages.report.pictures import CHOICES
from tests.unit.report.case import make_result


def test_strips_hold_every_image_once() -> None:
    results = [make_result(n, anomalous=n % 2 == 0, score=float(n)) for n in range(4)]
    found = [result["image_id"] for choice in CHOICES for result in choice.of(results)]
    assert sorted(found) == [result["image_id"] for result in results]


def test_strips_begin_with_what_is_furthest_off() -> None:
    missed, alarms, *_ = CHOICES
    assert [r["image_id"] for r in missed.of([make_result(n, anomalous=True, score=1 - n) for n in range(3)])] == [
        "test/2", "test/1", "test/0"
    ]  # fmt: skip
    assert [r["image_id"] for r in alarms.of([make_result(n, anomalous=False, score=2 + n) for n in range(3)])] == [
        "test/2", "test/1", "test/0"
    ]  # fmt: skip
