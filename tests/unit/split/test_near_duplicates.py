"""Near-duplicates in a split by hand, and from files to the stage's numbers."""

import logging
import time

import numpy as np
import pytest

from stages.split.inspect_files import ImageFacts, Inspection
from stages.split.near_duplicates import Alike, find_groups
from stages.split.readers.records import Reading, Record
from stages.split.rule import Together, assign_splits, choose_part, split_together
from stages.split.similarity import Likeness, find_alike
from stages.split.write import in_words, log_remarks

READING = Reading(())
LIMITS = {"hash_distance": 6, "pixel_difference": 3.0}


def look(value: int, *, seed: int = 0) -> Likeness:
    """A random thumbnail, brighter by `value`."""
    generator = np.random.default_rng(seed)
    thumbnail = generator.integers(50, 200, (64, 64), dtype=np.uint8)
    return Likeness(thumbnail + np.uint8(value), generator.random(64) > 0.5)


def files_of(looks: dict[str, Likeness], contents: dict[str, str] | None = None) -> Inspection:
    facts = {path: ImageFacts((contents or {}).get(path, path), 8, 8, (), one) for path, one in looks.items()}
    return Inspection(facts, {}, ())


def normals(count: int, split: str | None = None) -> list[Record]:
    return [Record(f"good/{i:02}.png", "normal", "good", split) for i in range(count)]


def anomalies(count: int) -> list[Record]:
    return [Record(f"bad/{i:02}.png", "structural", "bad") for i in range(count)]


def test_groups_are_chains_of_alike_images() -> None:
    # Steps of 2 grey levels are alike, of 4 not: a-b-c hang together though a and c are not alike; z is another one.
    looks = {"a": look(0), "b": look(2), "c": look(4), "far": look(40), "z": look(0, seed=1)}
    assert find_alike(list(looks.values()), **LIMITS) == [(0, 1), (1, 2)]
    assert find_groups(files_of(looks), **LIMITS).groups == (("a", "b", "c"),)
    assert find_groups(files_of({}), **LIMITS).groups == ()


def test_block_means_rule_out_no_pair() -> None:
    generator = np.random.default_rng(0)
    base = look(0)
    noise = [generator.normal(0, scale, (64, 64)).round() for scale in np.linspace(0, 6, 40)]
    looks = [Likeness((base.thumbnail + one).astype(np.uint8), base.bits) for one in noise]
    pairs = [(a, b) for a in range(40) for b in range(a + 1, 40)]
    floats = [one.thumbnail.astype(float) for one in looks]
    expected = [(a, b) for a, b in pairs if np.abs(floats[a] - floats[b]).mean() <= 3.0]
    assert 0 < len(expected) < len(pairs)
    assert find_alike(looks, **LIMITS) == expected


def split_of(records: list[Record], groups: list[tuple[str, ...]]) -> tuple[dict[str, str | None], Together]:
    contents = {record.path: record.path for record in records}
    divided, together = split_together(records, Alike(groups, contents), ratios=(60, 20, 20), seed=0)
    return {record.path: record.split for record in divided}, together


def test_a_pair_goes_where_its_first_image_would_go_and_the_numbers_stay() -> None:
    # 10 normals at 60 : 20 : 20. Seed 0 shuffles them to 4 6 2 7 3 5 | 9 0 | 8 1: train, validation, test.
    order = np.random.default_rng(0).permutation(10).tolist()
    assert order == [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]
    split, together = split_of(normals(10), [("good/00.png", "good/08.png")])
    # 0 comes before 8 and wishes for validation, where two have stage; 9 moves on, as the order of the rest is kept
    assert [path for path, part in split.items() if part == "validation"] == ["good/00.png", "good/08.png"]
    assert {path for path, part in split.items() if part == "test"} == {"good/09.png", "good/01.png"}
    assert together == Together(groups=1, images=2)


