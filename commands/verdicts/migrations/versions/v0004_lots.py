"""A picture that comes again with other tags has a verdict of its own, so that no lot lacks one of its pictures."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from commands.verdicts.schema import Key, Moment

revision = "0004"
down_revision = "0003"
ONCE = ("picture", "picture_sha256", "bundle_sha256", "station", "tag_set")
COPY = "verdicts_copy"
INDEXES = {
    "verdicts_by_day": ["product", "day", "tag_set", "is_anomalous", "unsure", "time"],
    "verdicts_by_tags": ["tag_set", "product", "day", "is_anomalous", "unsure", "time"],
    "verdicts_by_time": ["time", "is_anomalous", "unsure"],
}


def upgrade() -> None:
    """Let the tags count in what is unique; SQLite needs a new table for that, PostgreSQL does not."""
    if op.get_bind().dialect.name == "sqlite":
        copy_table()
        return
    for constraint in sa.inspect(op.get_bind()).get_unique_constraints("verdicts"):
        op.drop_constraint(str(constraint["name"]), "verdicts", type_="unique")
    op.create_unique_constraint(None, "verdicts", list(ONCE))


def copy_table() -> None:
    """Copy the rows to a table with the other rule, which takes the place of the old one; ids are never used again."""
    columns: list[sa.Column[Any]] = [
        sa.Column("id", Key, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("picture", "picture_sha256", "product", "method")),
        sa.Column("bundle_commit", sa.Text),
        sa.Column("bundle_sha256", sa.Text, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("p_value", sa.Double),
        sa.Column("is_anomalous", sa.Boolean, nullable=False),
        sa.Column("unsure", sa.Boolean),
        sa.Column("explanations", sa.Text, nullable=False),
        sa.Column("time", Moment, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("station", "source")),
        sa.Column("note", sa.Text),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("tag_set", sa.BigInteger, nullable=False),
    ]
    op.create_table(COPY, *columns, sa.UniqueConstraint(*ONCE), sqlite_autoincrement=True)
    names = ", ".join(column.name for column in columns)
    op.execute(f"INSERT INTO {COPY} ({names}) SELECT {names} FROM verdicts ORDER BY id")
    op.execute(f"DELETE FROM sqlite_sequence WHERE name = '{COPY}'")
    op.execute(f"INSERT INTO sqlite_sequence SELECT '{COPY}', seq FROM sqlite_sequence WHERE name = 'verdicts'")
    op.drop_table("verdicts")
    op.rename_table(COPY, "verdicts")
    for name, of in INDEXES.items():
        op.create_index(name, "verdicts", of)
