"""Processor seconds of tests with their children, which unlike durations other work on the machine hardly changes.

A session ends with their sum, and with `--durations=N` with the N tests and files that cost most.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

KEY = "processor_seconds"
STARTED = pytest.StashKey[float]()


def processor_seconds() -> float:
    """Return what this process and its ended children have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Costs:
    """A plugin that measures in each worker and sums up where the session is reported."""

    def __init__(self) -> None:
        self.tests: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        item.stash[STARTED] = processor_seconds()
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.when == "teardown":  # the last one; the report brings it from the worker
            item.user_properties.append((KEY, processor_seconds() - item.stash[STARTED]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self.tests[report.nodeid] += float(str(dict(report.user_properties).get(KEY, 0.0)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        shown = config.getoption("durations") or 0
        files: Counter[str] = Counter()
        for test, seconds in self.tests.items():
            files[test.split("::")[0]] += seconds
        for costs in (self.tests, files) if shown else ():
            terminalreporter.section(f"processor seconds of {'tests' if costs is self.tests else 'files'}")
            for name, seconds in costs.most_common(shown):
                terminalreporter.line(f"{seconds:7.1f}  {name}")
        total = sum(self.tests.values())
        terminalreporter.line(
            f"tests used {total:.0f} processor-seconds, children included (--durations=20 lists them)"
        )
