"""Alembic's entry: runs the migrations on the connection that `tally.ledger.migrate` hands over."""

from alembic import context

from tally.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=metadata.schema,
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
