"""What the service keeps beside certificates: tenants, trunks, credentials, calls, the audit.

It uses the database that `trust.store.database` opens, with its own tables and migrations.
"""

from pathlib import Path

from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import History

HISTORY = History(Path(__file__).parent / "migrations", "shaken_version")
"""The migrations of this package's tables; they come after those of `trust.store`."""

HISTORIES = (TRUST_HISTORY, HISTORY)
"""All migrations of the database, in the order they run."""
