"""The self-check of http-01: the challenge is looked for where the authority is going to look.

It is made before the authority is asked, so that an order that must fail costs no rate limit, and
what it finds is for a person: what is wrong, and what to do. Each address of the name is asked, as
an authority may use any, in the way that Let's Encrypt does (RFC 8555 §8.3, CA/Browser Forum
Baseline Requirements §3.2.2.4.19). CAA records are left to `trust.acme.caa`, the DNS and HTTP to
`lookup` and `fetch`; all of these come in as arguments.
"""

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from urllib.parse import urljoin, urlsplit

from trust.acme.caa import Issuer, find_prohibition
from trust.acme.fetch import DEFAULT_PORTS, Answer, Failure, Get, GetError, Target, get
from trust.acme.lookup import Address, LookupFailed, NoSuchName, Resolver
from trust.names import DnsNameError, dns_name

CHALLENGE_PATH = "/.well-known/acme-challenge/"
"""RFC 8555 §8.3."""

MAX_ADDRESSES = 8
"""Of one name, that are asked; Let's Encrypt takes the first of each family."""

MAX_REDIRECTS = 10
"""That Let's Encrypt follows."""

FOLLOWED = frozenset({301, 302, 307, 308})
"""Statuses that the Baseline Requirements let an authority follow."""

MAX_LOCATION = 2000
"""Characters of a redirection's target, as at Let's Encrypt."""

MIN_SECONDS = 0.01
"""Given to a request for which no time is left, so that it fails as others do."""

MAX_SHOWN = 64
"""Characters of what a stranger's server says that a sentence quotes."""


_URL_TEXT = re.compile("[!-~]*")


class Fault(StrEnum):
    """What is wrong, for programs."""

    NO_SUCH_NAME = "no-such-name"
    NO_ADDRESS = "no-address"
    LOOKUP_FAILED = "lookup-failed"
    PRIVATE_ADDRESS = "private-address"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NOT_HTTP = "not-http"
    NOT_FOUND = "not-found"
    STATUS = "status"
    OTHER_CONTENT = "other-content"
    REDIRECT = "redirect"
    CAA = "caa"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: in words what, and what to do."""

    fault: Fault
    words: str
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Reachability:
    """What the self-check found. `notes` say what could not be checked from here."""

    name: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing speaks against asking the authority."""
        return not self.problems

    @property
    def words(self) -> str:
        """All of it for a person."""
        said = [problem.words for problem in self.problems] or [
            f"nothing speaks against asking for {self.name}"
        ]
        return "; ".join((*said, *self.notes))


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is to be found: RFC 8555's token and key authorization, or values of a probe."""

    name: str
    token: str
    key_authorization: str


@dataclass(frozen=True, slots=True)
class Vantage:
    """How the authority looks at the name.

    `reaches` says of an address whether the authority can connect to it: a public one to public
    addresses only, an internal one to any. Nothing is connected to that it cannot reach. `seconds`
    is what one address may take, with its redirections.
    """

    reaches: Callable[[Address], bool]
    issuer: Issuer
    http_port: int = DEFAULT_PORTS["http"]
    https_port: int = DEFAULT_PORTS["https"]
    seconds: float = 10.0

    def port(self, scheme: str) -> int:
        """Return the port that a URL without one means."""
        return self.http_port if scheme == "http" else self.https_port


class _Wrong(Exception):  # noqa: N818 - carries a problem up to where it is collected
    def __init__(self, fault: Fault, words: str) -> None:
        super().__init__(words)
        self.fault = fault
        self.words = words


def check(
    challenge: Challenge, *, vantage: Vantage, resolver: Resolver, get: Get = get
) -> Reachability:
    """Look for a challenge as the authority will.

    Blocks: up to `vantage.seconds` for each of `MAX_ADDRESSES`, and what the resolver takes.
    """
    return _Check(challenge, vantage, resolver, get).run()


def check_caa(name: str, *, issuer: Issuer, resolver: Resolver) -> Problem | None:
    """Say why an authority would refuse a name, or wildcard, by CAA records; None: it would not."""
    try:
        found = find_prohibition(name, issuer=issuer, resolver=resolver)
    except LookupFailed as error:
        words = f"{error}; an authority refuses then: mend the name server"
        return Problem(Fault.LOOKUP_FAILED, words)
    return None if found is None else Problem(Fault.CAA, found.words)


