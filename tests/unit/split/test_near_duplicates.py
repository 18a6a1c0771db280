"""Near-duplicates in a split by hand, and from files to the stage's numbers."""

import logging
import time
from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.split.inspect_files import Inspection
from stages.split.near_duplicates import (
    NearDuplicateParams,
    NearDuplicates,
    PerceptualHash,
    find_groups,
    find_links,
)
from stages.split.readers.records import Reading, Record
from stages.split.rule import Together, assign_splits, choose_part, place, share_at, split_together
from stages.split.write import in_words, log_remarks

READING = Reading(())
LIMITS = NearDuplicateParams(hash_distance=6, pixel_difference=3.0)


def hash_of(value: int, *, seed: int = 0) -> PerceptualHash:
    """A random thumbnail, brighter by `value`."""
    generator = np.random.default_rng(seed)
    thumbnail = generator.integers(50, 200, (64, 64), dtype=np.uint8)
    return PerceptualHash(thumbnail + np.uint8(value), generator.random(64) > 0.5)


def normals(count: int, split: str | None = None) -> list[Record]:
    return [Record(f"good/{i:02}.png", "normal", "good", split) for i in range(count)]


def anomalies(count: int) -> list[Record]:
    return [Record(f"bad/{i:02}.png", "structural", "bad") for i in range(count)]


def test_groups_are_chains_of_alike_images() -> None:
    # Steps of 2 grey levels are alike, of 4 not: a-b-c are a chain though a and c are not alike; z is another one.
    hashes = {"a": hash_of(0), "b": hash_of(2), "c": hash_of(4), "far": hash_of(40), "z": hash_of(0, seed=1)}
    assert find_links(list(hashes.values()), LIMITS) == [(0, 1), (1, 2)]
    assert find_groups(hashes, {}, LIMITS).groups == (("a", "b", "c"),)
    assert find_groups({}, {}, LIMITS).groups == ()


def test_links_join_what_pairs_would() -> None:
    """The rules that save comparisons lose no link, and no link is superfluous."""
    generator = np.random.default_rng(0)
    base = hash_of(0)
    noise = [generator.normal(0, scale, (64, 64)).round() for scale in np.linspace(0, 6, 40)]
    hashes = [PerceptualHash((base.thumbnail + one).astype(np.uint8), base.bits) for one in noise]
    pairs = [(a, b) for a in range(40) for b in range(a + 1, 40)]
    floats = [one.thumbnail.astype(float) for one in hashes]
    alike = [(a, b) for a, b in pairs if np.abs(floats[a] - floats[b]).mean() <= 3.0]
    assert 0 < len(alike) < len(pairs)
    links = find_links(hashes, LIMITS)
    assert set(links) <= set(alike)
    assert parts_of(links) == parts_of(alike)
    assert len(links) == 40 - len(set(parts_of(links)))


def parts_of(edges: list[tuple[int, int]]) -> list[int]:
    """The number of each image's connected component."""
    graph = coo_array((np.ones(len(edges)), tuple(np.array(edges).T)), shape=(40, 40))
    parts: list[int] = connected_components(graph, directed=False)[1].tolist()
    return parts


def split_of(records: list[Record], groups: list[tuple[str, ...]]) -> tuple[dict[str, str | None], Together]:
    contents = {record.path: record.path for record in records}
    divided, together = split_together(records, NearDuplicates(groups, contents), ratios=(60, 20, 20), seed=0)
    return {record.path: record.split for record in divided}, together


def test_a_pair_goes_where_its_first_image_falls() -> None:
    # 10 normals at 60 : 20 : 20. Seed 0 orders them 3 4 8 7 2 6 | 1 9 | 5 0: train, validation, test.
    order = sorted(normals(10), key=lambda record: place(record, {}, 0))
    assert "".join(record.path[6] for record in order) == "3487261950"
    assert 0.6 < place(order[6], {}, 0) < 0.8
    split, together = split_of(normals(10), [("good/00.png", "good/01.png")])
    # 1 comes before 0 and falls into validation's share, where two have space; 9 moves on, the order of the rest stays
    assert [path for path, part in split.items() if part == "validation"] == ["good/01.png", "good/00.png"]
    assert {path for path, part in split.items() if part == "test"} == {"good/09.png", "good/05.png"}
    assert together == Together(groups=1, images=2)


