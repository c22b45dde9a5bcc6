"""Who may do what: roles, and bearer credentials whose secrets are kept as digests.

A secret is 256 random bits, so its SHA-256 digest needs no salt and no slow hash: there is
nothing to guess. Comparisons take constant time.

A credential may be bound to the key of a client certificate. Its secret is then good over such a
connection only; and machines that place calls, whose software often knows nothing but mutual TLS,
need no secret there.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from shaken.networks import Network, within

SECRET_BYTES = 32
"""256 bits."""

SECRET_PREFIX = "shk_"  # noqa: S105 - what secret scanners recognise, not a secret
"""Marks a secret as one of ours, so that scanners find it where it was left lying."""

MAX_AUTHORIZATION = 1024
"""Characters of an Authorization header that are looked at."""


class Role(StrEnum):
    """What a credential is for."""

    ADMIN = "admin"
    VIEWER = "viewer"
    SIGNER = "signer"
    VERIFIER = "verifier"
    LISTENER = "listener"


CERTIFICATE_ROLES = frozenset({Role.SIGNER, Role.VERIFIER})
"""Roles for which a client certificate is enough.

Not those who administrate, whose browsers would show theirs to any page that sends them here; nor
listeners, who are given private keys.
"""


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as kept: never its secret. `tenant` None: not bound to one.

    `client_spki` is the SHA-256 (hex) of the key that a client certificate must show, None: none.
    """

    name: str
    role: Role
    digest: bytes = field(repr=False)
    tenant: str | None
    trunk: str | None
    networks: tuple[Network, ...]
    client_spki: str | None = None


def new_secret() -> str:
    """Make a secret."""
    return SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """Return what is stored of a secret."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


class CredentialIndex:
    """The credentials, found by what a request presents. Immutable."""

    def __init__(self, credentials: Iterable[Credential]) -> None:
        self._by_name: Mapping[str, Credential] = {entry.name: entry for entry in credentials}
        self._by_digest: Mapping[bytes, Credential] = {
            entry.digest: entry for entry in self._by_name.values()
        }
        self.with_certificate: Sequence[Credential] = tuple(
            entry for entry in self._by_name.values() if entry.client_spki is not None
        )
        """Those that are bound to a client certificate."""
        self._machines: Mapping[str, tuple[Credential, ...]] = _machines(self.with_certificate)
        self._by_spki: Mapping[str, Credential] = _alone(self.with_certificate)

    def authenticate(
        self, authorization: str | None, *, peer: str, client_spki: str | None = None
    ) -> Credential | None:
        """Find who presents this Authorization header from this address, or nobody.

        Bearer with the secret (RFC 6750 §2.1), Basic with name and secret (RFC 7617).
        `client_spki` is the key that the client showed in TLS. Without the header it says who
        calls, where one credential of a machine that places calls is bound to it and no other.
        """
        if authorization is None:
            return self._by_certificate(client_spki, peer)
        if len(authorization) > MAX_AUTHORIZATION:
            return None
        scheme, _, value = authorization.partition(" ")
        match scheme.lower():
            case "bearer":
                digest = digest_of(value.strip())
                # The look-up is by digest: its timing tells about digests, never about secrets.
                found = self._by_digest.get(digest)
            case "basic":
                name, digest = _basic(value.strip())
                found = self._by_name.get(name)
            case _:
                return None
        # A digest is compared also for an unknown name, so that both take as long.
        fits = hmac.compare_digest(found.digest if found else bytes(32), digest)
        if found is None or not fits or (found.networks and not within(found.networks, peer)):
            return None
        if found.client_spki is not None and found.client_spki != client_spki:
            return None
        return found

    def machines(self, client_spki: str, *, peer: str) -> Sequence[Credential]:
        """List whom a client certificate's key is enough for, from this address.

        There may be several where something else tells which of them is meant.
        """
        found = self._machines.get(client_spki, ())
        return [entry for entry in found if within(entry.networks, peer)]

    def _by_certificate(self, client_spki: str | None, peer: str) -> Credential | None:
        found = None if client_spki is None else self._by_spki.get(client_spki)
        return found if found is not None and within(found.networks, peer) else None


def _machines(credentials: Iterable[Credential]) -> dict[str, tuple[Credential, ...]]:
    """Map keys to the credentials of machines that place calls which are bound to each."""
    bound: dict[str, tuple[Credential, ...]] = {}
    for credential in credentials:
        if credential.client_spki is not None and credential.role in CERTIFICATE_ROLES:
            bound[credential.client_spki] = (*bound.get(credential.client_spki, ()), credential)
    return bound


def _alone(credentials: Iterable[Credential]) -> dict[str, Credential]:
    """Map keys to the only credential that is bound to each, where its certificate is enough."""
    bound: dict[str, list[Credential]] = {}
    for credential in credentials:
        if credential.client_spki is not None:
            bound.setdefault(credential.client_spki, []).append(credential)
    return {
        spki: group[0]
        for spki, group in bound.items()
        if len(group) == 1 and group[0].role in CERTIFICATE_ROLES
    }


def _basic(value: str) -> tuple[str, bytes]:
    try:
        decoded = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", digest_of("")
    name, _, secret = decoded.partition(":")
    return name, digest_of(secret)
