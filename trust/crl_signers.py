"""Who may sign a revocation list, of certificates that are at hand and nobody has validated."""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from trust.certificate import UNREADABLE, Certificate, read_tn_auth_list
from trust.crl import CrlIndex
from trust.path import PathError, validate_path
from trust.tnauthlist import TnAuthListError

MAX_SIGNERS = 4
"""Certificates of one name that are tried as signers of a list; each needs a path of its own."""


def find_signers(
    index: CrlIndex,
    known: Sequence[x509.Certificate],
    *,
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> tuple[x509.Certificate, ...]:
    """Return who of `known` may sign this list: has its name, and a path to one of `roots`.

    `known` are certificates at hand that nobody has validated; they serve as intermediates too.
    """
    named = [one for one in known if index.may_be_signed_by(one, at=at)][:MAX_SIGNERS]
    return tuple(one for one in named if _is_trusted(one, known, roots, at))


def _is_trusted(
    signer: x509.Certificate,
    known: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> bool:
    try:
        path = validate_path(Certificate((signer, *known)), roots=roots, at=at)
        # Who was given numbers may make certificates of any name (RFC 9060 §4): not lists of all.
        return all(read_tn_auth_list(one) is None for one in path[:-1])
    except (PathError, TnAuthListError, *UNREADABLE):
        return False
