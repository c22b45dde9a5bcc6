"""The account at an authority: made once, found by its key, changed, given up (RFC 8555 §7.3).

Each step is in the store before the authority hears of it, so that a process killed at any moment
finds its account: a key that waits is tried before another is made.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from trust.acme.authority_client import AuthorityClient, new_account_key
from trust.acme.fence import Fence
from trust.acme.problems import AcmeError, AuthorityRefused, Problem, is_transient
from trust.acme.settings import AcmeSettings
from trust.keys import MasterKeys
from trust.store import acme_accounts as stored
from trust.store.acme_accounts import AccountState, StoredAccount, Wish


class AccountGone(AcmeError):  # noqa: N818 - what is the case
    """The account is deactivated; `Accounts.start_over` makes another."""

    def __init__(self, directory: str) -> None:
        words = (
            f"the account at {directory} is deactivated: `shaken acme account start-over` has"
            " another made"
        )
        super().__init__(Problem("account-deactivated", words))


class AccountInUse(AcmeError):  # noqa: N818 - what is the case
    """The account is not deactivated, so that it is not forgotten either."""

    def __init__(self, directory: str) -> None:
        words = (
            f"the account at {directory} is in use by now: deactivate it first (`shaken acme"
            " account deactivate`), or say that it is lost"
        )
        super().__init__(Problem("account-in-use", words))


@dataclass(frozen=True)
class Session:
    """An authority, spoken to as an account."""

    client: AuthorityClient
    account: str


@dataclass(frozen=True)
class Accounts:
    """Accounts by directory. `roots` returns the PEM bundle that authorities' TLS leads to.

    Its methods raise AcmeError, LeaseLost, MasterKeyError, StoreError.
    """

    fence: Fence
    keys: MasterKeys
    roots: Callable[[], str]
    clock: Callable[[], datetime]

    @contextmanager
    def session(self, settings: AcmeSettings) -> Iterator[Session]:
        """Speak as the settings' account, which is made or brought up to date first.

        While it changes keys, it is spoken with the one that the authority has.
        """
        account = self._in_force(self._ours(settings.directory_url))
        with self._client(account) as client:
            account = self._registered(client, account, settings)
            yield Session(client, account.url or "")

    @contextmanager
    def existing(self, directory: str) -> Iterator[Session]:
        """Speak as the account that a directory has, whatever the settings are by now."""
        account = self._in_force(self._known(directory))
        with self._client(account) as client:
            client.use_account(account.url or "")
            yield Session(client, account.url or "")

    def roll_over(self, directory: str) -> None:
        """Give the account a new key; both are kept until it is known that the authority took it.

        A change that was under way is finished instead. What was asked of the account is met. Where
        the authority refuses for good, the former key stays.
        """
        account = self._known(directory)
        if account.next_key is None:
            account = self._save(replace(account, next_key=new_account_key()))
        following = self._in_force(account)
        if following.next_key is not None:
            following = self._changed_over(following)
        self._finish(following, Wish.ROLLOVER)

    def deactivate(self, directory: str) -> None:
        """Give the account up for ever; its certificates stay valid. What was asked of it is met.

        Where the authority refuses for good, it stays as it was.
        """
        account = self._save(replace(self._known(directory), state=AccountState.DEACTIVATING))
        account = self._in_force(account)
        with self._client(account) as client:
            client.use_account(account.url or "")
            try:
                client.deactivate()
            except AuthorityRefused as error:
                if not _is_deactivated(client):
                    if not is_transient(error):
                        self._save(replace(account, state=AccountState.VALID))
                    raise
        gone = replace(account, state=AccountState.DEACTIVATED, next_key=None)
        self._finish(gone, Wish.DEACTIVATE)

    def start_over(self, directory: str, wish: Wish) -> None:
        """Forget an account, so that another is made with the next session.

        One that is lost goes in whatever state it is, and though its key may not open. Any other
        stays when it is in use by now: a session may have registered it since it was asked for.
        """
        with self.fence.changing() as change:
            asked = stored.asked(change.connection, directory)
            if asked is None or asked.wish is not wish:
                raise AcmeError(Problem("asked-otherwise", "something else is asked for by now"))
            if wish is not Wish.START_OVER_LOST:
                account = stored.get(change.connection, self.keys, directory)
                if account is not None and account.is_in_use:
                    raise AccountInUse(directory)
            stored.remove(change, directory)

    def forget_url(self, directory: str) -> None:
        """Have the account registered anew: the authority knows it no more. Its key stays."""
        with self.fence.changing() as change:
            account = stored.get(change.connection, self.keys, directory)
            if account is not None and account.state is AccountState.VALID:
                lost = replace(account, url=None, state=AccountState.NEW)
                stored.save(change, self.keys, lost)

    def _client(self, account: StoredAccount) -> AuthorityClient:
        return AuthorityClient(account.directory, account.key, roots=self.roots(), clock=self.clock)

    def _ours(self, directory: str) -> StoredAccount:
        """Return the account; one with a new key is made where there is none."""
        with self.fence.changing() as change:
            account = stored.get(change.connection, self.keys, directory)
            if account is None:
                made = int(self.clock().timestamp())
                account = StoredAccount(directory, AccountState.NEW, made, new_account_key())
                stored.save(change, self.keys, account)
        if account.state in {AccountState.DEACTIVATING, AccountState.DEACTIVATED}:
            raise AccountGone(directory)
        return account

    def _known(self, directory: str) -> StoredAccount:
        with self.fence.database.reading() as connection:
            account = stored.get(connection, self.keys, directory)
        if account is None or account.url is None:
            raise AcmeError(Problem("no-account", f"there is no account at {directory}"))
        if account.state is AccountState.DEACTIVATED:
            raise AccountGone(directory)
        return account

    def _registered(
        self, client: AuthorityClient, account: StoredAccount, settings: AcmeSettings
    ) -> StoredAccount:
        contact = tuple(f"mailto:{address}" for address in settings.contact)
        if account.url is None:
            if client.external_account_required and settings.binding is None:
                words = "the authority wants an external account: give its key id and MAC key"
                raise AcmeError(Problem("externalAccountRequired", words))
            url = client.find_account() or self._register(client, contact, settings)
            return self._save(replace(account, url=url, state=AccountState.VALID, contact=contact))
        client.use_account(account.url)
        if account.contact != contact:
            client.update_contact(contact)
            account = self._save(replace(account, contact=contact))
        return account

    @staticmethod
    def _register(client: AuthorityClient, contact: Sequence[str], settings: AcmeSettings) -> str:
        """Have the account registered; return its URL.

        Orders move at the same time, and the first ones all find that there is no account yet. An
        authority may refuse all but one of those who register it at once: mostly it is there then.
        """
        try:
            return client.register(
                contact, terms_agreed=settings.terms_agreed, binding=settings.binding
            )
        except AcmeError as error:
            if error.problem.type not in {"rateLimited", "unreachable"}:
                with suppress(AcmeError):
                    url = client.find_account()
                    if url is not None:
                        return url
            raise

    def _in_force(self, account: StoredAccount) -> StoredAccount:
        """Return the account with the key that the authority has, while there are two."""
        if account.next_key is None:
            return account
        changed = replace(account, key=account.next_key, next_key=None)
        with self._client(changed) as client:
            taken = client.find_account() is not None
        return self._save(changed) if taken else account

    def _changed_over(self, account: StoredAccount) -> StoredAccount:
        """Have the authority take the key that waits."""
        following = account.next_key or new_account_key()
        with self._client(account) as client:
            client.use_account(account.url or "")
            try:
                client.roll_over(following)
            except AuthorityRefused as error:
                if is_transient(error):
                    raise
                # A request whose answer was lost may have been made a second time.
                account = self._in_force(account)
                if account.next_key is not None:
                    self._save(replace(account, next_key=None))
                    raise
        return replace(account, key=following, next_key=None)

    def _finish(self, account: StoredAccount, wish: Wish) -> None:
        with self.fence.changing() as change:
            stored.save(change, self.keys, account)
            stored.meet(change.connection, account.directory, wish)

    def _save(self, account: StoredAccount) -> StoredAccount:
        with self.fence.changing() as change:
            stored.save(change, self.keys, account)
        return account


def _is_deactivated(client: AuthorityClient) -> bool:
    """Ask whether the authority knows the key's account no more, or as a deactivated one."""
    try:
        return client.find_account() is None
    except AuthorityRefused as error:
        return error.problem.type == "unauthorized"
