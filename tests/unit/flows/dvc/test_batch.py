"""DVC's lines say what became of each stage, and why a call failed."""

import itertools

from flows.dvc.batch import BatchLog, Fault, Outcome, StageResult, fault_of
from flows.process.commands import Finished
from flows.schedule.loop import Report
from tests.table import violations

LINES = """
Stage 'a' didn't change, skipping
Running stage 'b@x':
> python -m stages.b
Stage 'c' is cached - skipping run, checking out outputs
Running stage 'd':
"""


def log_of(lines: str) -> BatchLog:
    ticks = itertools.count(10)
    log = BatchLog({"a": 1, "b@x": 2, "c": 3, "d": 4}, now=lambda: float(next(ticks)))
    for line in lines.strip().splitlines():
        log.read(line)
    return log


def test_every_stage_gets_its_state() -> None:
    outcome = log_of(LINES).outcome(["a", "b@x", "c", "d"], Finished(0, ()))
    states = {name: result.state for name, result in outcome.results.items()}
    assert states == {"a": "unchanged", "b@x": "ran", "c": "cached", "d": "ran"}
    assert outcome.results["b@x"] == StageResult("ran", 1.0)
    assert outcome.fault is None


def test_the_stage_that_dvc_names_failed() -> None:
    log = log_of(LINES + "ERROR: failed to reproduce 'd': failed to run: python -m stages.d, exited with 1")
    outcome = log.outcome(["a", "b@x", "c", "d"], Finished(255, ("ERROR: failed to reproduce 'd'",)))
    assert outcome.names(failed=True) == {"d"}
    assert outcome.names(failed=False) == {"a", "b@x", "c"}
    assert outcome.fault is not None
    assert outcome.fault.message.startswith("stage d failed with code 255")


def test_without_a_name_the_stage_begun_last_failed() -> None:
    outcome = log_of("Running stage 'a':\nRunning stage 'b@x':").outcome(["a", "b@x", "c"], Finished(137, ()))
    assert outcome.names(failed=True) == {"b@x"}
    assert outcome.names(failed=False) == {"a"}
    assert "c" not in outcome.results


def test_a_call_that_succeeded_has_done_all_its_stages() -> None:
    outcome = log_of("Verifying data sources in stage: 'a.dvc'\nRunning stage 'b@x':").outcome(
        ["a", "b@x", "c"], Finished(0, ())
    )
    assert outcome.names(failed=False) == {"a", "b@x", "c"}
    assert (outcome.results["b@x"].state, outcome.results["a"].state) == ("ran", "unchanged")


def test_what_ran_in_a_first_attempt_counts() -> None:
    ran, failed, unchanged = (StageResult(state, 5.0) for state in ("ran", "failed", "unchanged"))
    first = Outcome({"a": ran, "b": failed}, Fault("network", "x", True))
    second = Outcome({"a": unchanged, "b": ran, "c": unchanged}, None)
    assert first.followed_by(second) == Outcome({"a": ran, "b": ran, "c": unchanged}, None)
    report = Report(dict(first.results)).followed_by(Report(dict(second.results)))
    assert report.ran == ["a", "b"]


def test_a_call_that_reached_no_stage_fails_its_first() -> None:
    outcome = log_of("").outcome(["a", "c"], Finished(255, ("ERROR: dvc.yaml is broken",)))
    assert outcome.names(failed=True) == {"a"}


def test_each_stage_starts_its_own_clock() -> None:
    log = log_of("")
    assert log.read("Running stage 'b@x':") == 2
    assert log.read("> python -m stages.b") is None
    assert log.read("Running stage 'unknown':") is None


def test_faults_are_told_apart() -> None:
    def check(line: str, kind: str, transient: bool) -> None:
        fault = fault_of(Finished(1, ("Running stage 'a':", line)), doing="stage a")
        assert (fault.kind, fault.transient) == (kind, transient)
        assert line in fault.message
        assert "Running stage" not in fault.message

    rows = [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "gpu_memory", False),
        ("OSError: [Errno 28] No space left on device: 'x'", "disk_full", False),
        ("ERROR: Unable to acquire lock. Most likely another DVC process is running", "locked", True),
        ("ERROR: '/a/b' is busy, it is being blocked by:", "locked", True),
        ('ERROR: unexpected error - Could not connect to the endpoint URL: "http://x"', "network", True),
        ("urllib3.exceptions.NewConnectionError: Connection refused", "network", True),
        ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "network", True),
        ("ERROR: failed to reproduce 'a': failed to run: x, exited with -9", "killed", False),
        ("ERROR: images/3.png is truncated: replace it", "failed", False),
        ("ValueError: loss is 502.0", "failed", False),
        ("ValueError: epoch 502/1000 reconstruction error 0.31 is not finite", "failed", False),
        ("yaml.YAMLError: line 504: error in key", "failed", False),
        ("RuntimeError: the timeout is over, all 4 threads already ended", "failed", False),
        ("RuntimeError: process killed by user input", "failed", False),
        ("Killed", "killed", False),
        ("bash: line 1: 4711 Killed                  python -m stages.a", "killed", False),
        ("HTTP Error 503: come back later", "network", True),
        ("dvc_s3.Error: server answered with status code 502", "network", True),
        ("ClientError: An error occurred (503) when calling the PutObject operation", "network", True),
        ("requests: error: 504 Gateway Timeout", "network", True),
        ("ReadTimeoutError: HTTPSConnectionPool: Read timed out. (read timeout=60)", "network", True),
    ]
    assert violations(check, rows) == []


def test_what_an_earlier_stage_of_the_call_said_is_not_the_fault() -> None:
    lines = ("Running stage 'a':", "ConnectionError, trying the mirror", "Running stage 'b':", "ValueError: a bug")
    fault = fault_of(Finished(1, lines), doing="stage b")
    assert (fault.kind, fault.transient) == ("failed", False)
    assert "mirror" not in fault.message


def test_the_advice_for_a_full_disk_keeps_what_commits_need() -> None:
    message = fault_of(Finished(1, ("No space left on device",)), doing="stage a").message
    assert "dvc gc --all-commits" in message
    assert "--workspace" not in message


def test_a_time_limit_is_named_as_such() -> None:
    fault = fault_of(Finished(-9, ("CUDA out of memory",), timed_out=True), doing="stage a")
    assert fault.kind == "timeout"
    assert "stage_timeout_minutes" in fault.message
