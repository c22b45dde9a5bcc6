"""Revoking a certificate by the account that ordered it (RFC 8555 §7.6)."""

from enum import IntEnum

from trust.acme.account import Accounts
from trust.certificate import leaf_of


class Reason(IntEnum):
    """Why a certificate is revoked (RFC 5280 §5.3.1): the reasons that subscribers may give."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    PRIVILEGE_WITHDRAWN = 9


def revoke(accounts: Accounts, *, directory: str, chain: str, reason: Reason) -> None:
    """Revoke the leaf of a chain (PEM) at the authority that issued it.

    One that is revoked already stays so. Raises AcmeError, LeaseLost, StoreError.
    """
    leaf = leaf_of(chain)
    with accounts.existing(directory) as session:
        session.client.revoke(leaf, reason=reason.value)
