"""One Prefect server for all tests of this folder, and a fresh copy of the toy repository for each."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from tests.flows.toy import Toy, write_toy

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """DVC and Prefect run within these tests, and warn of what they themselves still have to change."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """Prefect's own temporary server; the variables keep it from calling anybody."""
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="session")
def first_toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return write_toy(tmp_path_factory.mktemp("toy") / "with a space")


@pytest.fixture
def toy(first_toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Up to date and committed; flows work in it."""
    shutil.copytree(first_toy.root, tmp_path / "clone", symlinks=True)
    monkeypatch.setenv("ODDPART_CLONE", str(tmp_path / "clone"))
    monkeypatch.setenv("ODDPART_SLOTS", str(tmp_path / "slots"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return Toy(tmp_path / "clone")
