"""Make the tables of a new verdict store and bring those of an older one up to date; leave what is nobody's of ours."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from commands.verdicts.schema import APPLICATION, HEAD, REVISIONS, VERDICTS, VERSION_TABLE
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
FOLDER = Path(__file__).parent / "migrations"
NEW, FIRST = "", REVISIONS[0]
FIRST_EDITION = 1  # PRAGMA user_version of files before revisions were kept


def prepare(engine: Engine, *, name: str) -> None:
    """Bring a database up to date, in one transaction; another process waits meanwhile.

    Args:
        engine: of the database.
        name: of the store, for messages.

    Raises:
        UserError: it is another program's, or of a newer version, or keeps no write-ahead log.
    """
    with engine.connect().execution_options(oddpart_reading=True) as connection:
        if revision_of(connection, name) == HEAD:
            return
    if engine.dialect.name == "sqlite":
        set_up_file(engine, name)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({APPLICATION})"))
        revision = revision_of(connection, name)
        if revision != HEAD:
            upgrade(connection, revision)
            if revision:
                LOG.info("%s: changed from version %s to %s", name, revision, HEAD)


def check_version(engine: Engine, *, name: str) -> None:
    """Pass when a database that cannot be written is up to date.

    Raises:
        UserError: it is not, or is another program's, or of a newer version.
    """
    with engine.connect().execution_options(oddpart_reading=True) as connection:
        revision = revision_of(connection, name)
    if revision != HEAD:
        of = f"of version {revision}, this oddpart knows {HEAD}" if revision else "a store without tables"
        raise UserError(
            f"{name}: is {of}, and cannot be changed where it is read-only: name a copy that can be written"
        )


def set_up_file(engine: Engine, name: str) -> None:
    """Set what a file keeps and no transaction can.

    Raises:
        UserError: its file system has no write-ahead log.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        file = connection.connection.driver_connection
        assert file is not None
        file.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before the first table; later it changes nothing
        (mode,) = file.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise UserError(f"{name}: the file system allows no write-ahead log: name a file on a local disk")


def revision_of(connection: Connection, name: str) -> str:
    """Return the revision of a store, NEW for a database without one.

    Raises:
        UserError: it is another program's, or of a newer version.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        revision = str(connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar())
        if revision not in REVISIONS:
            raise UserError(f"{name}: is of version {revision}, this oddpart knows {HEAD}: install a newer one")
        return revision
    if connection.dialect.name == "sqlite":
        return revision_of_file(connection, name, empty=not tables)
    if VERDICTS.name in tables:
        raise UserError(f"{name}: has a table {VERDICTS.name} of something else: name another database")
    return NEW


def revision_of_file(connection: Connection, name: str, *, empty: bool) -> str:
    """Return the revision of an SQLite file that names none.

    Raises:
        UserError: it is another program's, or of a newer version.
    """
    application, version = (
        connection.exec_driver_sql(f"PRAGMA {one}").scalar_one() for one in ("application_id", "user_version")
    )
    if application != APPLICATION and (application or not empty):
        raise UserError(f"{name}: is a database of something else: name another file")
    if application == APPLICATION and version > FIRST_EDITION:
        raise UserError(f"{name}: is of version {version}, this oddpart knows {HEAD}: install a newer one")
    return NEW if empty else FIRST


def upgrade(connection: Connection, revision: str) -> None:
    """Change a database to HEAD."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # before it is imported: it names its plugins as it is
    from alembic import command  # late: most stores are up to date
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    if revision == FIRST and VERSION_TABLE not in inspect(connection).get_table_names():
        command.stamp(config, FIRST)
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":  # what an older program, which knows no revisions, refuses by its number
        for pragma, value in (("application_id", APPLICATION), ("user_version", int(HEAD))):
            connection.exec_driver_sql(f"PRAGMA {pragma}={value}")
