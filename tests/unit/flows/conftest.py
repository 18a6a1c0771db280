"""Processes that tests start and look after."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

WaitFor = Callable[[Callable[[], object]], None]


@dataclass(frozen=True)
class Family:
    """A command that starts another through a shell, as a stage with `a && b` would; both write their ids."""

    folder: Path
    command: str = "echo $$ > parent; sh -c 'echo $$ > child; sleep 600' && true"

    def id_of(self, name: str) -> int:
        """Return the id of "parent" or "child", once it runs."""
        path = self.folder / name
        wait_until(lambda: path.exists() and path.read_text().strip())
        return int(path.read_text())

    def alive(self) -> list[int]:
        """Return the ids of those of the two that live, once both have begun."""
        return [process for process in (self.id_of("parent"), self.id_of("child")) if is_alive(process)]


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def wait_for() -> WaitFor:
    """Wait until a condition holds, at most a minute."""
    return wait_until


@pytest.fixture
def family(tmp_path: Path) -> Family:
    """Two processes of which one starts the other, to be run in tmp_path."""
    return Family(tmp_path)
