"""Column types of the store."""

from sys import intern

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator


class Name(TypeDecorator[str]):
    """Text by which rows of several tables refer to each other.

    Each name is one object in memory, however many rows hold it: a look-up that begins at one row
    finds another without comparing their spelling.
    """

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the one object for this name."""
        del dialect
        return None if value is None else intern(value)
