"""Whose a SIP request is: the trunk of a client certificate, of a source address, or of a host.

The first of these that leads to a trunk decides, and only where it leads to several the others
choose among them. A trunk's and a credential's `networks` hold here as they do over HTTP. Pure: it
reads a snapshot, at the same cost for ten thousand trunks as for one.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from shaken.credentials import Credential, Role
from shaken.networks import within
from shaken.snapshot import Snapshot
from shaken.tenants import Direction, Trunk, Work
from sip.reception import Source
from sip.uri import SipUri, UriError, parse_uri
from trust.names import DnsNameError, dns_name
from trust.tls import spki_of


class Line(NamedTuple):
    """A trunk that a request may be of, and the credential that led to it, if one did."""

    trunk: Trunk
    credential: Credential | None = None

    def work(self, *, presents: bool) -> Work | None:
        """Say whether a call is to be signed or verified; None: this line does neither with it.

        `presents` says whether the call has an Identity. A credential does what its role is for,
        nothing else.
        """
        work = self.trunk.direction.work(presents=presents)
        if self.credential is None or self.credential.role is _ROLES[work]:
            return work
        return None


_ROLES = {Work.SIGN: Role.SIGNER, Work.VERIFY: Role.VERIFIER}


def is_known(snapshot: Snapshot, source: Source) -> bool:
    """Say at a glance whether requests from here may be a trunk's, before they are read."""
    return is_sure(snapshot, source) or bool(snapshot.hosted_sources.at(source.address))


def is_sure(snapshot: Snapshot, source: Source) -> bool:
    """Say whether requests from here are a trunk's whatever host they name."""
    return bool(snapshot.sources.at(source.address) or _certified(snapshot, source))


def lines_of(snapshot: Snapshot, source: Source, uri: str) -> Sequence[Line]:
    """List the lines that a request with this Request-URI may be of."""
    lines = _certified(snapshot, source)
    if not lines:
        lines = [Line(trunk) for trunk in snapshot.sources.at(source.address)]
    if not lines and snapshot.hosted:
        tenant = tenant_of(snapshot, uri)
        lines = [Line(trunk) for trunk in snapshot.hosted.get(tenant or "", ())]
    return [line for line in lines if within(line.trunk.networks, source.address)]


def choose(lines: Sequence[Line], *, tenant: str | None, presents: bool) -> Line | None:
    """Choose the one line of several that a call is of; None: nothing tells which.

    `tenant` is the one that the Request-URI's host means: its lines come first. Of those that are
    left, the ones for calls of this kind come before the others; `presents` as in `Line.work`.
    """
    if len(lines) == 1:
        return lines[0]
    natural = Direction.AUTO.work(presents=presents)
    other = Direction.AUTO.work(presents=not presents)
    lines = _preferring(lines, lambda line: line.trunk.tenant == tenant)
    lines = _preferring(lines, lambda line: line.work(presents=presents) is natural)
    lines = _preferring(lines, lambda line: not line.trunk.direction.allows(other))
    return lines[0] if len(lines) == 1 else None


def tenant_of(snapshot: Snapshot, uri: str) -> str | None:
    """Return the name of the tenant that a Request-URI's host means, None: it means none."""
    try:
        parsed = parse_uri(uri)
        tenant = snapshot.tenants.get(dns_name(parsed.host)) if isinstance(parsed, SipUri) else None
    except (UriError, DnsNameError):
        return None
    return None if tenant is None else tenant.address


def _preferring(lines: Sequence[Line], fits: Callable[[Line], bool]) -> Sequence[Line]:
    """Keep the lines that fit, or all where none does."""
    return [line for line in lines if fits(line)] or lines


def _certified(snapshot: Snapshot, source: Source) -> Sequence[Line]:
    """List the lines of the credentials that the client's certificate is enough for."""
    if source.client_certificate is None:
        return ()
    spki = spki_of(source.client_certificate)
    if spki is None:
        return ()
    return [
        Line(snapshot.trunks[credential.trunk], credential)
        for credential in snapshot.credentials.machines(spki, peer=source.address)
        if credential.trunk is not None
    ]
