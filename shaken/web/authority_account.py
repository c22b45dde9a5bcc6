"""The account at the authority: how it stands, what was asked of it, and asking.

What may be asked is the API's business (`shaken.api.acme_account`); the renewer carries it out, and
the page is loaded again while it does. What cannot be undone asks first, on a page of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shaken.api import acme, acme_account
from shaken.api.acme_account import AccountRecord, StartingOver
from shaken.api.problems import Problem
from shaken.api.routes import ApiCall, Reply
from shaken.credentials import Role
from shaken.web.authority_changes import authority_of
from shaken.web.orders import LIST, REFRESH_SECONDS, SOON_SECONDS
from shaken.web.renewal_advice import advice_of
from shaken.web.routes import Answer, Page, PageCall, Redirect, View
from shaken.web.words import plural
from trust.acme.order import UNDER_WAY, State
from trust.store import acme_accounts, acme_orders, acme_revocations
from trust.store.acme_accounts import AccountState, Asked, Wish

PATH = f"{LIST}/account"

STATES = {
    AccountState.NEW: ("idle", "Not registered yet"),
    AccountState.VALID: ("good", "In use"),
    AccountState.DEACTIVATING: ("warn", "Being deactivated"),
    AccountState.DEACTIVATED: ("bad", "Deactivated"),
}
"""How a state is coloured and called."""

WISHES = {
    Wish.ROLLOVER: "The account gets a new key",
    Wish.DEACTIVATE: "The account is deactivated",
    Wish.START_OVER: "The account is forgotten, so that another is made",
    Wish.START_OVER_LOST: "The account is forgotten as lost, so that another is made",
}
"""What is under way while a wish stands."""


@dataclass(frozen=True)
class Deed:
    """Something to ask of the account: how it is asked, and what is told once it is."""

    name: str
    title: str
    button: str
    notice: str
    ask: Callable[[ApiCall], Reply]

    @property
    def path(self) -> str:
        """Where it is asked for."""
        return f"{PATH}/{self.name}"


ROLLOVER = Deed(
    "rollover",
    "Give the account a new key?",
    "Give it a new key",
    "The account gets a new key. This page shows how far it is.",
    acme_account.roll_over,
)
DEACTIVATE = Deed(
    "deactivate",
    "Deactivate the account?",
    "Deactivate it for ever",
    "The account is deactivated. This page shows how far it is.",
    acme_account.deactivate,
)
START_OVER = Deed(
    "start-over",
    "Start over with another account?",
    "Start over",
    "The account is forgotten; the next order makes another.",
    acme_account.start_over,
)
DEEDS = (ROLLOVER, DEACTIVATE, START_OVER)


@dataclass(frozen=True)
class Seen:
    """What is known of the account. `record` None: there is none, or its key does not open.

    `directory` None: no authority is chosen.
    """

    directory: str | None
    record: AccountRecord | None
    asked: Asked | None

    @property
    def is_sealed(self) -> bool:
        """Whether there is an account whose key does not open."""
        return self.record is None and self.asked is not None

    @property
    def is_in_use(self) -> bool:
        """Whether starting over must be because it is lost."""
        if self.record is None:
            return self.is_sealed
        return self.record.url is not None and self.record.state is not AccountState.DEACTIVATED


def show(call: PageCall) -> Answer:
    """Show the account, again and again while something is done with it."""
    call.require_everything()
    seen = _seen(call)
    asked = seen.asked
    failures = None if asked is None else asked.failures
    context = {
        "seen": seen,
        "authority": None if seen.directory is None else authority_of(seen.directory),
        "states": STATES,
        "wishes": WISHES,
        "deeds": DEEDS,
        "failures": failures,
        "advice": None
        if failures is None
        else advice_of(failures.problem.type, failures.problem.words),
        "refresh": REFRESH_SECONDS if _is_under_way(asked, now=call.now) else None,
    }
    return View("account.html", context)


def _asking(deed: Deed) -> Callable[[PageCall], Answer]:
    def ask(call: PageCall) -> Answer:
        """Ask whether it is meant, saying what depends on it."""
        call.require_everything()
        return _confirmation(call, deed, {})

    return ask


def _doing(deed: Deed) -> Callable[[PageCall], Answer]:
    def do(call: PageCall) -> Answer:
        """Have it done, or ask again."""
        call.require_everything()
        is_sure = call.form.text("sure") == "yes"
        if not is_sure and _needs_to_be_sure(deed, _seen(call)):
            errors = {"sure": "Tick the box, if you know what will stop working."}
            return _confirmation(call, deed, errors, status=422)
        try:
            deed.ask(replace(call, body=StartingOver(lost=is_sure)))
        except Problem as problem:
            if problem.status != 409:
                raise
            words = f"{problem.detail[:1].upper()}{problem.detail[1:]}."
            return _confirmation(call, deed, {"": words}, status=409)
        return Redirect(PATH, deed.notice)

    return do


def _confirmation(call: PageCall, deed: Deed, errors: dict[str, str], *, status: int = 200) -> View:
    seen = _seen(call)
    context = {
        "deed": deed,
        "seen": seen,
        "errors": errors,
        "needs_to_be_sure": _needs_to_be_sure(deed, seen),
        "depends": _depends(call, deed, seen),
    }
    return View("account-deed.html", context, status)


def _needs_to_be_sure(deed: Deed, seen: Seen) -> bool:
    return deed is DEACTIVATE or (deed is START_OVER and seen.is_in_use)


def _depends(call: PageCall, deed: Deed, seen: Seen) -> Sequence[str]:
    """Say what stands on the account, and would not any more."""
    if seen.directory is None or deed is ROLLOVER:
        return ()
    with call.resources.database.reading() as connection:
        states = acme_orders.counted(connection)
        revocations = acme_revocations.counted(connection, seen.directory)
    managed = sum(count for state, count in states.items() if state is not State.STOPPED)
    under_way = sum(count for state, count in states.items() if state in UNDER_WAY)
    then = "none is ordered until you start over" if deed is DEACTIVATE else "by the next account"
    said = (
        (managed, f"{plural(managed, 'certificate')} kept renewed: {then}."),
        (under_way, f"{plural(under_way, 'order')} under way: begun anew by the next account."),
        (
            revocations,
            f"{plural(revocations, 'certificate')} to be revoked: only this account can do that.",
        ),
    )
    return [words for count, words in said if count]


def _seen(call: PageCall) -> Seen:
    settings = acme.settings_of(call)
    if settings is None:
        return Seen(None, None, None)
    with call.resources.database.reading() as connection:
        asked = acme_accounts.asked(connection, settings.directory_url)
    if asked is None:
        return Seen(settings.directory_url, None, None)
    try:
        record: AccountRecord = acme_account.show(call).value
    except Problem as problem:
        if problem.slug not in {"master-key-missing", "not-found"}:
            raise
        return Seen(settings.directory_url, None, asked if problem.status == 503 else None)
    return Seen(settings.directory_url, record, asked)


def _is_under_way(asked: Asked | None, *, now: int) -> bool:
    """Say whether the renewer carries something out within seconds, if one is at work."""
    if asked is None or asked.wish is None or asked.next_try is None:
        return False
    return asked.next_try <= now + SOON_SECONDS


PAGES = (
    Page("GET", PATH, Role.VIEWER, show),
    *(Page("GET", deed.path, Role.ADMIN, _asking(deed)) for deed in DEEDS),
    *(Page("POST", deed.path, Role.ADMIN, _doing(deed)) for deed in DEEDS),
)
