"""Tags of the line, a note next to the explanations, and an index that counts by day and tags."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
NOTES = ("size_note", "kind_note")  # keys of the explanations that become the note
TOGETHER = 1000
VERDICTS = sa.table("verdicts", sa.column("id"), sa.column("explanations"), sa.column("note"))


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
