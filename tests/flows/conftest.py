"""One Prefect server for all tests of this folder, and a fresh copy of the toy repository for each."""

import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.serve import api_url
from flows.site.access import auth_string
from tests.flows import shared_server
from tests.flows.toy import Toy, write_toy
from tests.once import one_at_a_time, shared_folder

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """DVC and Prefect run within these tests, and warn of what they themselves still have to change."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all processes of this session."""
    return shared_folder(tmp_path_factory.getbasetemp()) / "flows"


@pytest.fixture(scope="session", autouse=True)
def begun_server(request: pytest.FixtureRequest, shared: Path) -> Path:
    """The folder of the server, which starts while tests that do without it run."""
    if any("prefect" in getattr(item, "fixturenames", ()) for item in request.session.items):
        cache = request.config.cache
        kept = cache.mkdir("prefect") if cache is not None else shared
        shared_server.join(shared / "server", kept / f"{version('prefect')}.db")
    return shared / "server"


@pytest.fixture(scope="session")
def prefect(begun_server: Path) -> Iterator[None]:
    """Flows of this process report to the server."""
    url, secret = api_url(shared_server.wait_for_port(begun_server)), auth_string(begun_server / shared_server.HOME)
    with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: secret}):
        yield


@pytest.fixture(scope="session")
def first_toy(shared: Path) -> Toy:
    root = shared / "toy/with a space"
    with one_at_a_time(shared / "toy.lock"):
        if not root.exists():
            root.parent.mkdir()
            write_toy(shared / "unfinished").root.rename(root)
    return Toy(root)


@pytest.fixture
def toy(first_toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Up to date and committed; flows work in it."""
    shutil.copytree(first_toy.root, tmp_path / "clone", symlinks=True)
    monkeypatch.setenv("ODDPART_CLONE", str(tmp_path / "clone"))
    monkeypatch.setenv("ODDPART_SLOTS", str(tmp_path / "slots"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return Toy(tmp_path / "clone")
