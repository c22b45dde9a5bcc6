"""`/api/v1/acme/account`: the account at the authority that the settings name.

What is asked of it is written down; the renewer speaks to the authority.
"""

from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64encode
from josepy.jwk import JWKEC

from shaken.accounts import AccountRefused, AccountWish, ask
from shaken.api.problems import Problem, master_key_missing, not_found
from shaken.api.routes import ApiCall, Reply, Route
from shaken.credentials import Role
from trust.acme.order import Failures, moment
from trust.acme.settings import AcmeSettings
from trust.keys import MasterKeyError
from trust.store import acme_accounts, acme_settings
from trust.store.acme_accounts import AccountState, Asked, StoredAccount, Wish


class AccountFailure(msgspec.Struct, frozen=True):
    """Why what was asked for last is not done: how often it was tried, when last."""

    count: int
    last: datetime
    type: str
    detail: str


class AccountRecord(msgspec.Struct, frozen=True):
    """The account. `contact` is what the authority was told last.

    `key_thumbprint` is the RFC 7638 thumbprint of its key, and `next_key_thumbprint` of the key
    that it changes over to. `wish` is what is to be done with it.
    """

    directory_url: str
    url: str | None
    state: AccountState
    contact: tuple[str, ...]
    key_thumbprint: str
    next_key_thumbprint: str | None
    created_at: datetime
    wish: Wish | None
    failure: AccountFailure | None
    next_try: datetime | None


class AccountStanding(msgspec.Struct, frozen=True):
    """What is to be done with the account, whose key need not open for this."""

    directory_url: str
    wish: Wish


class StartingOver(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another account. `lost`: also in place of one that is not deactivated."""

    lost: bool = False


def show(call: ApiCall) -> Reply:
    """Show the account."""
    call.require_everything()
    return Reply(_shown(call, _directory(call)))


def roll_over(call: ApiCall) -> Reply:
    """Have the account get a new key."""
    return _asked(call, Wish.ROLLOVER)


def deactivate(call: ApiCall) -> Reply:
    """Have the account given up."""
    return _asked(call, Wish.DEACTIVATE)


def start_over(call: ApiCall) -> Reply:
    """Have another account made."""
    body: StartingOver = call.body
    call.require_everything()
    directory = _directory(call)
    wish = Wish.START_OVER_LOST if body.lost else Wish.START_OVER
    _ask(call, AccountWish(directory, wish))
    return Reply(AccountStanding(directory, wish))


def _asked(call: ApiCall, wish: Wish) -> Reply:
    call.require_everything()
    directory = _directory(call)
    _ask(call, AccountWish(directory, wish))
    return Reply(_shown(call, directory))


def _ask(call: ApiCall, wanted: AccountWish) -> None:
    try:
        with call.changing() as change:
            ask(change, call.resources.master, wanted)
    except AccountRefused as error:
        raise Problem(409, error.slug, error.detail) from error
    except MasterKeyError as error:
        raise master_key_missing(error) from error


def _directory(call: ApiCall) -> str:
    try:
        with call.resources.database.reading() as connection:
            settings: AcmeSettings | None = acme_settings.load(connection, call.resources.master)
    except MasterKeyError as error:
        raise master_key_missing(error) from error
    if settings is None:
        raise not_found("account: no authority is set; PUT /api/v1/acme/settings names one")
    return settings.directory_url


def _shown(call: ApiCall, directory: str) -> AccountRecord:
    try:
        with call.resources.database.reading() as connection:
            account = acme_accounts.get(connection, call.resources.master, directory)
            asked = acme_accounts.asked(connection, directory)
    except MasterKeyError as error:
        raise master_key_missing(error) from error
    if account is None or asked is None:
        raise not_found("account yet: the first order makes one")
    return _record(account, asked)


def _record(account: StoredAccount, asked: Asked) -> AccountRecord:
    following = account.next_key
    return AccountRecord(
        directory_url=account.directory,
        url=account.url,
        state=account.state,
        contact=account.contact,
        key_thumbprint=_thumbprint(account.key),
        next_key_thumbprint=None if following is None else _thumbprint(following),
        created_at=moment(account.created_at),
        wish=asked.wish,
        failure=None if asked.failures is None else _failure(asked.failures),
        next_try=None if asked.next_try is None else moment(asked.next_try),
    )


def _failure(failures: Failures) -> AccountFailure:
    problem = failures.problem
    return AccountFailure(failures.count, moment(failures.last), problem.type, problem.words)


def _thumbprint(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the base64url of a key's RFC 7638 thumbprint."""
    return b64encode(JWKEC(key=key.public_key()).thumbprint()).decode()


_ACCOUNT = "/api/v1/acme/account"

ROUTES = (
    Route(
        "GET",
        _ACCOUNT,
        Role.ADMIN,
        show,
        "Show the account at the authority",
        gives=AccountRecord,
    ),
    Route(
        "POST",
        f"{_ACCOUNT}/rollover",
        Role.ADMIN,
        roll_over,
        "Have the account get a new key",
        gives=AccountRecord,
        status=202,
    ),
    Route(
        "POST",
        f"{_ACCOUNT}/deactivate",
        Role.ADMIN,
        deactivate,
        "Have the account given up for ever",
        gives=AccountRecord,
        status=202,
    ),
    Route(
        "POST",
        f"{_ACCOUNT}/start-over",
        Role.ADMIN,
        start_over,
        "Have another account made with the next order",
        takes=StartingOver,
        gives=AccountStanding,
        status=202,
    ),
)
