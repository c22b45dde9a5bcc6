"""Output that tells of what is done already: where it cannot be written, that is said."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click


@contextmanager
def telling(otherwise: str) -> Iterator[None]:
    """Print what was done; where the output cannot be written, say `otherwise` on standard error.

    The command still fails, as `shaken.cli.main` has it: a reader that left is no failure there,
    but what it did not read is lost all the same.
    """
    try:
        yield
    except OSError:
        with suppress(OSError):  # standard error may be what cannot be written
            click.echo(otherwise, err=True)
        raise
