"""Indexes by tags and by time: no lot is counted, and no old verdict deleted, by a look at all others."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("verdicts_by_tags", "verdicts", ["tag_set", "product", "day", "is_anomalous", "unsure", "time"])
    op.create_index("verdicts_by_time", "verdicts", ["time", "is_anomalous", "unsure"])
