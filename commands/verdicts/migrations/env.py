"""What Alembic runs to change a verdict store: in the transaction of the connection that it is given."""

from alembic import context

from commands.verdicts.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
