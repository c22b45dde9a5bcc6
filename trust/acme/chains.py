"""Which of the chains that an authority offers for one certificate is used (RFC 8555 §7.4.2)."""

from collections.abc import Sequence
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from trust.acme.problems import AuthorityFailed, Problem
from trust.key_kinds import public_key_of


def read_chain(pem: str, *, request: str) -> list[x509.Certificate]:
    """Read a chain, leaf first, and see that it is over the key of a request (its id).

    Raises AuthorityFailed.
    """
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
        key = public_key_of(chain[0])
    except (ValueError, TypeError) as error:
        words = f"the authority sent a certificate that cannot be read: {error}"
        raise AuthorityFailed(Problem("unusable-answer", words)) from error
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if sha256(info).hexdigest() != request:
        words = "the authority sent a certificate over another key than the one that was sent in"
        raise AuthorityFailed(Problem("unusable-answer", words))
    return chain


def choose(chains: Sequence[str], *, preferred: str | None, request: str) -> str:
    """Return the chain whose last certificate was issued by the preferred common name.

    It is the authority's own choice, the first, where none was. What is no chain over the key of
    the request is passed over.
    """
    if preferred is None:
        return chains[0]
    for pem in chains:
        try:
            last = read_chain(pem, request=request)[-1]
        except AuthorityFailed:
            continue
        names = last.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        if preferred.lower() in {str(each.value).lower() for each in names}:
            return pem
    return chains[0]