def test_where_a_place_falls() -> None:
    cases = [("0.69", False), ("0.7", False), ("0.85", False), ("0.69", True), ("0.3", True)]
    found = [share_at(Fraction(at), (70, 15, 15), held_out=held_out) for at, held_out in cases]
    assert found == ["train", "validation", "test", "test", "validation"]


def test_normals_alike_an_anomaly_are_excluded_from_train() -> None:
    # Space in validation and test: 2 normals and 2 anomalies each. 4 and 6 would be trained on; bad 1 would be tested.
    records = [*normals(10), *anomalies(4)]
    plain, _ = split_of(records, [])
    assert plain["good/04.png"] == plain["good/06.png"] == "train"
    split, together = split_of(records, [("good/04.png", "good/06.png", "bad/01.png")])
    assert split["good/04.png"] == split["good/06.png"] == split["bad/01.png"] == plain["bad/01.png"]
    assert sum(part == "train" for part in split.values()) == 6  # others go to train in their place
    assert together == Together(groups=1, images=3, normals_like_anomalies=2)


def test_a_group_goes_where_it_finds_space() -> None:
    train = [Record(f"{i}", "normal", "good") for i in range(3)]
    space = {False: {"train": 2, "validation": 5, "test": 1}, True: {}}
    parts = ("train", "validation", "test")
    full = {False: {"train": 2, "validation": -1, "test": 1}, True: {}}
    assert choose_part(train[:1], "test", space, parts) == "test"  # its wish, with space  # type: ignore[arg-type]
    assert choose_part(train[:2], "test", space, parts) == "validation"  # most space  # type: ignore[arg-type]
    assert choose_part(train, "test", full, parts) == "train"  # type: ignore[arg-type]


def test_what_is_alike_everywhere_is_no_duplicate(caplog: pytest.LogCaptureFixture) -> None:
    """A fixed camera: all ten are alike. They are divided as ever; only the two equal files stay together."""
    records = normals(10)
    paths = tuple(record.path for record in records)
    contents = {path: "same" if path in ("good/00.png", "good/08.png") else path for path in paths}
    divided, together = split_together(records, NearDuplicates([paths], contents), ratios=(60, 20, 20), seed=0)
    split = {record.path: record.split for record in divided}
    assert together == Together(groups=1, images=2, too_large=10)
    assert split["good/00.png"] == split["good/08.png"]
    assert sorted(map(str, split.values())) == ["test"] * 2 + ["train"] * 6 + ["validation"] * 2
    with caplog.at_level(logging.WARNING):
        log_remarks(READING, divided, Inspection({}, {}, ()), together, None)
    assert "10 images are alike in groups larger than a part of the split" in caplog.text
    assert in_words(together) == ", 2 near-duplicates kept together in 1 groups"


def test_a_split_of_the_source_is_kept_whatever_is_alike() -> None:
    records = [*normals(3, "train"), Record("v", "normal", "good", "validation"), Record("t", "normal", "good", "test")]
    duplicates = NearDuplicates([("good/00.png", "v", "t")], {})
    assigned = assign_splits(records, duplicates, ratios=(60, 20, 20), resplit=False, seed=0)
    assert assigned.records == sorted(records, key=lambda record: record.path)
    assert assigned.together is None
    assert in_words(assigned.together) == ""


def test_validation_taken_from_train_keeps_pairs_together() -> None:
    records = [*normals(20, "train"), Record("t", "normal", "good", "test")]
    pairs = [(f"good/{i:02}.png", f"good/{i + 1:02}.png") for i in range(0, 20, 2)]
    assigned = assign_splits(records, NearDuplicates(pairs, {}), ratios=(70, 15, 15), resplit=False, seed=0)
    split = {record.path: record.split for record in assigned.records}
    assert all(split[first] == split[second] for first, second in pairs)
    assert sum(part == "validation" for part in split.values()) == 4
    assert split["t"] == "test"


@pytest.mark.parametrize("alike", [True, False])
def test_a_thousand_images_are_compared_in_seconds(alike: bool) -> None:
    """At worst all are alike, and none is ruled out early."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 3 if alike else 50, (1000, 64, 64), dtype=np.uint8)
    base = hash_of(0)
    hashes = {f"{n:04}": PerceptualHash(base.thumbnail + one, base.bits) for n, one in enumerate(noise)}
    started = time.process_time()
    groups = find_groups(hashes, {}, LIMITS).groups
    assert time.process_time() - started < (1 if alike else 5)  # linked once, an image is not compared again
    assert [len(group) for group in groups] == ([1000] if alike else [])
