"""Sharing a pipeline out by products, and putting dvc.lock together again."""

import pytest

from flows.parts import merge_locks, products_of, share_out
from flows.plan import Stage
from stages.core.run.errors import UserError


def stage(name: str, needs: str = "", params: str = "") -> Stage:
    return Stage(name, needs=frozenset(needs.split()), params=frozenset(params.split()))


STAGES = {
    item.name: item
    for item in (
        stage("weights"),
        stage("split@a", "weights", "categories.a seed"),
        stage("split@b", "weights", "categories.b.path"),
        stage("train@a", "split@a", "profiles/a.yaml:x"),
        stage("train@b", "split@b"),
        stage("universal", "split@a split@b"),
        stage("test@b", "universal split@b", "categories.b"),
        stage("report", "train@a train@b"),
        stage("listing", "", "categories"),
    )
}


def test_a_product_follows_its_stages_through_the_graph() -> None:
    assert products_of(STAGES) == {
        "weights": set(), "split@a": {"a"}, "split@b": {"b"}, "train@a": {"a"}, "train@b": {"b"},
        "universal": {"a", "b"}, "test@b": {"a", "b"}, "report": {"a", "b"}, "listing": {"a", "b"},
    }  # fmt: skip


def test_stages_of_one_product_go_to_a_worker_and_the_others_come_before_or_after() -> None:
    shares = share_out(STAGES, STAGES)
    assert shares.first == ("weights",)
    assert shares.parts == {"a": ("split@a", "train@a"), "b": ("split@b", "train@b")}
    assert set(shares.last) == {"universal", "test@b", "report", "listing"}


def test_only_what_changed_is_shared_out() -> None:
    shares = share_out(STAGES, ["train@a"])
    assert (shares.first, dict(shares.parts), shares.last) == ((), {"a": ("train@a",)}, ("report",))


LOCK = {"schema": "2.0", "stages": {"x@a": {"cmd": "old"}, "x@b": {"cmd": "old"}, "report": {"cmd": "old"}}}


def test_each_stage_comes_from_its_owner_and_the_rest_stays() -> None:
    parts = {
        "a": {
            "schema": "2.0",
            "stages": {"x@a": {"cmd": "new a"}, "x@b": {"cmd": "stray"}, "report": {"cmd": "stray"}},
        },
        "b": {"schema": "2.0", "stages": {"x@b": {"cmd": "new b"}}},
    }
    merged = merge_locks(LOCK, parts, {"a": ["x@a", "y@a"], "b": ["x@b"]})
    assert merged["stages"] == {"x@a": {"cmd": "new a"}, "x@b": {"cmd": "new b"}, "report": {"cmd": "old"}}
    assert LOCK["stages"]["x@a"] == {"cmd": "old"}  # type: ignore[index]


def test_a_first_run_has_no_lock_yet() -> None:
    merged = merge_locks({}, {"a": {"schema": "2.0", "stages": {"x@a": {"cmd": "new"}}}}, {"a": ["x@a"]})
    assert merged == {"schema": "2.0", "stages": {"x@a": {"cmd": "new"}}}


def test_a_part_that_did_not_answer_changes_nothing() -> None:
    assert merge_locks(LOCK, {}, {"a": ["x@a"]}) == LOCK


def test_two_owners_or_schemas_are_an_error() -> None:
    part = {"schema": "2.0", "stages": {"x@a": {"cmd": "new"}}}
    with pytest.raises(UserError, match="stage x@a belongs to the parts a and b"):
        merge_locks(LOCK, {"a": part, "b": part}, {"a": ["x@a"], "b": ["x@a"]})
    with pytest.raises(UserError, match="part a has another schema"):
        merge_locks(LOCK, {"a": {"schema": "3.0", "stages": {}}}, {"a": []})
