"""Several locks are merged into one, and every stage has a file for what it cost."""

from pathlib import Path

import pytest

from flows.dvc.pipeline import cost_file, merge_locks
from stages.core.run.errors import UserError

LOCK = {"schema": "2.0", "stages": {"x@a": {"cmd": "old"}, "x@b": {"cmd": "old"}, "report": {"cmd": "old"}}}


def test_each_stage_comes_from_its_owner_and_the_rest_stays() -> None:
    shards = {
        "a": {
            "schema": "2.0",
            "stages": {"x@a": {"cmd": "new a"}, "x@b": {"cmd": "stray"}, "report": {"cmd": "stray"}},
        },
        "b": {"schema": "2.0", "stages": {"x@b": {"cmd": "new b"}}},
    }
    merged = merge_locks(LOCK, shards, {"a": ["x@a", "y@a"], "b": ["x@b"]})
    assert merged["stages"] == {"x@a": {"cmd": "new a"}, "x@b": {"cmd": "new b"}, "report": {"cmd": "old"}}
    assert LOCK["stages"]["x@a"] == {"cmd": "old"}  # type: ignore[index]


def test_a_first_run_has_no_lock_yet() -> None:
    merged = merge_locks({}, {"a": {"schema": "2.0", "stages": {"x@a": {"cmd": "new"}}}}, {"a": ["x@a"]})
    assert merged == {"schema": "2.0", "stages": {"x@a": {"cmd": "new"}}}


def test_a_shard_that_did_not_answer_changes_nothing() -> None:
    assert merge_locks(LOCK, {}, {"a": ["x@a"]}) == LOCK


def test_two_owners_or_schemas_are_an_error() -> None:
    shard = {"schema": "2.0", "stages": {"x@a": {"cmd": "new"}}}
    with pytest.raises(UserError, match="stage x@a belongs to the shards a and b"):
        merge_locks(LOCK, {"a": shard, "b": shard}, {"a": ["x@a"], "b": ["x@a"]})
    with pytest.raises(UserError, match="shard a has another schema"):
        merge_locks(LOCK, {"a": {"schema": "3.0", "stages": {}}}, {"a": []})


@pytest.mark.parametrize(
    ("instance", "file"),
    [
        ("report", "metrics/cost/report.json"),
        ("cluster@pin_tray", "metrics/cost/pin_tray/cluster.json"),
        ("sir_scores@sir_one_shot_universal-pin_tray", "metrics/cost/sir_one_shot_universal-pin_tray/sir_scores.json"),
    ],
)
def test_the_cost_of_an_instance_has_a_file_in_its_products_folder(instance: str, file: str) -> None:
    assert cost_file(instance) == Path(file)
