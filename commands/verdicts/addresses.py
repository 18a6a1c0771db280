"""Where a verdict store is: a file, `sqlite:///FILE` or `postgresql://USER@HOST/NAME`, as `--store` names it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from stages.core.run.errors import UserError

REMEDY = "name a file, sqlite:///FILE or postgresql://USER@HOST/NAME"
POSTGRES = ("postgres", "postgresql", "postgresql+psycopg")
SQLITE = ("sqlite", "sqlite+pysqlite")
DRIVER = "postgresql+psycopg"
SECONDS_TO_CONNECT = "10"


def url_of(given: str | Path) -> URL:
    """Return the address of a store.

    Args:
        given: a path, or a URL.

    Raises:
        UserError: it is no address, or of a kind of database that is not known.
    """
    text = str(given)
    if "://" not in text:
        return sqlite_url(URL.create("sqlite", database=text))
    scheme = text.partition("://")[0]
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # its message has the whole of it, with the password
        raise UserError(f"--store {scheme}://...: is no address of a database: {REMEDY}") from None
    if url.drivername in SQLITE:
        return sqlite_url(url)
    if url.drivername in POSTGRES:
        if not url.database:
            raise UserError(f"--store {shown(url)}: names no database: {REMEDY}")
        return url.set(drivername=DRIVER).update_query_dict(
            {"connect_timeout": url.query.get("connect_timeout", SECONDS_TO_CONNECT)}
        )
    raise UserError(f"--store {shown(url)}: {scheme} is no kind of database that is known here: {REMEDY}")


def sqlite_url(url: URL) -> URL:
    """Return the address of a file.

    Raises:
        UserError: it names no file, or more than a file.
    """
    if url.host or url.username:
        raise UserError(f"--store {shown(url)}: an SQLite file has no host: write sqlite:///FILE, or just FILE")
    if not url.database or url.database == ":memory:":
        raise UserError(f"--store {shown(url)}: names no file: write sqlite:///FILE, or just FILE")
    if url.query:
        raise UserError(f"--store {shown(url)}: {next(iter(url.query))!r} is not known: write sqlite:///FILE")
    return url.set(drivername="sqlite")


def shown(url: URL) -> str:
    """Return an address as it may be shown: a file by its name, a server without the password."""
    if url.drivername == "sqlite" and url.database:
        return url.database
    return url.set(drivername=url.drivername.partition("+")[0], query={}).render_as_string(hide_password=True)
