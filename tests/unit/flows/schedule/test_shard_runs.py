"""Shards of a distributed run: which are waited for, which are given up, and which branches are deleted."""

import logging
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Crashed, Pending, Running, Scheduled, State

from flows.process.commands import RetryPolicy
from flows.schedule.shards import Limits, delete_old_branches, wait_for

LOG = logging.getLogger(__name__)
LIMITS = Limits(running=60, queued=10)
Events = list[tuple[float, State[Any]]]  # minute and state, in order


@dataclass(frozen=True)
class Run:
    state: State[Any]
    start_time: float | None


@dataclass
class Server:
    """A Prefect server that knows the future of its runs; its clock is the waiting coordinator's."""

    future: Mapping[UUID, Events]
    minute: float = 0.0
    crashed: dict[UUID, State[Any]] = field(default_factory=dict)

    def __call__(self, *, sync_client: bool) -> "Server":
        return self

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None: ...

    def read_flow_run(self, run: UUID) -> Run:
        if run not in self.future:
            raise ObjectNotFound(Exception("no such run"))
        past = [state for minute, state in self.future[run] if minute <= self.minute]
        begun = [minute for minute, state in self.future[run] if minute <= self.minute and state.is_running()]
        return Run(self.crashed.get(run, past[-1]), begun[0] if begun else None)

    def set_flow_run_state(self, run: UUID, state: State[Any], *, force: bool) -> None:
        assert force
        self.crashed[run] = state

    def sleep(self, seconds: float) -> None:
        self.minute += 1


def wait(monkeypatch: pytest.MonkeyPatch, **shards: Events) -> tuple[dict[str, str], float]:
    """Return what became of the shards (their message, or the state's name), and after how many minutes."""
    runs = {shard: uuid4() for shard in shards}
    server = Server({runs[shard]: events for shard, events in shards.items()})
    monkeypatch.setattr("flows.schedule.shards.get_client", server)
    states = wait_for(runs, LIMITS, LOG, now=lambda: 60 * server.minute, sleep=server.sleep)
    return {shard: state.message or str(state.name) for shard, state in states.items()}, server.minute


def queue(begun: float, minutes: float) -> Events:
    """Taken by a worker at a minute, and finished so many later."""
    return [(0, Scheduled()), (begun, Running()), (begun + minutes, Completed())]


def test_shards_that_wait_for_a_busy_worker_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    # One worker, one after the other: the last begins after 110 minutes, more than either limit.
    ends, minutes = wait(monkeypatch, a=queue(5, 50), b=queue(60, 45), c=queue(110, 55))
    assert ends == {"a": "Completed", "b": "Completed", "c": "Completed"}
    assert minutes == pytest.approx(166, abs=1)


def test_a_shard_whose_worker_is_gone_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ends, minutes = wait(monkeypatch, a=[(0, Running())], b=queue(1, 3))
    assert ends["b"] == "Completed"
    assert "no end 60 minutes after it began: its worker is gone" in ends["a"]
    assert minutes == pytest.approx(62, abs=1)


def test_shards_that_no_worker_takes_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ends, minutes = wait(monkeypatch, a=queue(2, 4), b=[(0, Scheduled())], c=[(0, Pending())])
    assert ends["a"] == "Completed"
    assert "no worker began it, and none was at work for 10 minutes" in ends["b"]
    assert ends["c"] == ends["b"]
    assert minutes == pytest.approx(18, abs=1)  # ten after the last work


def test_a_shard_that_crashed_by_itself_keeps_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    ends, _ = wait(monkeypatch, a=[(0, Running()), (3, Crashed(message="out of memory"))])
    assert ends == {"a": "out of memory"}


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_only_branches_of_runs_that_are_over_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over, at_work, foreign = uuid4(), uuid4(), uuid4()
    server = Server({over: [(0, Crashed())], at_work: [(0, Running())]})
    monkeypatch.setattr("flows.schedule.shards.get_client", server)
    git(tmp_path, "init", "-q", "--bare", "remote")
    git(tmp_path, "clone", "-q", "remote", "clone")
    clone = tmp_path / "clone"
    delete_old_branches(clone, "origin", LOG, retry=RetryPolicy(0))  # there is none
    git(clone, "commit", "-q", "--allow-empty", "-m", "x")
    names = [f"oddpart-shards/{run}/{shard}" for run in (over, at_work, foreign) for shard in ("base", "a")]
    git(clone, "push", "-q", "origin", "HEAD:main", *(f"HEAD:refs/heads/{name}" for name in names))
    delete_old_branches(clone, "origin", LOG, retry=RetryPolicy(0))
    left = [line.split("refs/heads/")[1] for line in git(clone, "ls-remote", "--heads", "origin").splitlines()]
    assert sorted(left) == sorted(["main", *names[2:]])
    assert f"oddpart-shards/{foreign}/* on origin: this server knows no such run" in caplog.text
