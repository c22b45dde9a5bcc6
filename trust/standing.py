"""How certificates that are kept stand with our own trusted roots: which findings that makes.

Roots change, so nothing of this is stored with a certificate. A `Standing` belongs to one state of
the roots and remembers what it found, since lists ask for the same chains over and over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from trust.certificate import UNREADABLE, Certificate, issued, issuer_of, subject_of
from trust.findings import Finding
from trust.path import Anchors, PathError
from trust.roots import Purpose, Root

REMEMBERED_SECONDS = 86400
"""How long a finding is believed: meanwhile an intermediate or a root may have expired."""

MAX_REMEMBERED = 200_000
"""Chains that are remembered, some 150 bytes each; with more, all are forgotten and begun anew."""

MAX_QUOTED = 200
"""Characters of a name or URL that a finding quotes: a CA may have put much into it."""


class Standing:
    """What the trusted roots of one moment say of chains. For use from any thread."""

    def __init__(self, roots: Iterable[Root]) -> None:
        """Take the roots of all purposes; disabled and deleted ones are not trusted."""
        trusted = [root for root in roots if not root.disabled and not root.deleted]
        self._sides: Mapping[Purpose, _Side] = {
            purpose: _Side(purpose, [root for root in trusted if root.purpose is purpose])
            for purpose in Purpose
        }
        self._remembered: dict[tuple[Purpose, bytes], tuple[int, tuple[Finding, ...]]] = {}

    def findings(self, chain_pem: str, purpose: Purpose, *, now: int) -> tuple[Finding, ...]:
        """Look a stored chain over (PEM, leaf first): `chain-incomplete`, `untrusted` or nothing.

        `now` is Unix seconds. A leaf out of its time is judged as of the nearest moment within:
        that it has expired is another finding.
        """
        key = (purpose, sha256(chain_pem.encode("ascii")).digest())
        period = now // REMEMBERED_SECONDS
        known = self._remembered.get(key)
        if known is not None and known[0] == period:
            return known[1]
        found = self._sides[purpose].findings(Certificate.of_pem(chain_pem), now=now)
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = (period, found)
        return found

    def certificates(self, purpose: Purpose) -> tuple[x509.Certificate, ...]:
        """Return the trusted roots of a purpose: the same object each time."""
        return self._sides[purpose].certificates


class _Side:
    """The trusted roots of one purpose, read when they are first needed."""

    def __init__(self, purpose: Purpose, roots: Iterable[Root]) -> None:
        self._purpose = purpose
        self._roots = tuple(roots)

    @cached_property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The roots."""
        return tuple(x509.load_pem_x509_certificate(root.pem.encode()) for root in self._roots)

    @cached_property
    def _anchors(self) -> Anchors:
        return Anchors(self.certificates)

    def findings(self, certificate: Certificate, *, now: int) -> tuple[Finding, ...]:
        moment = datetime.fromtimestamp(now, UTC)
        at = min(max(moment, certificate.not_before), certificate.not_after)
        try:
            self._anchors.path(certificate, at=at)
        except PathError as error:
            return self._complaints(certificate, error)
        return ()

    def _complaints(self, certificate: Certificate, error: PathError) -> tuple[Finding, ...]:
        last = certificate.chain[-1]
        roots = f"trusted {self._purpose.value} roots"
        if issued(last, last):
            detail = f"it signs itself and is not among the {roots}: only who is told to trusts it"
            if len(certificate.chain) > 1:
                detail = (
                    f"the root of its chain, {_quoted(subject_of(last))}, is not among the {roots}"
                )
            return (Finding("untrusted", detail),)
        if error.reason != "untrusted" or any(issued(one, last) for one in self.certificates):
            detail = f"no valid path leads to one of the {roots}; it ends at {error.detail}"
            return (Finding("untrusted", detail[: 3 * MAX_QUOTED]),)
        issuer = _quoted(issuer_of(last))
        url = _issuer_url(last)
        at_place = f" (its CA publishes it at {url})" if url else ""
        incomplete = (
            f"its chain ends at {_quoted(subject_of(last))}; the issuer {issuer} is neither in it "
            f"nor among the {roots}. If that is an intermediate{at_place}, import the chain again "
            "with it and ?replace=true; if it is a root, trust it"
        )
        return (
            Finding("chain-incomplete", incomplete),
            Finding("untrusted", f"its issuer {issuer} is not known to the {roots}"),
        )


def _issuer_url(certificate: x509.Certificate) -> str | None:
    """Return where a certificate says that its issuer is published (RFC 5280 §4.2.2.1)."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None
    for described in access.value:
        place = described.access_location
        is_issuer = described.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        if is_issuer and isinstance(place, x509.UniformResourceIdentifier):
            return ascii(place.value)[1:-1][:MAX_QUOTED]
    return None


def _quoted(name: str) -> str:
    return f'"{name[:MAX_QUOTED]}"' if name else "without a name"
