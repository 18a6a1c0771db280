"""The split rule for any ratios and any number of images."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stages.core.run.errors import UserError
from stages.split.readers.records import Record
from stages.split.rule import Ratios, count_anomalies, count_normals, split_by_rule

COUNTS = st.integers(0, 5000)
RATIOS = st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100)).filter(any)
PATHS = st.sets(st.text(st.characters(codec="utf-8", exclude_characters="/."), min_size=1), max_size=60)
HALF = Fraction(1, 2)


@given(COUNTS, RATIOS)
def test_normals_are_within_half_an_image_of_their_share(count: int, ratios: Ratios) -> None:
    try:
        train, validation, test = count_normals(count, ratios)
    except UserError:
        return
    assert train + validation + test == count
    assert min(train, validation, test) >= 0
    assert abs(train - Fraction(count * ratios[0], sum(ratios))) <= HALF
    if ratios[1] + ratios[2]:
        assert abs(validation - Fraction((count - train) * ratios[1], ratios[1] + ratios[2])) <= HALF


@given(COUNTS, RATIOS)
def test_an_error_is_raised_exactly_without_images_to_train_on(count: int, ratios: Ratios) -> None:
    nothing_to_train_on = Fraction(count * ratios[0], sum(ratios)) < HALF
    if nothing_to_train_on:
        with pytest.raises(UserError, match="leave none to train on"):
            count_normals(count, ratios)
    else:
        assert count_normals(count, ratios)[0] >= 1


@given(st.integers(1, 5000), RATIOS)
def test_anomalies_add_up(count: int, ratios: Ratios) -> None:
    assume(ratios[1] + ratios[2] > 0)
    validation, test = count_anomalies(count, ratios)
    assert validation + test == count
    assert test > 0 or not ratios[2]  # without one in test nothing is measured
    if test > 1:
        assert abs(validation - Fraction(count * ratios[1], ratios[1] + ratios[2])) <= HALF


@given(COUNTS, RATIOS, st.integers(2, 9))
def test_only_the_proportion_of_the_ratios_counts(count: int, ratios: Ratios, factor: int) -> None:
    assume(Fraction(count * ratios[0], sum(ratios)) >= HALF)
    scaled = (ratios[0] * factor, ratios[1] * factor, ratios[2] * factor)
    assert count_normals(count, scaled) == count_normals(count, ratios)


def records_of(paths: set[str], anomalous: set[str]) -> list[Record]:
    kinds = {path: "unspecified" if path in anomalous else "normal" for path in paths}
    return [Record(f"{path}.png", kind, kind) for path, kind in kinds.items()]


@given(PATHS, st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_order_of_the_files_does_not_matter(paths: set[str], seed: int, random: Random) -> None:
    assume(paths)
    records = records_of(paths, anomalous=set(sorted(paths)[::3][1:]))
    mixed = list(records)
    random.shuffle(mixed)
    first, second = (split_by_rule(given_records, ratios=(6, 2, 2), seed=seed) for given_records in (records, mixed))
    assert first == second
    assert {record.path for record in first} == {record.path for record in records}
    assert all(record.split in ("validation", "test") for record in first if record.is_anomalous)


@given(st.integers(2, 60), st.integers(0, 30), st.integers(0, 2**32))
def test_adding_anomalies_moves_no_normal_image(normal: int, anomalous: int, seed: int) -> None:
    normals = [Record(f"good/{i}.png", "normal", "good") for i in range(normal)]
    anomalies = [Record(f"bad/{i}.png", "structural", "bad") for i in range(anomalous)]
    alone = split_by_rule(normals, ratios=(70, 15, 15), seed=seed)
    together = split_by_rule([*normals, *anomalies], ratios=(70, 15, 15), seed=seed)
    assert [record for record in together if not record.is_anomalous] == alone
