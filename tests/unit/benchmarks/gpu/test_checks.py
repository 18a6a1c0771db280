"""All checks pass on the CPU in small mode, and one that fails hides no other."""

import pytest

from benchmarks.gpu.__main__ import TOPICS, main
from benchmarks.gpu.isolation import run_isolated
from benchmarks.gpu.measure import StepClock, find_setting
from benchmarks.gpu.rows import Row, Run, print_table

HERE = "tests.unit.benchmarks.gpu"
REASONS = {
    "not_there: import": "ModuleNotFoundError",
    "not_finite": "2 of 3 values are NaN or infinite",
    "out_of_memory": "out of GPU memory",
    "raises": "RuntimeError: expected scalar type Half but found / Float",
    "differs": "differs by 4.8e-02 of the largest value, 0.01 are allowed",
    "returns_nothing": "no value to look at",
    "crashes": "ended with code -11",
    "hangs": "stopped after 30 s",
    "is_right": None,
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_checks_pass_in_small_mode(capfd: pytest.CaptureFixture[str]) -> None:
    main(["--small"])
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(lines) - 1 >= 3 * len(TOPICS)
    assert all(line.split("|")[4].strip() in ("ok", "result") for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fault_hides_no_other_check() -> None:
    reported: list[Row] = []
    run = run_isolated(
        [f"{HERE}.not_there", f"{HERE}.faulty"], small=True, row_seconds=30, all_seconds=400, report=reported.append
    )
    assert reported == run.rows
    assert {row.what for row in run.rows} == set(REASONS)
    assert len(run.rows) == len(REASONS)
    for row in run.rows:
        assert (row.fault is None) == (REASONS[row.what] is None)
        assert (REASONS[row.what] or "") in (row.fault or "")
    assert run.rows[-1].time == "250 ms per step"


@pytest.mark.slow
def test_the_time_of_the_whole_run_is_kept() -> None:
    run = run_isolated([f"{HERE}.faulty"], small=True, row_seconds=100, all_seconds=0.1, report=lambda row: None)
    (row,) = run.rows
    assert "the time of the whole run is over" in (row.fault or "")


def test_a_fault_ends_with_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row("good", seconds=1.5, peak=3 * 2**20), Row("bad", fault="out of GPU memory")]
    monkeypatch.setattr("benchmarks.gpu.__main__.run_isolated", lambda *_, **__: Run("some GPU", rows))
    with pytest.raises(SystemExit, match="1 of 2 checks are faulty"):
        main([])
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert ["good", "1.5 s", "3", "ok", ""] in table
    assert ["bad", "–", "–", "**fault**: out of GPU memory", ""] in table


def test_long_cells_stay_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Run("m", [Row("w" * 80, note="n" * 150, fault="f" * 150)]))
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]) == 3


def test_the_clock_leaves_the_first_steps_out() -> None:
    clock = StepClock(find_setting(small=True), warm_up=2)
    assert list(clock.follow(range(5), total=5, label="x")) == [0, 1, 2, 3, 4]
    assert 0 < clock.seconds < 1
    with pytest.raises(ValueError, match="too few"):
        list(clock.follow(range(2), total=2, label="x"))
