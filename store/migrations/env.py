"""Alembic's entry: `store.migrate` hands in an open connection."""

from alembic import context

from store.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transaction_per_migration=False
)
with context.begin_transaction():
    context.run_migrations()
