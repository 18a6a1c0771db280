"""Near-duplicates in a split, for any groups of any images."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from stages.split.near_duplicates import NearDuplicates
from stages.split.readers.records import Record
from stages.split.rule import PARTS, count_anomalies, count_normals, split_by_rule, split_together

RATIOS = (60, 20, 20)
SIZES = st.lists(st.integers(2, 12), max_size=12)  # of groups, one behind the other
SEEDS = st.integers(0, 2**32)


def records_of(normal: int, anomalous: int) -> list[Record]:
    return [Record(f"good/{i:03}.png", "normal", "good") for i in range(normal)] + [
        Record(f"bad/{i:03}.png", "structural", "bad") for i in range(anomalous)
    ]


def duplicates_of(records: list[Record], sizes: list[int], random: Random) -> NearDuplicates:
    """Groups of these sizes of images chosen at random, as far as they reach."""
    paths = [record.path for record in records]
    random.shuffle(paths)
    groups = []
    for size in sizes:
        group, paths = paths[:size], paths[size:]
        groups += [tuple(group)] if len(group) > 1 else []
    return NearDuplicates(groups, {record.path: record.path for record in records})


@given(st.integers(5, 80), st.integers(0, 40), SIZES, SEEDS, st.randoms(use_true_random=False))
def test_groups_stay_whole_and_train_stays_clean(
    normal: int, anomalous: int, sizes: list[int], seed: int, random: Random
) -> None:
    records = records_of(normal, anomalous)
    duplicates = duplicates_of(records, sizes, random)
    divided, together = split_together(records, duplicates, ratios=RATIOS, seed=seed)
    assert Counter(record.path for record in divided) == Counter(record.path for record in records)
    split = {record.path: record.split for record in divided}
    assert all(split[record.path] in PARTS for record in records)
    assert not any(record.is_anomalous and record.split == "train" for record in divided)
    whole = [group for group in duplicates.groups if len({split[path] for path in group}) == 1]
    torn = [group for group in duplicates.groups if group not in whole]
    assert together.groups <= len(whole)
    assert sum(map(len, torn)) <= together.too_large
    kept = [group for group in whole if any(path.startswith("bad/") for path in group)]
    assert all(split[group[0]] != "train" for group in kept)


@given(st.integers(5, 80), SIZES, SEEDS, st.randoms(use_true_random=False))
def test_the_ratios_are_missed_by_less_than_a_group_a_part(
    normal: int, sizes: list[int], seed: int, random: Random
) -> None:
    records = records_of(normal, 0)
    duplicates = duplicates_of(records, sizes, random)
    divided, together = split_together(records, duplicates, ratios=RATIOS, seed=seed)
    wanted, numbers = count_normals(normal, RATIOS), Counter(record.split for record in divided)
    largest = max((len(group) for group in duplicates.groups if len(group) <= min(n for n in wanted if n)), default=1)
    misses = [numbers[part] - number for part, number in zip(PARTS, wanted, strict=True)]
    assert max(misses) < largest
    assert min(misses) > -2 * largest
    if not together.groups:
        assert not any(misses)


@given(st.integers(5, 60), st.integers(0, 30), SIZES, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_files_and_groups_does_not_matter(
    normal: int, anomalous: int, sizes: list[int], seed: int, random: Random
) -> None:
    records = records_of(normal, anomalous)
    duplicates = duplicates_of(records, sizes, random)
    mixed, groups = list(records), [tuple(reversed(group)) for group in reversed(duplicates.groups)]
    random.shuffle(mixed)
    first = split_together(records, duplicates, ratios=RATIOS, seed=seed)
    assert split_together(mixed, NearDuplicates(groups, duplicates.contents), ratios=RATIOS, seed=seed) == first


@given(st.integers(5, 60), st.integers(0, 30), SEEDS)
def test_without_near_duplicates_it_is_the_plain_rule(normal: int, anomalous: int, seed: int) -> None:
    records = records_of(normal, anomalous)
    divided, together = split_together(records, NearDuplicates(), ratios=RATIOS, seed=seed)
    assert divided == split_by_rule(records, ratios=RATIOS, seed=seed)
    assert together.images == 0


@given(st.integers(20, 60), st.integers(2, 30), SEEDS)
def test_a_pair_moves_at_most_two_other_images_across_a_cut(normal: int, anomalous: int, seed: int) -> None:
    """The rest of the seeded order stays, so that a new pair does not throw a whole split about."""
    records = records_of(normal, anomalous)
    duplicates = NearDuplicates([("good/000.png", "good/001.png")], {})
    before = {record.path: record.split for record in split_by_rule(records, ratios=RATIOS, seed=seed)}
    divided, _ = split_together(records, duplicates, ratios=RATIOS, seed=seed)
    moved = [record.path for record in divided if record.split != before[record.path]]
    assert len([path for path in moved if path not in duplicates.groups[0]]) <= 4
    assert Counter(before.values()) == Counter(record.split for record in divided)
    assert count_anomalies(anomalous, RATIOS)[0] == sum(r.is_anomalous and r.split == "validation" for r in divided)
