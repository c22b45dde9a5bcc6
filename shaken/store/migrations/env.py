"""Runs a line of migrations on the connection that `trust.store.database` hands over."""

from alembic import context

options = context.config.attributes
context.configure(connection=options["connection"], version_table=options["version_table"])
context.run_migrations()
