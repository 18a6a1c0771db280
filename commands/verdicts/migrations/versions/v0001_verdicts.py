"""Verdicts and unreadable pictures, as SQLite files of the first edition have them."""

import sqlalchemy as sa
from alembic import op

from commands.verdicts.schema import Key, Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "verdicts",
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
        sa.UniqueConstraint("picture", "picture_sha256", "bundle_sha256", "station"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "unreadable",
        sa.Column("id", Key, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("picture", "picture_sha256", "error")),
        sa.Column("time", Moment, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("station", "source")),
        sa.UniqueConstraint("picture", "picture_sha256", "station"),
        sqlite_autoincrement=True,
    )
    op.create_index("verdicts_by_time", "verdicts", ["product", "time"])
