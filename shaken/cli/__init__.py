"""The command line: `shaken serve`, offline tools, and administration of a running service."""

from shaken.cli.main import main

__all__ = ["main"]
