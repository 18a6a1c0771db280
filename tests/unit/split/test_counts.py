"""The split rule's numbers, worked out by hand, and which sources are divided at all."""

import pytest

from stages.core.run.errors import UserError
from stages.split.near_duplicates import NearDuplicates
from stages.split.readers.records import Record
from stages.split.rule import Ratios, assign_splits, count_anomalies, count_normals, split_by_rule

NORMALS: dict[Ratios, dict[int, tuple[int, int, int]]] = {
    (70, 15, 15): {100: (70, 15, 15), 101: (71, 15, 15), 33: (23, 5, 5), 7: (5, 1, 1)},
    (70, 20, 10): {100: (70, 20, 10), 101: (71, 20, 10), 33: (23, 7, 3), 7: (5, 1, 1)},
    (80, 10, 10): {100: (80, 10, 10), 101: (81, 10, 10), 33: (26, 4, 3), 7: (6, 1, 0)},
    (60, 30, 10): {100: (60, 30, 10), 101: (61, 30, 10), 33: (20, 10, 3), 7: (4, 2, 1)},
}
ANOMALIES: dict[Ratios, dict[int, tuple[int, int]]] = {
    (70, 15, 15): {20: (10, 10), 63: (32, 31), 7: (4, 3)},
    (70, 20, 10): {20: (13, 7), 63: (42, 21), 7: (5, 2)},
    (80, 10, 10): {20: (10, 10), 63: (32, 31), 7: (4, 3)},
    (60, 30, 10): {20: (15, 5), 63: (47, 16), 7: (5, 2)},
}


def test_normals() -> None:
    found = {ratios: {n: count_normals(n, ratios) for n in cells} for ratios, cells in NORMALS.items()}
    assert found == NORMALS


def test_anomalies() -> None:
    found = {ratios: {n: count_anomalies(n, ratios) for n in cells} for ratios, cells in ANOMALIES.items()}
    assert found == ANOMALIES


def test_the_first_anomaly_goes_to_test() -> None:
    assert [count_anomalies(n, (70, 15, 15)) for n in (0, 1, 2, 3)] == [(0, 0), (0, 1), (1, 1), (2, 1)]
    assert [count_anomalies(n, (60, 30, 10)) for n in (1, 2)] == [(0, 1), (1, 1)]
    assert count_anomalies(1, (60, 40, 0)) == (1, 0)  # test is to get none


def test_ratios_need_not_add_up_to_100() -> None:
    assert count_normals(100, (2, 1, 1)) == (50, 25, 25)
    assert count_normals(10, (1, 0, 0)) == (10, 0, 0)
    assert count_anomalies(0, (1, 0, 0)) == (0, 0)


def test_nothing_to_train_on() -> None:
    with pytest.raises(UserError, match=r"ratios \[1, 50, 49\] of 10 normal images leave none to train on"):
        count_normals(10, (1, 50, 49))


def test_no_place_for_what_train_cannot_have() -> None:
    with pytest.raises(UserError, match=r"ratios \[100, 0, 0\] leave no place for 3 images"):
        count_anomalies(3, (100, 0, 0))


def normals(count: int, split: str | None = None) -> list[Record]:
    return [Record(f"{split or 'all'}/good/{i:03}.png", "normal", "good", split) for i in range(count)]


def anomalies(count: int, split: str | None = None) -> list[Record]:
    return [Record(f"{split or 'all'}/bad/{i:03}.png", "structural", "bad", split) for i in range(count)]


def splits_of(records: list[Record]) -> dict[str, tuple[int, int]]:
    """(normal, anomalous) images by split."""
    found = {}
    for split in ("train", "validation", "test"):
        same = [record for record in records if record.split == split]
        found[split] = (sum(not r.is_anomalous for r in same), sum(r.is_anomalous for r in same))
    return found


def test_a_source_without_split_is_divided() -> None:
    assigned = assign_splits(
        [*normals(33), *anomalies(7)], NearDuplicates(), ratios=(70, 15, 15), resplit=False, seed=0
    )
    assert splits_of(assigned.records) == {"train": (23, 0), "validation": (5, 4), "test": (5, 3)}
    assert assigned.complaints == []


def test_a_whole_split_is_kept() -> None:
    given = [*normals(9, "train"), *normals(2, "validation"), *normals(3, "test"), *anomalies(4, "test")]
    assigned = assign_splits(given, NearDuplicates(), ratios=(1, 1, 1), resplit=False, seed=0)
    assert assigned.records == sorted(given, key=lambda record: record.path)


def test_missing_validation_is_taken_from_train() -> None:
    # 20 train images at 70 : 15, test's share set aside: (2 * 20 * 70 + 85) // 170 = 16 stay
    given = [*normals(20, "train"), *normals(3, "test"), *anomalies(4, "test")]
    assigned = assign_splits(given, NearDuplicates(), ratios=(70, 15, 15), resplit=False, seed=0)
    assert splits_of(assigned.records) == {"train": (16, 0), "validation": (4, 0), "test": (3, 4)}
    assert [r for r in assigned.records if r.split == "test"] == sorted(given[20:], key=lambda record: record.path)


def test_resplit_pools_everything() -> None:
    given = [*normals(20, "train"), *normals(13, "test"), *anomalies(7, "test")]
    assigned = assign_splits(given, NearDuplicates(), ratios=(70, 15, 15), resplit=True, seed=0)
    assert splits_of(assigned.records) == {"train": (23, 0), "validation": (5, 4), "test": (5, 3)}
    assert any(record.split == "train" and record.path.startswith("test/") for record in assigned.records)


def test_a_rule_that_fails_is_a_finding() -> None:
    assigned = assign_splits([*normals(9), *anomalies(1)], NearDuplicates(), ratios=(1, 0, 0), resplit=False, seed=0)
    assert assigned.complaints == ["ratios [1, 0, 0] leave no place for 1 images: give validation or test a share"]
    assert len(assigned.records) == 10


def test_another_seed_means_another_split_of_the_same_sizes() -> None:
    first, second = (split_by_rule(normals(100), ratios=(70, 15, 15), seed=seed) for seed in (0, 1))
    assert splits_of(first) == splits_of(second)
    assert set(first) != set(second)
