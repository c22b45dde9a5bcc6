"""How this service obtains certificates: `trust.acme` put together with importing and the roots.

An issued certificate comes in by the rules of any import; when an order is tried follows from
`trust.acme.renewal`; and a challenge is looked for as the authority will, before it is asked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from shaken.addresses import is_public
from shaken.assignment import UnknownTenant
from shaken.audit import SYSTEM, changing
from shaken.importing import Importer, Upload
from trust.acme import renewal
from trust.acme.caa import Issuer
from trust.acme.challenges import ChallengeType, PublicationError, TxtRecord
from trust.acme.delivery import Delivery, NotKept
from trust.acme.dns.reading import DnsSettingsError, read_dns_settings
from trust.acme.dns.settings import DnsSettings, HookSettings
from trust.acme.lookup import DnsResolver, LookupFailed, Nameserver, Resolver
from trust.acme.order import Order, moment
from trust.acme.reachability import Challenge, Vantage, check, check_caa
from trust.acme.settings import DIRECTORIES, AcmeSettings
from trust.certificate import CertificateRefused, Source
from trust.keys import MasterKeys
from trust.store.database import Change, Database


@dataclass(frozen=True)
class Keeper:
    """Stores issued certificates with the keys that wait for them."""

    database: Database
    master: MasterKeys
    clock: Callable[[], datetime]

    def keep(self, delivery: Delivery, *, settle: Callable[[Change, str], None]) -> None:
        """Import a certificate (`trust.acme.delivery.Certificates`). Raises NotKept."""
        now = int(self.clock().timestamp())
        importer = Importer(self.master, lab=False)
        # An administrator may have fetched and imported the same one by hand.
        upload = Upload(
            delivery.kind,
            delivery.chain,
            tenant=delivery.tenant,
            source=Source.ACME,
            replace=True,
        )
        try:
            read = importer.read(upload, now=now)
            with changing(self.database, SYSTEM, now=now) as change:
                imported = importer.add(change, read, scope=None, now=now)
                settle(change, imported.row.id)
        except CertificateRefused as error:
            raise NotKept(error.detail) from error
        except UnknownTenant as error:
            raise NotKept(f"there is no tenant {error} any more") from error


@dataclass(frozen=True)
class Schedule:
    """When orders are tried: the plan of `trust.acme.renewal` for each."""

    def next_try(self, order: Order, *, now: datetime) -> datetime:
        """Return when an order is tried next (`trust.acme.means.Schedule`)."""
        return plan_of(order, now=now).next_try

    def next_inquiry(
        self, order: Order, *, now: datetime, retry_after: datetime | None
    ) -> datetime | None:
        """Return when renewal information is asked for again; None: no more."""
        validity = _validity(order)
        if validity is None:
            return None
        wait = None if retry_after is None else max(retry_after - now, timedelta(0))
        return renewal.next_inquiry(validity, now=now, retry_after=wait)


def plan_of(order: Order, *, now: datetime) -> renewal.Plan:
    """Return how an order stands: when it is tried, how urgent that is, and the words for it."""
    window, failures = None, None
    if order.window is not None:
        try:
            window = renewal.Window(moment(order.window.start), moment(order.window.end))
        except renewal.WindowError:
            window = None  # RFC 9773 §4.2: as if the authority had suggested nothing
    if order.failures is not None:
        failures = renewal.Failures(
            order.failures.count,
            moment(order.failures.last),
            order.failures.problem.retry_after,
        )
    return renewal.plan(
        _validity(order),
        now=now,
        jitter=renewal.jitter_of(order.id),
        window=window,
        failures=failures,
        demand=order.demand,
        obtained=_obtained(order),
    )


def _validity(order: Order) -> renewal.Validity | None:
    if order.certified is None:
        return None
    return renewal.Validity(moment(order.certified.not_before), moment(order.certified.not_after))


def _obtained(order: Order) -> datetime | None:
    if order.certified is None or order.certified.obtained_at is None:
        return None
    return moment(order.certified.obtained_at)


def allowed_dns(document: Mapping[str, Any], *, hooks: Sequence[str]) -> DnsSettings:
    """Read how DNS records are published; a program must be one of `hooks`.

    Raises DnsSettingsError.
    """
    settings = read_dns_settings(document)
    if isinstance(settings, HookSettings) and settings.command[0] not in hooks:
        raise DnsSettingsError(
            "command",
            f"{settings.command[0]} is none of the programs that [acme] hooks (SHAKEN_ACME__HOOKS)"
            " lists; add it there, where the service runs",
        )
    return settings


@dataclass(frozen=True)
class Unusable:
    """A publisher of DNS records (`trust.acme.challenges.Publisher`) that is none, and why."""

    why: str

    def publish(self, records: Sequence[TxtRecord]) -> None:
        """Raise PublicationError."""
        raise self._error(records)

    def withdraw(self, records: Sequence[TxtRecord]) -> None:
        """Raise PublicationError."""
        raise self._error(records)

    def await_propagation(self, records: Sequence[TxtRecord]) -> None:
        """Raise PublicationError."""
        raise self._error(records)

    def _error(self, records: Sequence[TxtRecord]) -> PublicationError:
        names = ", ".join(dict.fromkeys(record.name for record in records))
        return PublicationError(f"{names}: no DNS record can be published with {self.why}")


@dataclass(frozen=True)
class SelfCheck:
    """Looks for a challenge as the authority will (`trust.acme.means.SelfCheck`)."""

    resolver: DnsResolver
    vantage: Vantage

    def __call__(self, *, name: str, token: str, key_authorization: str) -> str | None:
        """Say what is wrong; None: nothing speaks against asking the authority."""
        challenge = Challenge(name, token, key_authorization)
        found = check(challenge, vantage=self.vantage, resolver=self.resolver)
        return None if found.good else found.words


@dataclass(frozen=True)
class CaaCheck:
    """Looks at CAA records as the authority will (`trust.acme.means.CaaCheck`)."""

    resolver: Resolver
    issuer: Issuer

    def __call__(self, *, name: str) -> str | None:
        """Say what forbids to certify a name, or a wildcard; None: nothing."""
        found = check_caa(name, issuer=self.issuer, resolver=self.resolver)
        return None if found is None else found.words


def self_check(
    settings: AcmeSettings, *, nameservers: tuple[Nameserver, ...], http_port: int
) -> SelfCheck:
    """Build the check for an authority; a public one connects to public addresses only."""
    resolver = DnsResolver(nameservers)
    named = _is_named(settings)
    reaches = is_public if named or _is_public_authority(settings, resolver) else _anywhere
    issuer = _issuer(settings, ChallengeType.HTTP)
    return SelfCheck(resolver, Vantage(reaches=reaches, issuer=issuer, http_port=http_port))


def caa_check(settings: AcmeSettings, *, nameservers: tuple[Nameserver, ...]) -> CaaCheck:
    """Build the check of names that are proven by dns-01."""
    return CaaCheck(DnsResolver(nameservers), _issuer(settings, ChallengeType.DNS))


def _is_named(settings: AcmeSettings) -> bool:
    return settings.directory_url in DIRECTORIES.values()


def _issuer(settings: AcmeSettings, method: ChallengeType) -> Issuer:
    domains = frozenset({"letsencrypt.org"}) if _is_named(settings) else frozenset[str]()
    return Issuer(domains, account=None, method=method.value)


def _is_public_authority(settings: AcmeSettings, resolver: DnsResolver) -> bool:
    host = urlsplit(settings.directory_url).hostname or ""
    try:
        return all(map(is_public, resolver.addresses(host)))
    except LookupFailed:
        # The machine's own table of hosts, or an address: nothing that the Internet knows.
        return False


def _anywhere(_: object) -> bool:
    return True
