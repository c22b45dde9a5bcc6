"""What a page is: a path, who may see it, and a function that answers.

A handler is a plain function of a `PageCall`, which is an `ApiCall` of a person who has signed in.
It runs in a thread, since it uses the database, and gives a `View`, a `Redirect` or a `Download`;
or, where a page takes what lives in the event loop, the coroutine function that makes one there.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from shaken.api.problems import Problem
from shaken.api.routes import ApiCall
from shaken.api.stir_signing import Signing
from shaken.credentials import Credential, Role
from shaken.signatories import CertificateSource
from shaken.verifier import Verifier
from shaken.web.forms import Submitted
from shaken.web.sessions import Session

BASE = "/admin"
"""Where the pages are."""

REFRESHED = "refreshed"
"""What stands in the query of a page that loads itself anew: nobody may be looking at it."""


@dataclass(frozen=True)
class CallDesk:
    """What signs and verifies calls, the very objects that answer PBXs: for the event loop only.

    `certificates` is where `verifier` has those of others from.
    """

    signing: Signing
    verifier: Verifier
    certificates: CertificateSource


@dataclass(frozen=True)
class PageCall(ApiCall):
    """A request for a page by a person; `body` is the form that was sent, if any."""

    session: Session
    desk: CallDesk

    @property
    def form(self) -> Submitted:
        """The form that was sent."""
        form: Submitted = self.body
        return form

    @property
    def user(self) -> Credential:
        """Who has signed in."""
        if self.who is None:
            raise RuntimeError("a page is for who has signed in")
        return self.who

    @property
    def can_change(self) -> bool:
        """Whether this person may change something, so that a page offers it."""
        return self.user.role is Role.ADMIN


@dataclass(frozen=True)
class View:
    """A page: a template, and what it shows."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Redirect:
    """Another page, after something was done; `notice` is shown there, and there only, once."""

    path: str
    notice: str | None = None


@dataclass(frozen=True)
class Download:
    """A file for the person to keep. `name` is in ASCII."""

    content: bytes
    media_type: str
    name: str


Answer: TypeAlias = View | Redirect | Download

Later: TypeAlias = Callable[[], Awaitable[Answer]]
"""What is awaited in the event loop for an answer. It must not hold that up, and ends in bounded
time."""


@dataclass(frozen=True)
class Page:
    """A page's route. `role` VIEWER: admins too.

    A page that changes something takes POST, and so does one that asks about more than an address
    can hold.
    """

    method: str
    path: str
    role: Role
    handler: Callable[[PageCall], Answer | Later]

    def permits(self, role: Role) -> bool:
        """Say whether a credential of this role may come here."""
        return role is Role.ADMIN or role is self.role


def own_path(text: str) -> str:
    """Return a path of the admin pages that a request names as the next one, or the first page.

    Whatever leads elsewhere does not count: a link could send people on to a stranger's page.
    """
    inside = text == BASE or text.startswith((f"{BASE}/", f"{BASE}?"))
    plain = text.isascii() and text.isprintable() and "\\" not in text and "//" not in text
    return text if inside and plain else BASE


def no_page() -> Problem:
    """Make the problem of a page that is not there."""
    return Problem(404, "not-found", "There is no such page. It may have been removed.")
