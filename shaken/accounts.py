"""What administrators ask of the account at the authority, and its audit.

It is written down here; the renewer carries it out (`trust.acme.wishes`).
"""

from dataclasses import dataclass

from shaken.audit import Action, AuditedChange, Unchanged
from trust.keys import MasterKeys
from trust.store import acme_accounts
from trust.store.acme_accounts import AccountState, StoredAccount, Wish


class AccountRefused(Exception):  # noqa: N818 - named for what happened
    """Something that cannot be done with the account as it stands; the message says what can."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail


@dataclass(frozen=True)
class AccountWish:
    """What is asked for."""

    directory: str
    wish: Wish


def ask(change: AuditedChange, keys: MasterKeys, asked: AccountWish) -> None:
    """Have something done with the account of a directory.

    An account that is lost is forgotten though its key does not open. Raises AccountRefused,
    MasterKeyError; Unchanged where another is made with the next order anyway.
    """
    before = acme_accounts.asked(change.connection, asked.directory)
    if before is None and asked.wish in {Wish.START_OVER, Wish.START_OVER_LOST}:
        raise Unchanged
    if before is None:
        raise _none(asked.directory)
    if asked.wish is not Wish.START_OVER_LOST:
        account = acme_accounts.get(change.connection, keys, asked.directory)
        _check(account, asked)
    acme_accounts.ask(change, asked.directory, asked.wish, now=change.at)
    change.audit(
        Action.ACME_ACCOUNT,
        asked.directory,
        tenant=None,
        before={"wish": before.wish},
        after={"wish": asked.wish},
    )


def _check(account: StoredAccount | None, asked: AccountWish) -> None:
    if account is None:
        raise _none(asked.directory)
    given_up = account.state in {AccountState.DEACTIVATING, AccountState.DEACTIVATED}
    if asked.wish is Wish.START_OVER:
        if account.is_in_use:
            raise AccountRefused(
                "account-in-use",
                "the account is not deactivated: deactivate it first (`shaken acme account"
                " deactivate`), or say that it is lost",
            )
    elif given_up:
        raise AccountRefused(
            "account-deactivated",
            f"the account is {account.state}: once it is deactivated, another is made with"
            " `shaken acme account start-over`",
        )
    elif account.url is None:
        raise _none(asked.directory)


def _none(directory: str) -> AccountRefused:
    return AccountRefused(
        "no-account", f"there is no account at {directory} yet: the first order makes one"
    )
