"""Passwords and tokens are in no text that is shown."""

import sys
from pathlib import Path

import pytest

from flows.process.commands import checked, run
from flows.process.redact import redact
from stages.core.run.errors import UserError
from tests.table import violations


def test_only_secrets_are_hidden() -> None:
    def check(text: str, shown: str) -> None:
        assert redact(text) == shown

    rows = [
        ("fetch https://me:s3cret@host/x.git", "fetch https://***@host/x.git"),
        ("'https://me:p@ss@host:80/x'", "'https://***@host:80/x'"),
        ("https://ghp_s3cret@host/x", "https://***@host/x"),
        ("HTTPS://ghp_s3cret@host/x", "HTTPS://***@host/x"),
        ("ssh://git:s3cret@host/x", "ssh://***@host/x"),
        ("ssh://git@host/x and git@host:x, a@b.c", "ssh://git@host/x and git@host:x, a@b.c"),
        ("https://host/x?a=1&private_token=s3cret&b=2", "https://host/x?a=1&private_token=***&b=2"),
        ("https://host/x#access_token=s3cret", "https://host/x#access_token=***"),
        ("https://host/x?X-Amz-Signature=s3cret", "https://host/x?X-Amz-Signature=***"),
        ("https://host/x?key=s3cret#part", "https://host/x?key=***#part"),
        ("Authorization: Basic s3cret", "Authorization: Basic ***"),
        ("postgresql+asyncpg://me:s3cret@host/name", "postgresql+asyncpg://***@host/name"),
        (
            "https://host/x?monkey=1 at http://127.0.0.1:4200/api",
            "https://host/x?monkey=1 at http://127.0.0.1:4200/api",
        ),
    ]
    assert violations(check, rows) == []


def test_commands_show_no_secret(tmp_path: Path) -> None:
    address = "https://me:s3cret@127.0.0.1:1/x.git?token=s3cret"
    with pytest.raises(UserError) as raised:
        checked(["git", "clone", address, "x"], folder=tmp_path, doing="cloning")
    assert "s3cret" not in str(raised.value)
    assert "127.0.0.1:1/x.git" in str(raised.value)
    with pytest.raises(UserError) as raised:
        checked(["sleep", "9", address], folder=tmp_path, doing="waiting", timeout=0.1)
    assert "s3cret" not in str(raised.value)
    lines: list[str] = []
    command = [sys.executable, "-c", f"print({address!r})"]
    assert "s3cret" not in run(command, folder=tmp_path, on_line=lines.append).text
    assert lines == ["https://***@127.0.0.1:1/x.git?token=***"]