@dataclass(frozen=True, slots=True)
class _Check:
    challenge: Challenge
    vantage: Vantage
    resolver: Resolver
    get: Get

    def run(self) -> Reachability:
        name = self.challenge.name
        try:
            addresses = self.resolver.addresses(name)
        except NoSuchName as error:
            words = f"{error}: add an A or AAAA record with the address of this service"
            return Reachability(name, (Problem(Fault.NO_SUCH_NAME, words),))
        except LookupFailed as error:
            words = f"{error}; mend the name server, or the resolver that is asked"
            return Reachability(name, (Problem(Fault.LOOKUP_FAILED, words),))
        problems, notes = self._addresses(addresses)
        return Reachability(name, (*problems, *self._caa()), tuple(notes))

    def _caa(self) -> list[Problem]:
        name, issuer = self.challenge.name, self.vantage.issuer
        found = check_caa(name, issuer=issuer, resolver=self.resolver)
        return [] if found is None else [found]

    def _addresses(self, addresses: Sequence[Address]) -> tuple[list[Problem], list[str]]:
        name = self.challenge.name
        if not addresses:
            words = f"{name} has no A or AAAA record: add one with the address of this service"
            return [Problem(Fault.NO_ADDRESS, words)], []
        reached = [address for address in addresses if self.vantage.reaches(address)]
        private = [address for address in addresses if address not in reached][:MAX_ADDRESSES]
        if not reached:
            return [self._private(address) for address in private], []
        notes = [
            f"{name} also has the address {address}, which a public authority cannot reach"
            for address in private
        ]
        wrong: list[tuple[Address, _Wrong]] = []
        good: list[Address] = []
        for address in reached[:MAX_ADDRESSES]:
            try:
                self._address(address)
                good.append(address)
            except _Wrong as error:
                wrong.append((address, error))
            except GetError as error:
                if error.failure is Failure.NO_ROUTE:
                    notes.append(f"{address} could not be checked from here: {error.detail}")
                else:
                    wrong.append((address, self._without_answer(address, error)))
        problems = [
            Problem(error.fault, error.words + _beside(address, good), address)
            for address, error in wrong
        ]
        return problems, notes

    def _private(self, address: Address) -> Problem:
        words = (
            f"{self.challenge.name} has the address {address}, which a public authority cannot"
            " reach: put the public address of this service there, or prove the name by dns-01"
        )
        return Problem(Fault.PRIVATE_ADDRESS, words, address)

    def _address(self, address: Address) -> None:
        """Ask one address. Raises _Wrong, GetError."""
        path = CHALLENGE_PATH + self.challenge.token
        start = Target("http", self.challenge.name, address, self.vantage.http_port, path)
        answer, target = self._follow(start)
        self._judge(answer, target)

    def _follow(self, target: Target) -> tuple[Answer, Target]:
        end = time.monotonic() + self.vantage.seconds
        seen = {target.url}
        answer = self._get(target, end=end)
        for _ in range(MAX_REDIRECTS):
            if answer.status not in FOLLOWED:
                break
            candidates = self._redirected(target, answer.location)
            if candidates[0].url in seen:
                raise _redirect(target, f"to {_shown(candidates[0].url)}, in a circle")
            seen.add(candidates[0].url)
            answer, target = self._first(candidates, end=end)
        if answer.status in FOLLOWED:
            raise _redirect(target, f"more than {MAX_REDIRECTS} times")
        return answer, target

    def _first(self, candidates: Sequence[Target], *, end: float) -> tuple[Answer, Target]:
        """Return what the first target answers that answers at all."""
        *others, last = candidates
        for target in others:
            with suppress(GetError):
                return self._get(target, end=end), target
        try:
            return self._get(last, end=end), last
        except GetError as error:
            if error.failure is Failure.NO_ROUTE:
                raise
            raise _redirect(last, f"to {_shown(last.url)}: {error.detail}") from error

    def _get(self, target: Target, *, end: float) -> Answer:
        return self.get(target, seconds=max(end - time.monotonic(), MIN_SECONDS))

    def _redirected(self, at: Target, location: str | None) -> list[Target]:
        """Return where a redirection leads: one target for each address. Raises _Wrong."""
        to = f"to {_shown(location or '')!r}"
        if not location or len(location) > MAX_LOCATION or not _URL_TEXT.fullmatch(location):
            raise _redirect(at, f"{to}, which is no URL")
        try:
            parts = urlsplit(urljoin(at.url, location))
            port = parts.port
        except ValueError:
            raise _redirect(at, f"{to}, which is no URL") from None
        if parts.scheme not in DEFAULT_PORTS:
            raise _redirect(at, f"{to}; authorities follow to http and https only")
        port = port or self.vantage.port(parts.scheme)
        if port not in {self.vantage.http_port, self.vantage.https_port}:
            raise _redirect(
                at,
                f"{to}; authorities follow to the ports {self.vantage.http_port} and"
                f" {self.vantage.https_port} only",
            )
        host = self._redirected_host(at, parts.hostname or "", to)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if host == at.host:
            return [Target(parts.scheme, host, at.address, port, path)]
        return [
            Target(parts.scheme, host, address, port, path)
            for address in self._redirected_addresses(at, host)
        ]

    def _redirected_host(self, at: Target, host: str, to: str) -> str:
        try:
            ip_address(host)
        except ValueError:
            pass
        else:
            raise _redirect(at, f"{to}; authorities follow to names, not to addresses")
        try:
            return dns_name(host)
        except DnsNameError:
            raise _redirect(at, f"{to}, whose host is no DNS name") from None

    def _redirected_addresses(self, at: Target, host: str) -> list[Address]:
        try:
            found = self.resolver.addresses(host)
        except LookupFailed as error:
            raise _redirect(at, f"to {host}: {error}") from error
        reached = [address for address in found if self.vantage.reaches(address)]
        if not reached:
            raise _redirect(at, f"to {host}, which has no address that the authority can reach")
        return reached[:MAX_ADDRESSES]

    def _judge(self, answer: Answer, target: Target) -> None:
        """Raise _Wrong unless the answer is the one that is expected."""
        expected = self.challenge.key_authorization.encode()
        if answer.status == 200 and answer.body.rstrip() == expected:
            return
        server = f" (Server: {_shown(answer.server)})" if answer.server else ""
        where = f"{target.url.removesuffix(self.challenge.token)} at {target.address}"
        wanted = (
            f"let it forward {CHALLENGE_PATH} to this service, or correct the record if"
            f" {target.address} is another machine"
        )
        if answer.status == 404:
            raise _Wrong(
                Fault.NOT_FOUND,
                f"another web server{server} answers {where} and does not know the challenge (404):"
                f" {wanted}",
            )
        if answer.status != 200:
            raise _Wrong(
                Fault.STATUS,
                f"the web server{server} that answers {where} refuses the challenge (status"
                f" {answer.status}): {wanted}",
            )
        if answer.body.startswith(f"{self.challenge.token}.".encode()):
            raise _Wrong(
                Fault.OTHER_CONTENT,
                f"another ACME client{server} answers {where}, for an account of its own: {wanted}",
            )
        begins = f"its answer begins with {_shown(answer.body.decode('ascii', 'replace'))!r}"
        raise _Wrong(
            Fault.OTHER_CONTENT,
            f"another web server{server} answers {where} with something else"
            f" ({begins if answer.body else 'its answer is empty'}): {wanted}",
        )

    def _without_answer(self, address: Address, error: GetError) -> _Wrong:
        at = f"{address} port {self.vantage.http_port}"
        name = self.challenge.name
        behind = (
            " (behind a router that does not lead its own public address back inside, this check"
            " cannot see what the authority sees: turn it off then)"
        )
        if error.failure is Failure.REFUSED:
            return _Wrong(
                Fault.REFUSED,
                f"{name} at {at} refuses connections: let this service listen on that port, or what"
                f" stands before it forward the port{behind}",
            )
        if error.failure is Failure.TIMEOUT:
            return _Wrong(
                Fault.TIMEOUT,
                f"{name} at {at}: {error.detail}, as a firewall does that drops connections: open"
                f" the port to everybody{behind}",
            )
        if error.failure in {Failure.NOT_HTTP, Failure.CLOSED}:
            return _Wrong(
                Fault.NOT_HTTP,
                f"{name} at {at}: {error.detail}; something else than a web server uses the port:"
                " let it go, and let this service listen there",
            )
        return _Wrong(
            Fault.UNREACHABLE,
            f"{name} at {at} cannot be reached: {error.detail}; correct the record, or the route",
        )


def _redirect(at: Target, where: str) -> _Wrong:
    return _Wrong(
        Fault.REDIRECT,
        f"{at.host} at {at.address} redirects {where}: leave {CHALLENGE_PATH} out of redirections",
    )


def _beside(address: Address, good: Sequence[Address]) -> str:
    """Return what to say of an address that fails while others do as they should."""
    if not good:
        return ""
    if isinstance(address, IPv6Address):
        return (
            f"; {good[0]} answers as it should, but authorities try IPv6 first: let the service"
            " answer there too, or remove the AAAA record"
        )
    return (
        f"; {good[0]} answers as it should, but an authority may take any address: let the service"
        " answer there too, or remove the record"
    )


def _shown(text: str) -> str:
    """Return what may be quoted of a stranger's text."""
    return "".join(each if " " <= each <= "~" else "?" for each in text[:MAX_SHOWN])
