"""Tags of the line, a note next to the explanations, and an index that counts by day and tags."""

import json

import sqlalchemy as sa
from alembic import op

from commands.verdicts.schema import TAGS, set_of, tag_set_of

revision = "0002"
down_revision = "0001"
NOTES = ("size_note", "kind_note")  # keys of the explanations that become the note
TOGETHER = 1000
FROM = ("bundle_sha256", "method", "station", "source")
VERDICTS = sa.table("verdicts", *map(sa.column, ("id", "explanations", "note", "tag_set", *FROM)))


def upgrade() -> None:
    """Add the columns and the table, and fill what follows from the rows."""
    op.add_column("verdicts", sa.Column("note", sa.Text))
    op.add_column("verdicts", sa.Column("day", sa.Text, nullable=False, server_default=""))
    op.add_column("verdicts", sa.Column("tag_set", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "tags",
        sa.Column("tag_set", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index("tags_by_value", "tags", ["key", "value"])
    postgres = op.get_bind().dialect.name == "postgresql"
    day = "to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD')" if postgres else "substr(time, 1, 10)"
    op.execute(f"UPDATE verdicts SET day = {day}")
    move_notes(op.get_bind())
    number_sets(op.get_bind())
    op.drop_index("verdicts_by_time", "verdicts")
    op.create_index("verdicts_by_day", "verdicts", ["product", "day", "tag_set", "is_anomalous", "unsure", "time"])


def move_notes(connection: sa.Connection) -> None:
    """Turn the notes among the explanations into a column, TOGETHER rows at a time."""
    noted = sa.select(VERDICTS.c.id, VERDICTS.c.explanations).order_by(VERDICTS.c.id).limit(TOGETHER)
    noted = noted.where(VERDICTS.c.explanations.contains("_note", autoescape=True))
    last = 0
    while rows := connection.execute(noted.where(VERDICTS.c.id > last)).all():
        for last, text in rows:
            explanations = json.loads(text)
            notes = [explanations.pop(name) for name in NOTES if name in explanations]
            changed = {"note": "; ".join(notes) or None, "explanations": json.dumps(explanations, ensure_ascii=False)}
            connection.execute(VERDICTS.update().where(VERDICTS.c.id == last).values(**changed))


def number_sets(connection: sa.Connection) -> None:
    """Give all verdicts of one origin the number of their set."""
    for row in connection.execute(sa.select(*(VERDICTS.c[name] for name in FROM)).distinct()).mappings().all():
        common = set_of(dict(row), {})
        number = tag_set_of(common)
        same = [VERDICTS.c[name] == row[name] for name in FROM]
        connection.execute(VERDICTS.update().where(*same).values(tag_set=number))
        connection.execute(
            TAGS.insert(), [{"tag_set": number, "key": key, "value": value} for key, value in common.items()]
        )
