"""The anomaly-aware split rule: how many images go where, and which."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stages.core.running.errors import UserError
from stages.split.records import Record

Ratios = tuple[int, int, int]


def count_normals(count: int, ratios: Ratios) -> tuple[int, int, int]:
    """How many of `count` normal images go to train, validation and test.

        n_train = round(n t / S),   n_validation = round(r v / (v + s)),   n_test = the rest

    with S = t + v + s and r = n - n_train, in integers, halves up. The percents of the rule's printed table are
    rounded and must not be used.

    Args:
        ratios: t, v, s: not negative, at least one positive; they need not add up to 100.

    Raises:
        UserError: nothing is left to train on, or images are left and both other ratios are 0.
    """
    train, validation, test = ratios
    to_train = half_up(count * train, train + validation + test)
    if to_train == 0:
        raise UserError(f"ratios {list(ratios)} of {count} normal images leave none to train on: add images or ratio")
    to_validation, to_test = count_anomalies(count - to_train, ratios)
    return to_train, to_validation, to_test


def count_anomalies(count: int, ratios: Ratios) -> tuple[int, int]:
    """How many of `count` images that train cannot have go to validation and test, in the proportion v : s.

    Raises:
        UserError: there are such images and both ratios are 0.
    """
    _, validation, test = ratios
    if count == 0:
        return 0, 0
    if validation + test == 0:
        raise UserError(f"ratios {list(ratios)} leave no place for {count} images: give validation or test a share")
    to_validation = half_up(count * validation, validation + test)
    return to_validation, count - to_validation


def half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator rounded to the next integer, halves up; 0 / 0 is an error."""
    return (2 * numerator + denominator) // (2 * denominator)


def split_by_rule(records: Sequence[Record], *, ratios: Ratios, seed: int) -> list[Record]:
    """Give every record a split: sort by path, shuffle, cut; normal and anomalous images each on their own.

    Args:
        seed: of the shuffle. Adding an anomaly does not change where the normal images go.

    Raises:
        UserError: see `count_normals`.
    """
    normals = shuffled([record for record in records if not record.is_anomalous], seed)
    anomalies = shuffled([record for record in records if record.is_anomalous], seed)
    normal_counts, anomaly_counts = count_normals(len(normals), ratios), count_anomalies(len(anomalies), ratios)
    names = [name for name, n in zip(("train", "validation", "test"), normal_counts, strict=True) for _ in range(n)]
    names += [name for name, n in zip(("validation", "test"), anomaly_counts, strict=True) for _ in range(n)]
    return [replace(record, split=name) for record, name in zip([*normals, *anomalies], names, strict=True)]


def shuffled(records: Sequence[Record], seed: int) -> list[Record]:
    """The records in a seeded order that depends on their paths only, not on the order given."""
    ordered = sorted(records, key=lambda record: record.path)
    return [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))]
