"""Tokens of http-01 and what answers them, for any worker or node to look up (RFC 8555 §8.3)."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from trust.store.tables import acme_tokens

MAX_TOKEN = 200
"""Characters of a token that is looked up: authorities use 43."""


def put(connection: Connection, values: Mapping[str, str], *, order: str, expires: int) -> None:
    """Keep the key authorizations of an order by token, in place of those it had."""
    remove(connection, order=order)
    rows = [
        {"token": token, "key_authorization": value, "of_order": order, "expires": expires}
        for token, value in values.items()
    ]
    if rows:
        connection.execute(delete(acme_tokens).where(acme_tokens.c.token.in_(values)))
        connection.execute(insert(acme_tokens), rows)


def find(connection: Connection, token: str, *, now: int) -> str | None:
    """Return the key authorization of a token; None: nobody waits for it."""
    if len(token) > MAX_TOKEN:
        return None
    query = select(acme_tokens.c.key_authorization).where(
        acme_tokens.c.token == token, acme_tokens.c.expires > now
    )
    return connection.execute(query).scalar_one_or_none()


def remove(connection: Connection, *, order: str) -> None:
    """Remove the tokens of an order."""
    connection.execute(delete(acme_tokens).where(acme_tokens.c.of_order == order))


def sweep(connection: Connection, *, now: int) -> None:
    """Remove tokens that have expired."""
    connection.execute(delete(acme_tokens).where(acme_tokens.c.expires <= now))
