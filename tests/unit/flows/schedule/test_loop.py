"""The scheduling loop on a made-up executor with a made-up clock."""

import heapq

import pytest

from flows.dvc.batch import Fault, Outcome, StageResult
from flows.schedule.loop import Batch, Executor, Report, run_schedule
from flows.schedule.plan import Stage, make_plan
from flows.site.slots import Device, Slots

MEMORY = Fault("gpu_memory", "x", False)


class Simulation:
    """Batches take the sum of their stages' seconds and two more; stages in `broken` fail that many times."""

    def __init__(self, stages: dict[str, Stage], broken: dict[str, tuple[int, Fault]] | None = None) -> None:
        self.stages, self.broken, self.time = stages, dict(broken or {}), 0.0
        self.ends: list[tuple[float, int, Batch]] = []
        self.started: list[tuple[float, Batch]] = []
        self.running_at_halving: list[int] = []
        self.smallest = False

    def start(self, batch: Batch) -> None:
        self.started.append((self.time, batch))
        end = self.time + 2 + sum(self.stages[name].expected_seconds for name in batch.stages)
        heapq.heappush(self.ends, (end, len(self.started), batch))

    def wait(self) -> tuple[Batch, Outcome]:
        self.time, _, batch = heapq.heappop(self.ends)
        results: dict[str, StageResult] = {}
        for name in batch.stages:
            times, fault = self.broken.get(name, (0, None))
            if times:
                self.broken[name] = (times - 1, fault)  # type: ignore[assignment]
                return batch, Outcome({**results, name: StageResult("failed", 1)}, fault)
            results[name] = StageResult("ran", 1)
        return batch, Outcome(results, None)

    def halve(self, param: str) -> str | None:
        self.running_at_halving.append(len(self.ends))
        return None if self.smallest else f"{param} halved"

    def run(self, *, cpu: int = 2, gpu: int = 1) -> Report:
        devices = tuple(Device(f"gpu-{number}", str(number)) for number in range(gpu))
        return run_schedule(
            make_plan(self.stages, self.stages), Slots(cpu, devices), Executor(self.start, self.wait, self.halve)
        )


def stages(*given: Stage) -> dict[str, Stage]:
    return {stage.name: stage for stage in given}


def test_independent_long_stages_run_at_once() -> None:
    executor = Simulation(stages(*(Stage(name, seconds=50) for name in "abcd")))
    assert executor.run(cpu=2).ran == ["a", "b", "c", "d"]
    assert executor.time == 104
    assert [when for when, _ in executor.started] == [0, 0, 52, 52]


def test_gpu_stages_wait_for_a_gpu_while_others_run() -> None:
    executor = Simulation(
        stages(Stage("g1", "gpu", seconds=50), Stage("g2", "gpu", seconds=50), Stage("c", seconds=50))
    )
    executor.run(cpu=1, gpu=1)
    assert [(when, batch.stages) for when, batch in executor.started] == [(0, ("g1",)), (0, ("c",)), (52, ("g2",))]
    executor = Simulation(executor.stages)
    executor.run(cpu=1, gpu=2)
    assert executor.time == 52


def test_the_critical_path_goes_first() -> None:
    long = frozenset({"a_long"})
    executor = Simulation(
        stages(Stage("a_long", seconds=30), Stage("b", seconds=90), Stage("end", needs=long, seconds=100))
    )
    executor.run(cpu=1)
    assert [batch.stages for _, batch in executor.started] == [("a_long",), ("end",), ("b",)]


def test_a_failure_stops_only_what_needs_it() -> None:
    given = stages(
        Stage("a", seconds=50), Stage("b", needs=frozenset("a"), seconds=50), Stage("c", seconds=50),
        Stage("d", needs=frozenset("bc"), seconds=50),
    )  # fmt: skip
    report = Simulation(given, {"a": (1, Fault("failed", "a broke"))}).run()
    assert report.ran == ["c"]
    assert report.skipped == ["b", "d"]
    assert report.faults["a"].message == "a broke"


def test_stages_behind_the_failed_one_of_a_batch_still_run() -> None:
    report = Simulation(stages(*(Stage(n, seconds=1) for n in "abc")), {"b": (1, Fault("failed", "x"))}).run(cpu=1)
    assert sorted(report.ran) == ["a", "c"]
    assert set(report.faults) == {"b"}


def gpu_stage(name: str, *, batch_size: str | None) -> Stage:
    return Stage(name, "gpu", seconds=50, params=frozenset({"net"}), batch_size=batch_size)


def test_out_of_gpu_memory_runs_again_once_with_half_the_batch() -> None:
    given = stages(gpu_stage("a", batch_size="net.batch_size"), gpu_stage("b", batch_size="net.batch_size"))
    executor = Simulation(given, {"a": (1, MEMORY)})
    report = executor.run(gpu=2)
    assert sorted(report.ran) == ["a", "b"]
    assert report.remarks == ["a: out of GPU memory, net.batch_size halved"]
    assert report.faults == {}
    assert executor.running_at_halving == [0]  # b reads the param: DVC would record the new value for the old run


def test_a_second_time_out_of_memory_is_a_failure() -> None:
    report = Simulation(stages(gpu_stage("a", batch_size="net.batch_size")), {"a": (2, MEMORY)}).run()
    assert set(report.faults) == {"a"}
    assert report.results["a"].state == "failed"


@pytest.mark.parametrize("smallest", [True, False])
def test_no_halving_where_not_allowed_or_not_possible(smallest: bool) -> None:
    executor = Simulation(stages(gpu_stage("a", batch_size="net.batch_size" if smallest else None)), {"a": (1, MEMORY)})
    executor.smallest = smallest
    report = executor.run()
    assert set(report.faults) == {"a"}
    assert report.remarks == []
    assert len(executor.started) == 1


def test_nothing_to_do() -> None:
    report = Simulation({}).run()
    assert (report.results, report.skipped) == ({}, [])
