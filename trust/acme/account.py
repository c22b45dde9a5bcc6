"""The account at an authority: made once, found by its key, changed, given up (RFC 8555 §7.3).

Each step is in the store before the authority hears of it, so that a process killed at any moment
finds its account: a key that waits is tried before another is made.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from trust.acme.authority_client import AuthorityClient, new_account_key
from trust.acme.fence import Fence
from trust.acme.problems import AcmeError, AuthorityRefused, Problem
from trust.acme.settings import AcmeSettings
from trust.keys import MasterKeys
from trust.store import acme_accounts as stored
from trust.store.acme_accounts import AccountState, StoredAccount


class AccountGone(AcmeError):  # noqa: N818 - what is the case
    """The account is deactivated; `Accounts.start_over` makes another."""

    def __init__(self, directory: str) -> None:
        words = f"the account at {directory} is deactivated: make a new one"
        super().__init__(Problem("account-deactivated", words))


@dataclass(frozen=True)
class Session:
    """An authority, spoken to as an account."""

    client: AuthorityClient
    account: str
    directory: str


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
        """Speak as the settings' account, which is made, settled or brought up to date first."""
        account = self._ours(settings.directory_url)
        if account.next_key is not None:
            account = self._settle(account)
        with self._client(account) as client:
            account = self._registered(client, account, settings)
            yield Session(client, account.url or "", account.directory)

    @contextmanager
    def existing(self, directory: str) -> Iterator[Session]:
        """Speak as the account that a directory has, whatever the settings are by now."""
        account = self._known(directory)
        if account.next_key is not None:
            account = self._settle(account)
        with self._client(account) as client:
            client.use_account(account.url or "")
            yield Session(client, account.url or "", directory)

    def roll_over(self, directory: str) -> None:
        """Give the account a new key; both are kept until the authority has taken it."""
        account = self._known(directory)
        if account.next_key is not None:
            account = self._settle(account)
        account = self._save(replace(account, next_key=new_account_key()))
        self._settle(account)

    def deactivate(self, directory: str) -> None:
        """Give the account up for ever; its certificates stay valid."""
        account = self._save(replace(self._known(directory), state=AccountState.DEACTIVATING))
        if account.next_key is not None:
            account = self._settle(account)
        with self._client(account) as client:
            client.use_account(account.url or "")
            try:
                client.deactivate()
            except AuthorityRefused:
                if not _is_deactivated(client):
                    raise
        self._save(replace(account, state=AccountState.DEACTIVATED))

    def start_over(self, directory: str) -> None:
        """Forget a deactivated account, so that another is made. Does nothing for others."""
        with self.fence.changing() as change:
            account = stored.get(change.connection, self.keys, directory)
            if account is not None and account.state is AccountState.DEACTIVATED:
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
            if client.terms.external_account_required and settings.binding is None:
                words = "the authority wants an external account: give its key id and MAC key"
                raise AcmeError(Problem("externalAccountRequired", words))
            url = client.find_account() or client.register(
                contact, terms_agreed=settings.terms_agreed, binding=settings.binding
            )
            return self._save(replace(account, url=url, state=AccountState.VALID, contact=contact))
        client.use_account(account.url)
        if account.contact != contact:
            client.update_contact(contact)
            account = self._save(replace(account, contact=contact))
        return account

    def _settle(self, account: StoredAccount) -> StoredAccount:
        """Finish a change of keys: the authority has the new one, or gets it now."""
        following = account.next_key
        if following is None:
            return account
        changed = replace(account, key=following, next_key=None)
        with self._client(changed) as client:
            taken = client.find_account() is not None
        if not taken:
            with self._client(account) as client:
                client.use_account(account.url or "")
                client.roll_over(following)
        return self._save(changed)

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
