"""Alembic's entry: it runs on the connection that the store already holds."""

from alembic import context

from harvester.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
