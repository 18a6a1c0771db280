"""Connections to a verdict store, and what goes wrong with them in one line that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from commands.verdicts.addresses import shown
from commands.verdicts.files import read_only_address
from stages.core.run.errors import UserError

READING = {"oddpart_reading": True}  # of a connection that only reads: it neither waits for a writer nor holds one up
LOST = ("08", "57P01", "57P02", "57P03")  # SQLSTATE: no connection, or the server shuts down or starts
FOR_NOW = ("Temporary failure in name resolution", "Try again")  # the network is not up yet, as after a power cut
REMEDIES = {  # words of a message, and what to do
    "authentication failed": "see to user and password (in the address, PGPASSWORD or ~/.pgpass)",
    "no password supplied": "name a password (in the address, PGPASSWORD or ~/.pgpass)",
    "does not exist": "create it, or name another one",
    "permission denied": "let its owner grant this user what it needs",
    "pg_hba.conf": "let the server's pg_hba.conf admit this machine",
    "No space left": "make space on the server's disk",
    "could not translate": "see to the name of the host",
    "resolve host": "see to the name of the host",
    "invalid connection option": "see to what follows the ? of the address",
    "invalid URI query parameter": "see to what follows the ? of the address",
    "read-only transaction": "name the server that may be written to",
}


def engine_of(url: URL, *, patience: float, read_only: bool = False) -> Engine:
    """Return what makes connections.

    Args:
        url: of the store.
        patience: seconds to wait for another process that writes to the same file.
        read_only: whether nothing can be written where the file is.
    """
    if url.drivername != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=1, hide_parameters=True)
    if read_only:
        address = read_only_address(url)
        engine = create_engine(url, creator=lambda: sqlite3.connect(address, uri=True), hide_parameters=True)
    else:
        engine = create_engine(url, connect_args={"timeout": patience}, hide_parameters=True)
    event.listen(engine, "connect", set_up_sqlite)
    event.listen(engine, "begin", begin_in_sqlite)
    return engine


def set_up_sqlite(connection: Any, record: object) -> None:
    """Let a transaction begin where we say, and be there after a power cut when it has ended."""
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")


def begin_in_sqlite(connection: Connection) -> None:
    """Begin a transaction; one that writes takes its turn at once, since it could not later."""
    reading = connection.get_execution_options().get("oddpart_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def in_one_line(url: URL) -> Iterator[None]:
    """Turn whatever goes wrong with a database into an error that names it.

    Raises:
        UserError: it went wrong.
        OSError: what the block writes to cannot be written.
    """
    try:
        yield
    except DBAPIError as error:
        raise UserError(problem_of(url, error)) from None
    except sqlite3.Error as error:  # of what SQLAlchemy has no word for, and is asked of the file itself
        raise UserError(problem_of_file(str(url.database), type(error).__name__, first_line(error))) from None
    except SQLAlchemyError as error:
        raise UserError(f"{shown(url)}: cannot be used ({first_line(error)})") from None
    except UnicodeError:
        raise UserError(f"{shown(url)}: cannot be used: its name is no text") from None
    except OSError as error:
        if error.filename is None:  # not of a file of ours: what was read is written to a pipe that was closed
            raise
        raise UserError(f"{shown(url)}: cannot be made ({error.strerror}): name another file") from None


def problem_of(url: URL, error: DBAPIError) -> str:
    """Say what a database refused, and what to do."""
    kind, reason = type(error.orig).__name__, first_line(error.orig)
    if url.drivername == "sqlite":
        return problem_of_file(str(url.database), kind, reason)
    said = str(error.orig)
    remedy = next((remedy for words, remedy in REMEDIES.items() if words in said), "see to the server")
    if is_lost(error):
        remedy = remedy if remedy != "see to the server" else "see that the server runs and can be reached"
    return f"{shown(url)}: cannot be written or read ({reason}): {remedy}"


def problem_of_file(path: str, kind: str, reason: str) -> str:
    """Say what went wrong with a file."""
    if "locked" in reason:
        return (
            f"{path}: cannot be written or read (database is locked): another process holds it for long: end that one"
        )
    if "readonly" in reason:
        return f"{path}: cannot be written (it is read-only): see to the rights of the file and its folder"
    if "is full" in reason:
        return f"{path}: cannot be written: the disk is full: make space"
    if "unable to open" in reason:
        return f"{path}: cannot be opened: see to the rights of the file, of its -wal and -shm, and of its folder"
    if kind == "OperationalError":
        return f"{path}: cannot be written or read ({reason}): see to its disk and folder"
    return f"{path}: is no database, or damaged ({reason}): name another file"


def is_lost(error: DBAPIError | sqlite3.Error) -> bool:
    """Whether a server is away or another process holds a file, and the same may work a little later."""
    if isinstance(error, sqlite3.Error):
        return "locked" in str(error)
    if isinstance(error.orig, sqlite3.Error):
        return is_lost(error.orig)
    state = getattr(error.orig, "sqlstate", None)
    if any(words in str(error.orig) for words in FOR_NOW):
        return True
    if error.connection_invalidated or (state or "").startswith(LOST):
        return True
    away = type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")
    return away and state is None and not any(words in str(error.orig) for words in REMEDIES)


def first_line(error: object) -> str:
    """Return the line of a message that says most; psycopg's begins with the address that it tried."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removeprefix("connection failed: ") if lines else type(error).__name__
