"""Where in the DNS a record is kept: behind which alias, in which zone, on which servers.

Asked through resolvers, as an authority does it. What they cannot say is a PublicationError.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dns.name
import dns.rdata
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.NS import NS

from trust.acme.challenges import PublicationError
from trust.acme.dns.names import RecordNameError, record_name
from trust.acme.lookup import DnsResolver, LookupFailed, NoSuchName

MAX_ALIASES = 8
"""Followed from one name, as authorities follow about ten."""

MAX_SERVERS = 16
"""Name servers of one zone that are asked; the root has 13."""


@dataclass(frozen=True, slots=True)
class NameServer:
    """One address of a name server; its name is empty where only the address is known."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.name else self.address


def alias_target(name: str, resolver: DnsResolver) -> str:
    """Follow the aliases (CNAME) of a record's name, none or several, to where it is kept.

    Raises PublicationError when they lead in a circle, or nowhere.
    """
    path = [name]
    while True:
        aliases = [
            each for each in _records(path[-1], "CNAME", resolver) if isinstance(each, CNAME)
        ]
        if not aliases:
            return path[-1]
        try:
            target = record_name(aliases[0].target.to_text())
        except RecordNameError as error:
            raise PublicationError(
                f"the CNAME of {path[-1]} cannot be followed: {error}"
            ) from error
        path.append(target)
        if target in path[:-1]:
            raise PublicationError(f"the CNAMEs lead in a circle: {' → '.join(path)}")
        if len(path) > MAX_ALIASES + 1:
            raise PublicationError(
                f"more than {MAX_ALIASES} CNAMEs follow one another: {' → '.join(path)}"
            )


def zone_of(name: str, resolver: DnsResolver) -> str:
    """Return the zone that holds a name, which need not exist: the nearest SOA record upwards.

    Raises PublicationError.
    """
    labels = name.split(".")
    for start in range(len(labels)):
        candidate = ".".join(labels[start:])
        if _records(candidate, "SOA", resolver):
            return candidate
    raise PublicationError(f"no zone holds {name}: neither it nor a name above has an SOA record")


def servers_of(zone: str, resolver: DnsResolver, *, port: int) -> tuple[NameServer, ...]:
    """Return each address of each name server of a zone.

    A server without an address is passed over: nobody asks it. Raises PublicationError when none
    has one.
    """
    names = sorted(
        each.target.to_text().lower().removesuffix(".")
        for each in _records(zone, "NS", resolver)
        if isinstance(each, NS)
    )
    servers: list[NameServer] = []
    reasons = []
    for name in names[:MAX_SERVERS]:
        try:
            found = resolver.addresses(name)
            servers += [NameServer(name, str(address), port) for address in found]
        except LookupFailed as error:
            reasons.append(str(error))
    if not servers:
        why = "; ".join(reasons) or "it has no name servers"
        raise PublicationError(f"the name servers of {zone} cannot be found: {why}")
    return tuple(servers)


def _records(name: str, kind: str, resolver: DnsResolver) -> Sequence[dns.rdata.Rdata]:
    """Return records of the very name: those behind an alias are another name's."""
    try:
        answer = resolver.answer(name, kind)
    except NoSuchName:
        return ()
    except LookupFailed as error:
        raise PublicationError(str(error)) from error
    if answer.rrset is None or answer.rrset.name != dns.name.from_text(name):
        return ()
    return tuple(answer.rrset)
