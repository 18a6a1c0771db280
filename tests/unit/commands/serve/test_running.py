"""A service, where it cannot start."""

import pytest
from typer.testing import CliRunner
from uvicorn.config import STARTUP_FAILURE

from commands.app import app
from commands.serve.running import Place, Worker
from commands.serve.settings import Limits
from commands.verbs import install_command
from tests.table import violations


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


def test_a_limit_that_is_no_number_or_that_no_machine_has_is_a_wrong_option() -> None:
    """NaN passes a comparison that asks for what is wrong; a million threads are begun one by one."""

    def check(option: str, value: str) -> None:
        done = CliRunner().invoke(app, ["serve", "bundle", option, value], catch_exceptions=False)
        assert done.exit_code == 2
        assert f"Invalid value for '{option}'" in done.output

    rows = [
        ("--max-body", "nan"), ("--max-held", "inf"), ("--max-megapixels", "-inf"), ("--timeout", "inf"),
        ("--queue", "1" + 12 * "0"), ("--max-pictures", "-1"), ("--threads", "1000000"), ("--keep-days", "1e10"),
    ]  # fmt: skip
    assert violations(check, rows) == []
