"""A pipeline is divided by products, and workers' answers are looked at before they count."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.states import Completed

from flows.distribute import gather
from flows.dvc.pipeline import Pipeline
from flows.schedule.plan import Stage
from flows.schedule.scheduled_run import RunOptions
from flows.schedule.shards import divide, products_of, read_answer
from stages.core.run.errors import UserError
from tests.table import violations


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


def test_stages_of_one_product_make_a_shard_and_others_run_before_or_after() -> None:
    division = divide(STAGES, STAGES)
    assert division.first == ("weights",)
    assert division.shards == {"a": ("split@a", "train@a"), "b": ("split@b", "train@b")}
    assert set(division.last) == {"universal", "test@b", "report", "listing"}


def test_only_what_changed_is_divided() -> None:
    division = divide(STAGES, ["train@a"])
    assert (division.first, dict(division.shards), division.last) == ((), {"a": ("train@a",)}, ("report",))


def lock_with(name: str, *paths: Any) -> str:
    return yaml.safe_dump({"schema": "2.0", "stages": {name: {"cmd": "x", "outs": [{"path": path} for path in paths]}}})


def test_a_workers_lock_names_outputs_of_its_stages_only() -> None:
    def check(text: str, said: str) -> None:
        stages = {"train@a": Stage("train@a", outputs=frozenset({"models/a"}))}
        with pytest.raises(UserError, match=said):
            read_answer(text, ["train@a"], stages)
        assert read_answer(lock_with("train@a", "models/a"), ["train@a"], stages)["schema"] == "2.0"
        assert read_answer("", ["train@a"], stages) == {}

    rows = [
        (lock_with("train@a", "models/a", "../victim"), r"no outputs of train@a in dvc.yaml: \['../victim'\]"),
        (lock_with("train@a", "/etc"), r"\['/etc'\]"),
        (lock_with("train@a", "models/a/../../.git"), r"\['models/a/../../.git'\]"),
        (lock_with("train@a", "models"), r"\['models'\]"),
        ("stages: [", "cannot be read .ParserError"),
        ("- a", "cannot be read"),
        ("stages: {train@a: {outs: 5}}", "cannot be read .TypeError"),
        ("stages: {train@a: {outs: [{md5: x}]}}", "cannot be read .KeyError"),
    ]
    assert violations(check, rows) == []


def test_a_refused_answer_deletes_nothing_and_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    (tmp_path / "victim").touch()
    (clone / "b.txt").touch()
    stages = {f"train@{key}": Stage(f"train@{key}", outputs=frozenset({f"{key}.txt"})) for key in "ab"}
    locks = iter([lock_with("train@a", "../victim"), lock_with("train@b", "b.txt")])
    monkeypatch.setattr("flows.distribute.fetch_branch", lambda *_: True)
    monkeypatch.setattr("flows.distribute.read_pipeline", lambda _: Pipeline(stages, frozenset()))
    monkeypatch.setattr("flows.git.repository.file_at", lambda *_: next(locks))
    monkeypatch.setattr("flows.git.repository.take_files", lambda *_: None)
    options = RunOptions(
        clone=clone, branch="main", git_remote="origin", push_git=True, dvc_remote=None, baseline="baseline",
        tolerance=2.0, files_address=None, retries=0, retry_delay_seconds=0.0,
    )  # fmt: skip
    report = gather(options, divide(DIVIDED, DIVIDED), "prefix", {"a": Completed(), "b": Completed()})
    assert (tmp_path / "victim").exists()
    assert not (clone / "b.txt").exists()  # the new one is on the DVC remote
    assert sorted(yaml.safe_load((clone / "dvc.lock").read_text())["stages"]) == ["train@b"]
    assert {shard: fault.message.partition(":")[0] for shard, fault in report.faults.items()} == {
        "a": "shard a is refused"
    }


DIVIDED = {f"train@{key}": stage(f"train@{key}", "", f"categories.{key}") for key in "ab"}
