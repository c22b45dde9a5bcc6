"""The challenge that the tests of the self-check look for."""

from collections.abc import Callable
from typing import TypeAlias

from tests.trust.acme.reachability.peers import Page, Web
from trust.acme.reachability import CHALLENGE_PATH, Fault, Reachability

TOKEN = "DGyRejmCefe7v4NfDGDKfA"
PATH = CHALLENGE_PATH + TOKEN
KEY_AUTHORIZATION = f"{TOKEN}.LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
THE_CHALLENGE = Page(KEY_AUTHORIZATION.encode())

Ask: TypeAlias = Callable[..., Reachability]
"""Checks a name; keyword arguments change the authority's vantage."""


def serve(web: Web, name: str, page: Page, path: str = PATH) -> None:
    """Let a web server answer for a name."""
    web.pages[f"{name}:{web.port}", path] = page


def faults(found: Reachability) -> list[Fault]:
    """Return what was found wrong."""
    return [problem.fault for problem in found.problems]
