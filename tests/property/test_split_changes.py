"""What happens to a split when pictures are renamed or added."""

import hashlib
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from stages.split.near_duplicates import NearDuplicates
from stages.split.readers.records import Record
from stages.split.rule import Ratios, count_normals, split_together

SEEDS = st.integers(0, 2**32)
DRAWS = st.integers(0, 2**32).map(Random)  # contents are as good as random: none is chosen to be hard
RATIOS = st.sampled_from([(70, 15, 15), (60, 20, 20), (1, 1, 1), (80, 20, 0)])
Parts = dict[str, str | None]  # by content


def contents_of(count: int, draw: Random) -> list[str]:
    return [hashlib.sha256(draw.randbytes(8)).hexdigest() for _ in range(count)]


def split_of(
    normal: list[str], anomalous: list[str], groups: list[list[str]], *, ratios: Ratios, seed: int, names: Random
) -> Parts:
    """Divide images of these contents under random names, in random order."""
    kinds = dict.fromkeys(normal, "normal") | dict.fromkeys(anomalous, "structural")
    paths = {content: f"{names.random()}.png" for content in names.sample(list(kinds), len(kinds))}
    records = [Record(path, kinds[content], "good") for content, path in paths.items()]
    duplicates = NearDuplicates(
        [[paths[content] for content in group] for group in groups],
        {path: content for content, path in paths.items()},
    )
    by_path = {record.path: record.split for record in split_together(records, duplicates, ratios=ratios, seed=seed)[0]}
    return {content: by_path[path] for content, path in paths.items()}


def pairs_of(contents: list[str], count: int) -> list[list[str]]:
    return [contents[2 * number : 2 * number + 2] for number in range(min(count, len(contents) // 4))]


@given(st.integers(8, 60), st.integers(0, 20), st.integers(0, 6), RATIOS, SEEDS, DRAWS)
def test_renaming_moves_nothing(
    normal: int, anomalous: int, pairs: int, ratios: Ratios, seed: int, random: Random
) -> None:
    good, bad = contents_of(normal, random), contents_of(anomalous, random)
    groups = pairs_of(good, pairs)
    first, second = (split_of(good, bad, groups, ratios=ratios, seed=seed, names=random) for _ in range(2))
    assert first == second


@given(st.integers(8, 60), st.integers(1, 30), RATIOS, SEEDS, DRAWS)
def test_adding_images_moves_at_most_as_many_across_each_cut(
    normal: int, added: int, ratios: Ratios, seed: int, random: Random
) -> None:
    contents = contents_of(normal + added, random)
    before = split_of(contents[:normal], [], [], ratios=ratios, seed=seed, names=random)
    after = split_of(contents, [], [], ratios=ratios, seed=seed, names=random)
    moved = [{before[content], after[content]} for content in before if before[content] != after[content]]
    for cut in ({"train"}, {"test"}):
        assert sum(bool(pair & cut) for pair in moved) <= added
    if added <= count_normals(normal, ratios)[1]:
        assert {"train", "test"} not in moved


def test_few_move_on_average() -> None:
    """Five more to sixty, two hundred times: by their names 27 of the 60 moved, by content it is 1.6 on average."""
    random, moved = Random(0), 0
    for _ in range(200):
        contents = contents_of(65, random)
        before, after = (
            split_of(contents[:count], [], [], ratios=(70, 15, 15), seed=0, names=random) for count in (60, 65)
        )
        moved += sum(before[content] != after[content] for content in before)
    assert moved / 200 < 2


@given(
    st.integers(12, 60), st.integers(0, 20), st.integers(1, 8), st.integers(1, 20), SEEDS,
    DRAWS,
)  # fmt: skip
def test_groups_hardly_move_and_stay_together(
    normal: int, anomalous: int, pairs: int, added: int, seed: int, random: Random
) -> None:
    """A cut moves by what was added and by what whole groups leave behind."""
    good, bad = contents_of(normal + added, random), contents_of(anomalous, random)
    groups, ratios = pairs_of(good[:normal], pairs), (60, 20, 20)
    before = split_of(good[:normal], bad, groups, ratios=ratios, seed=seed, names=random)
    after = split_of(good, bad, groups, ratios=ratios, seed=seed, names=random)
    assert all(len({parts[content] for content in group}) == 1 for parts in (before, after) for group in groups)
    moved = {content for content in before if before[content] != after[content]}
    in_groups = moved & {content for group in groups for content in group}
    assert not any(content in moved for content in bad)
    assert len(moved - in_groups) <= 2 * (added + len(in_groups))


@given(st.integers(20, 60), SEEDS, DRAWS)
def test_the_seed_matters(normal: int, seed: int, random: Random) -> None:
    contents = contents_of(normal, random)
    splits = [split_of(contents, [], [], ratios=(70, 15, 15), seed=seed + n, names=random) for n in range(4)]
    assert any(one != splits[0] for one in splits[1:])
