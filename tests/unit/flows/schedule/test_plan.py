"""Plan, order and grouping of a run, worked out by hand."""

import pytest

from flows.schedule.plan import UNKNOWN_SECONDS, Stage, chosen, in_order, make_plan, with_needs
from flows.schedule.progress import SHORT_SECONDS, Progress, next_batch, reads
from stages.core.run.errors import UserError
from tests.table import violations


def pipeline(**stages: tuple[float | None, str]) -> dict[str, Stage]:
    """name=(seconds, "needed needed") -> stages; a double underscore stands for @."""
    named = {name.replace("__", "@"): value for name, value in stages.items()}
    return {
        name: Stage(name, seconds=seconds, needs=frozenset(needs.replace("__", "@").split()))
        for name, (seconds, needs) in named.items()
    }


PRODUCT = pipeline(
    download=(1, ""), split=(2, "download"), parts=(30, "split"), students=(80, "split"), histogram=(3, "parts"),
    fusion=(1, "histogram students"), report=(None, "fusion download"),
)  # fmt: skip


def test_changed_stages_and_what_follows_are_planned() -> None:
    assert list(make_plan(PRODUCT, ["parts"]).stages) == ["parts", "histogram", "fusion", "report"]
    assert list(make_plan(PRODUCT, [])  .stages) == []  # fmt: skip
    assert set(make_plan(PRODUCT, ["download"]).stages) == set(PRODUCT)


def test_targets_limit_the_plan_to_what_they_need() -> None:
    plan = make_plan(PRODUCT, PRODUCT, ["histogram"])
    assert list(plan.stages) == ["download", "split", "parts", "histogram"]
    assert list(make_plan(PRODUCT, ["students"], ["histogram"]).stages) == []


def test_a_target_names_all_instances() -> None:
    stages = pipeline(train__a=(1, ""), train__b=(1, ""), trainer__a=(1, ""))
    assert chosen(stages, ["train"]) == {"train@a", "train@b"}
    assert chosen(stages, ["train@b"]) == {"train@b"}
    with pytest.raises(UserError, match=r"'tra' is no stage of dvc.yaml; there are train, trainer"):
        chosen(stages, ["tra"])


def test_with_needs_goes_all_the_way() -> None:
    assert with_needs(PRODUCT, ["histogram"]) == {"histogram", "parts", "split", "download"}


def test_priority_is_the_longest_way_to_the_end() -> None:
    priority = make_plan(PRODUCT, PRODUCT).priority
    assert priority["report"] == UNKNOWN_SECONDS
    assert priority["fusion"] == 1 + UNKNOWN_SECONDS
    assert priority["parts"] == 30 + 3 + 1 + UNKNOWN_SECONDS
    assert priority["students"] == 80 + 1 + UNKNOWN_SECONDS
    assert priority["download"] == 1 + 2 + 80 + 1 + UNKNOWN_SECONDS


def test_a_circle_is_an_error() -> None:
    with pytest.raises(UserError, match=r"\['a', 'b'\] depend on each other in a circle"):
        in_order(pipeline(a=(1, "b"), b=(1, "a"), c=(1, "")))


def test_short_stages_in_a_row_share_a_call_and_hold_up_no_long_one() -> None:
    progress = Progress(make_plan(PRODUCT, PRODUCT))
    assert next_batch(progress, "cpu", free=2) == ["download", "split"]  # then parts and students may start
    progress.start(["download", "split"])
    assert next_batch(progress, "cpu", free=1) == []
    progress.finish(["download", "split"], done=["download", "split"], failed=[])
    assert next_batch(progress, "cpu", free=2) == ["students"]  # the critical path first; long: alone
    progress.start(["students"])
    assert next_batch(progress, "cpu", free=1) == ["parts"]


def test_a_stage_that_never_ran_is_alone() -> None:
    progress = Progress(make_plan(pipeline(a=(None, ""), b=(None, "a")), ["a"]))
    assert next_batch(progress, "cpu", free=1) == ["a"]


def test_a_chain_of_short_stages_fills_a_call() -> None:
    stages = pipeline(**{f"s{i}": (SHORT_SECONDS / 4, f"s{i - 1}" if i else "") for i in range(10)})
    assert next_batch(Progress(make_plan(stages, stages)), "cpu", free=2) == ["s0", "s1", "s2", "s3"]


def test_independent_short_stages_are_shared_among_the_free_slots() -> None:
    stages = pipeline(a=(1, ""), b=(1, ""), c=(1, ""), d=(1, ""))
    progress = Progress(make_plan(stages, stages))
    assert next_batch(progress, "cpu", free=2) == ["a", "b"]
    assert next_batch(progress, "cpu", free=4) == ["a"]
    assert next_batch(progress, "cpu", free=1) == ["a", "b", "c", "d"]


def test_a_batch_keeps_to_one_resource() -> None:
    stages = pipeline(a=(1, ""), b=(1, "a")) | {"g": Stage("g", resource="gpu", needs=frozenset({"a"}), seconds=1)}
    progress = Progress(make_plan(stages, stages))
    assert next_batch(progress, "gpu", free=1) == []
    assert next_batch(progress, "cpu", free=1) == ["a", "b"]


def test_a_failed_stage_holds_back_only_what_needs_it() -> None:
    progress = Progress(make_plan(PRODUCT, PRODUCT))
    progress.start(["download", "split"])
    progress.finish(["download", "split"], done=["download", "split"], failed=[])
    progress.start(["parts"])
    progress.finish(["parts"], done=[], failed=["parts"])
    assert progress.skipped == {"histogram", "fusion", "report"}
    assert [stage.name for stage in progress.ready()] == ["students"]


def test_stages_of_an_interrupted_batch_wait_again() -> None:
    stages = pipeline(a=(1, ""), b=(1, ""), c=(1, ""))
    progress = Progress(make_plan(stages, stages))
    progress.start(["a", "b", "c"])
    progress.finish(["a", "b", "c"], done=["a"], failed=["b"])
    assert progress.pending == {"c"}


def test_a_held_param_keeps_its_readers_from_starting() -> None:
    reader = Stage("x", params=frozenset({"profiles/paper.yaml:sir"}))
    stages = {stage.name: stage for stage in (reader, Stage("y", params=frozenset({"seed"})))}
    progress = Progress(make_plan(stages, stages))
    progress.hold("x", "profiles/paper.yaml:sir.batch_size")
    assert [stage.name for stage in progress.ready()] == ["y"]
    assert progress.releasable() == ["x"]
    progress.start(["x"])
    assert progress.releasable() == []


def test_reading_a_section_is_reading_its_keys() -> None:
    def check(param: str, expected: bool) -> None:
        assert reads(Stage("x", params=frozenset({"a.b"})), param) is expected

    rows = [("a.b", True), ("a.b.c", True), ("a", False), ("a.bc", False)]
    assert violations(check, rows) == []


def test_a_batch_ends_where_it_lets_a_long_stage_start() -> None:
    stages = pipeline(a=(1, ""), long=(50, "a"), b=(1, "a"), c=(1, ""))
    assert next_batch(Progress(make_plan(stages, stages)), "cpu", free=1) == ["a"]
