"""The publisher of an administrator's settings.

It finds where each record is kept, has it changed there, and waits until it is seen. How records
are changed is a `Writer`'s; of each, other texts of a name stay, and what is so already stays so.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from trust.acme.challenges import PublicationError, Publisher, TxtRecord
from trust.acme.dns.catalog import check_provider
from trust.acme.dns.hook import HookWriter, check_hook
from trust.acme.dns.names import (
    RecordNameError,
    RecordValueError,
    challenge_value,
    record_name,
)
from trust.acme.dns.propagation import Propagation, ask
from trust.acme.dns.provider import ProviderWriter
from trust.acme.dns.reading import read_nameserver
from trust.acme.dns.rfc2136 import Rfc2136Writer
from trust.acme.dns.settings import (
    DNS_PORT,
    DnsSettings,
    HookSettings,
    ProviderSettings,
    Rfc2136Settings,
)
from trust.acme.dns.zones import NameServer, alias_target, servers_of, zone_of
from trust.acme.lookup import DnsResolver


class Writer(Protocol):
    """Changes records in one zone. Each method raises PublicationError."""

    def add(self, zone: str, records: Sequence[TxtRecord], /) -> None:
        """Add records beside what their names have."""

    def remove(self, zone: str, records: Sequence[TxtRecord], /) -> None:
        """Remove these records only."""


@dataclass(frozen=True, slots=True)
class DnsPublisher:
    """Publishes records where the DNS keeps them (`trust.acme.challenges.Publisher`).

    `place` gives the name that a record's name is an alias of, `group` the zone to change it in,
    `servers` those that must have what is at some names.
    """

    writer: Writer
    place: Callable[[str], str]
    group: Callable[[str], str]
    servers: Callable[[Iterable[str]], Mapping[str, Sequence[NameServer]]]
    propagation: Propagation

    def publish(self, records: Sequence[TxtRecord]) -> None:
        """Add these records; others of the same name stay. Raises PublicationError."""
        self._change(records, self.writer.add)

    def withdraw(self, records: Sequence[TxtRecord]) -> None:
        """Remove these records, of which some may be gone. Raises PublicationError."""
        self._change(records, self.writer.remove)

    def await_propagation(self, records: Sequence[TxtRecord]) -> None:
        """Return when all the authoritative servers have these records.

        Raises PublicationError with what they say instead when they do not in time.
        """
        placed = [self._placed(record) for record in records]
        servers = self.servers({record.name for record in placed})
        self.propagation.await_all({record: servers[record.name] for record in placed})

    def _change(
        self, records: Sequence[TxtRecord], change: Callable[[str, Sequence[TxtRecord]], None]
    ) -> None:
        """Change each zone, also when another fails."""
        failures: list[PublicationError] = []
        groups: dict[str, list[TxtRecord]] = {}
        for record in dict.fromkeys(records):
            try:
                placed = self._placed(record)
                groups.setdefault(self.group(placed.name), []).append(placed)
            except PublicationError as error:
                failures.append(error)
        for zone, members in groups.items():
            try:
                change(zone, members)
            except PublicationError as error:
                failures.append(error)
        if failures:
            words = "; ".join(dict.fromkeys(str(error) for error in failures))
            raise PublicationError(words) from failures[0]

    def _placed(self, record: TxtRecord) -> TxtRecord:
        try:
            name, value = record_name(record.name), challenge_value(record.value)
        except (RecordNameError, RecordValueError) as error:
            raise PublicationError(str(error)) from error
        return TxtRecord(self.place(name), value)


def check_settings(settings: DnsSettings) -> None:
    """Look whether settings can work on this machine. Raises DnsSettingsError."""
    match settings:
        case ProviderSettings():
            check_provider(settings)
        case HookSettings():
            check_hook(settings)
        case Rfc2136Settings():
            pass


def publisher_for(
    settings: DnsSettings,
    *,
    authority_port: int = DNS_PORT,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Publisher:
    """Return the publisher of checked settings. It blocks while it works, and holds nothing open.

    `authority_port` is where the name servers of zones listen; `clock` is monotonic, in seconds.
    """
    resolver = DnsResolver([read_nameserver(text) for text in settings.resolvers])
    named = [NameServer("", *read_nameserver(text)) for text in settings.nameservers]
    zone = _zones(settings, resolver)
    writer: Writer
    group = zone
    match settings:
        case ProviderSettings():
            writer = ProviderWriter(settings)
        case Rfc2136Settings():
            writer = Rfc2136Writer(settings, resolver=resolver)
        case HookSettings():
            # A program finds the zone itself.
            writer, group = HookWriter(settings), _itself

    def servers(names: Iterable[str]) -> Mapping[str, Sequence[NameServer]]:
        if named:
            return dict.fromkeys(names, named)
        zones = {name: zone(name) for name in names}
        found = {
            each: servers_of(each, resolver, port=authority_port) for each in {*zones.values()}
        }
        return {name: found[each] for name, each in zones.items()}

    return DnsPublisher(
        writer=writer,
        place=partial(alias_target, resolver=resolver) if settings.delegate else _itself,
        group=group,
        servers=servers,
        propagation=Propagation(settings.propagation_seconds, ask, clock, wait),
    )


def _zones(settings: DnsSettings, resolver: DnsResolver) -> Callable[[str], str]:
    match settings:
        case ProviderSettings(zone=str(zone)) | Rfc2136Settings(zone=str(zone)):
            return partial(_given, record_name(zone))
        case _:
            return partial(zone_of, resolver=resolver)


def _given(zone: str, name: str) -> str:
    if name == zone or name.endswith(f".{zone}"):
        return zone
    raise PublicationError(f"{name} is not in the zone {zone} that the settings give")


def _itself(name: str) -> str:
    return name
