"""The process that judges, where it cannot start."""

import pytest
from uvicorn.config import STARTUP_FAILURE

from commands.serve.running import Place, Worker
from commands.serve.settings import Limits
from commands.verbs import install_command


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy"), "serve needs sqlalchemy: run `pip"),
        (ModuleNotFoundError("No module named 'commands.x'", name="commands.x"), "serve cannot start"),
        (RuntimeError("unforeseen"), "serve cannot start"),
    ],
)
def test_what_cannot_start_is_not_started_again(
    error: Exception, message: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr("commands.serve.working.make_worker", fails)
    place = Place("127.0.0.1", 8000, None, True, "verdicts.sqlite", None)
    with pytest.raises(SystemExit) as end:
        Worker([], place, Limits())()
    assert end.value.code == STARTUP_FAILURE
    assert message in caplog.text


def test_without_a_repository_the_wheel_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commands.verbs.CHECKOUT", False)
    assert install_command("store") == 'pip install -c constraints.txt "$(ls ./*.whl)[store]"'
    assert install_command("") == 'pip install -c constraints.txt "$(ls ./*.whl)"'
