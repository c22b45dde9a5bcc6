"""What a name has in the DNS, asked through resolvers that follow aliases: addresses and CAA."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol, TypeAlias

import dns.exception
import dns.nameserver
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.CAA import CAA

Address: TypeAlias = IPv4Address | IPv6Address

Nameserver: TypeAlias = tuple[str, int]
"""Address and port of a resolver."""

LOOKUP_SECONDS = 5.0
"""How long one question may take in all, over all resolvers and repetitions."""

MAX_REASON = 200
"""Characters of a library's message that an error quotes."""


class LookupFailed(Exception):  # noqa: N818 - what happened; there may be nothing wrong here
    """Nobody could say what a name has; the message says why."""


class NoSuchName(LookupFailed):
    """The name does not exist (NXDOMAIN, RFC 8020)."""


@dataclass(frozen=True, slots=True)
class CaaRecord:
    """A CAA record (RFC 8659 §4.1); `value` has what is no ASCII replaced."""

    flags: int
    tag: str
    value: str

    def __str__(self) -> str:
        """Return it as a zone file has it."""
        return f'{self.flags} {self.tag} "{self.value}"'


class Resolver(Protocol):
    """Answers what a name has, after aliases."""

    def addresses(self, name: str) -> tuple[Address, ...]:
        """Return the addresses of a name, IPv6 first. Raises NoSuchName, LookupFailed."""

    def caa(self, name: str) -> tuple[CaaRecord, ...]:
        """Return the CAA records of the very name, none if it does not exist.

        Raises LookupFailed.
        """


class DnsResolver:
    """Asks the machine's resolvers, or given ones."""

    def __init__(
        self, nameservers: Sequence[Nameserver] = (), *, seconds: float = LOOKUP_SECONDS
    ) -> None:
        """Take whom to ask, nobody: those of the machine, as they are at each question."""
        self._nameservers = nameservers
        self._seconds = seconds

    def addresses(self, name: str) -> tuple[Address, ...]:
        """Return the addresses of a name, IPv6 first. Raises NoSuchName, LookupFailed.

        Where only one of both kinds could be looked up, that one counts.
        """
        found: list[Address] = []
        failed: LookupFailed | None = None
        for kind in ("AAAA", "A"):
            try:
                found += [ip_address(record.to_text()) for record in self._ask(name, kind)]
            except LookupFailed as error:
                failed = error
        if failed is not None and not found:
            raise failed
        return tuple(found)

    def caa(self, name: str) -> tuple[CaaRecord, ...]:
        """Return the CAA records of the very name, none if it does not exist.

        Raises LookupFailed.
        """
        with suppress(NoSuchName):
            return tuple(
                CaaRecord(record.flags, _text(record.tag).lower(), _text(record.value))
                for record in self._ask(name, "CAA")
                if isinstance(record, CAA)
            )
        return ()

    def answer(self, name: str, kind: str) -> dns.resolver.Answer:
        """Return what is answered about a name, which may have no such records.

        Raises NoSuchName, LookupFailed.
        """
        try:
            resolver = dns.resolver.Resolver(configure=not self._nameservers)
            if self._nameservers:
                resolver.nameservers = [
                    dns.nameserver.Do53Nameserver(*each) for each in self._nameservers
                ]
            return resolver.resolve(
                f"{name}.", kind, raise_on_no_answer=False, lifetime=self._seconds
            )
        except dns.resolver.NXDOMAIN:
            raise NoSuchName(f"{name} does not exist in the DNS") from None
        except dns.exception.DNSException as error:
            raise LookupFailed(
                f"the {kind} records of {name} could not be looked up: {str(error)[:MAX_REASON]}"
            ) from error

    def _ask(self, name: str, kind: str) -> Sequence[dns.rdata.Rdata]:
        answer = self.answer(name, kind)
        return () if answer.rrset is None else tuple(answer.rrset)


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")