def test_normals_beside_an_anomaly_stay_out_of_train() -> None:
    # Stage in validation and test: 2 normals and 2 anomalies each. 4 and 6 would be trained on; bad 1 would be tested.
    records = [*normals(10), *anomalies(4)]
    plain, _ = split_of(records, [])
    assert plain["good/04.png"] == plain["good/06.png"] == "train"
    split, together = split_of(records, [("good/04.png", "good/06.png", "bad/01.png")])
    assert split["good/04.png"] == split["good/06.png"] == split["bad/01.png"] == plain["bad/01.png"]
    assert sum(part == "train" for part in split.values()) == 6  # others go to train in their place
    assert together == Together(groups=1, images=3, normals_beside_anomalies=2)


def test_a_group_looks_for_room() -> None:
    train = [Record(f"{i}", "normal", "good", "test") for i in range(3)]
    stage = {False: {"train": 2, "validation": 5, "test": 1}, True: {}}
    parts = ("train", "validation", "test")
    assert choose_part(train[:1], stage, parts) == "test"  # its wish, with stage  # type: ignore[arg-type]
    assert choose_part(train[:2], stage, parts) == "validation"  # most stage  # type: ignore[arg-type]
    assert choose_part(train, {False: {"train": 2, "validation": -1, "test": 1}, True: {}}, parts) == "train"  # type: ignore[arg-type]


def test_what_is_alike_everywhere_is_no_duplicate(caplog: pytest.LogCaptureFixture) -> None:
    """A fixed camera: all ten look alike. They are divided as ever; only the two equal files stay together."""
    records = normals(10)
    paths = tuple(record.path for record in records)
    contents = {path: "same" if path in ("good/00.png", "good/08.png") else path for path in paths}
    divided, together = split_together(records, Alike([paths], contents), ratios=(60, 20, 20), seed=0)
    split = {record.path: record.split for record in divided}
    assert together == Together(groups=1, images=2, too_large=10)
    assert split["good/00.png"] == split["good/08.png"] == "validation"
    assert sorted(map(str, split.values())) == ["test"] * 2 + ["train"] * 6 + ["validation"] * 2
    with caplog.at_level(logging.WARNING):
        log_remarks(READING, divided, files_of({}), together, None)
    assert "10 images look alike in groups larger than a part of the split" in caplog.text
    assert in_words(together) == ", 2 near-duplicates kept together in 1 groups"


def test_a_split_of_the_source_is_kept_whatever_is_alike() -> None:
    records = [*normals(3, "train"), Record("v", "normal", "good", "validation"), Record("t", "normal", "good", "test")]
    alike = Alike([("good/00.png", "v", "t")], {})
    assigned = assign_splits(records, alike, ratios=(60, 20, 20), resplit=False, seed=0)
    assert assigned.records == sorted(records, key=lambda record: record.path)
    assert assigned.together is None
    assert in_words(assigned.together) == ""


def test_validation_taken_from_train_keeps_pairs_together() -> None:
    records = [*normals(20, "train"), Record("t", "normal", "good", "test")]
    pairs = [(f"good/{i:02}.png", f"good/{i + 1:02}.png") for i in range(0, 20, 2)]
    assigned = assign_splits(records, Alike(pairs, {}), ratios=(70, 15, 15), resplit=False, seed=0)
    split = {record.path: record.split for record in assigned.records}
    assert all(split[first] == split[second] for first, second in pairs)
    assert sum(part == "validation" for part in split.values()) == 4
    assert split["t"] == "test"


@pytest.mark.parametrize("alike", [True, False])
def test_a_thousand_images_are_compared_in_seconds(alike: bool) -> None:
    """At worst all are alike, and none is ruled out early."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 3 if alike else 50, (1000, 64, 64), dtype=np.uint8)
    looks = {f"{n:04}": Likeness(look(0).thumbnail + one, look(0).bits) for n, one in enumerate(noise)}
    started = time.process_time()
    groups = find_groups(files_of(looks), **LIMITS).groups
    assert time.process_time() - started < 5
    assert [len(group) for group in groups] == ([1000] if alike else [])
