"""The secret of the Prefect server: who can read it, and what becomes of it when others could."""

import os
import re
import stat
from pathlib import Path

import pytest
from prefect.settings import Settings

from flows.serve import environment, print_next_steps
from flows.site.access import CLIENT_AUTH, SERVER_AUTH, auth_string, private_folder
from stages.core.run.errors import UserError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (SERVER_AUTH, CLIENT_AUTH):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "work/prefect"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_secret_is_random_kept_and_private(home: Path) -> None:
    before = os.umask(0)
    try:
        secret = auth_string(home)
    finally:
        os.umask(before)
    assert len(secret) > 40
    assert auth_string(home) == secret == (home / "auth").read_text().strip()
    assert auth_string(home.with_name("other")) != secret
    assert (mode(home), mode(home / "auth")) == (0o700, 0o600)
    assert sorted(path.name for path in home.iterdir()) == ["auth"]


@pytest.mark.parametrize(
    ("text", "open_to", "said"),
    [(None, 0o644, "open to other users .mode 644"), (None, 0o620, "open to"), ("", 0o600, "no text of the form"),
     ("password", 0o600, "no text of the form")],
)  # fmt: skip
def test_a_secret_that_may_be_known_is_replaced(
    home: Path, text: str | None, open_to: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    known = auth_string(home)
    if text is not None:
        (home / "auth").write_text(text)
    (home / "auth").chmod(open_to)
    fresh = auth_string(home)
    assert fresh not in (known, text)
    assert mode(home / "auth") == 0o600
    (message,) = caplog.messages
    assert re.search(said, message)
    assert fresh not in message
    assert known not in message


def test_a_folder_open_to_others_is_closed(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.mkdir(parents=True)
    home.chmod(0o755)
    auth_string(home)
    assert mode(home) == 0o700
    assert "was open to other users (mode 755): set to 700" in caplog.text


def test_what_is_not_ours_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private_folder(home)
    (home.parent / "elsewhere").write_text("user:password")
    (home / "auth").symlink_to(home.parent / "elsewhere")
    with pytest.raises(UserError, match="auth is a link: delete it"):
        auth_string(home)
    (home / "auth").unlink()
    (home / "auth").mkdir()
    with pytest.raises(UserError, match="auth is no file of yours"):
        auth_string(home)
    monkeypatch.setattr("os.getuid", lambda: home.stat().st_uid + 1)
    with pytest.raises(UserError, match="prefect belongs to another user"):
        auth_string(home)


@pytest.mark.parametrize("name", [SERVER_AUTH, CLIENT_AUTH])
def test_the_users_own_secret_counts_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv(name, "me:mine")
    variables = environment(home, 4200)
    assert (variables[SERVER_AUTH], variables[CLIENT_AUTH]) == ("me:mine", "me:mine")
    print_next_steps(4200, home)
    printed = capsys.readouterr().out
    assert f'export PREFECT_API_AUTH_STRING="${name}"' in printed
    assert "me:mine" not in printed


def test_the_next_steps_name_the_file_and_not_the_secret(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = auth_string(home)
    print_next_steps(4200, home)
    printed = capsys.readouterr().out
    assert f'export PREFECT_API_AUTH_STRING="$(cat {home}/auth)"' in printed
    assert secret not in printed
    assert secret.partition(":")[2] not in printed


def test_prefect_understands_the_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "*")
    monkeypatch.setenv("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "false")
    for name, value in environment(home, 4711).items():
        monkeypatch.setenv(name, value)
    settings, secret = Settings(), auth_string(home)
    server, client = settings.server.api, settings.api.auth_string
    assert (server.cors_allowed_origins, server.csrf_protection_enabled) == ("http://127.0.0.1:4711", True)
    assert server.auth_string is not None
    assert client is not None
    assert server.auth_string.get_secret_value() == client.get_secret_value() == secret
    assert settings.client.csrf_support_enabled
