"""`shaken verify`: what the service's verification does, from the command line, told in words.

The same rules, the same guarded fetching, no store: what is fetched is forgotten at the end.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path
from ssl import SSLContext
from typing import Generic, Protocol, TypeVar

import click
from cryptography import x509

from shaken.acceptance import DEFAULT_POLICY, REASONS, Replays, RevocationCheck
from shaken.addresses import Address, FetchSettings
from shaken.cli.offline import READABLE, assembled, pem_of, text_of
from shaken.inbound import LISTS, NAME_SHARE
from shaken.passport import party_of_uri
from shaken.priority import lines_of
from shaken.replay import ReplayMemory, shared_memory
from shaken.signatories import CertificateSource, Signatories
from shaken.verifier import InboundCall, Judged, Outcome, Verifier, VerifierSettings
from shaken.x5u.cache import Bounds, Kept
from shaken.x5u.crls import CrlCache, FetchedCrl
from shaken.x5u.exchange import FetchError
from shaken.x5u.fetch import Fetcher, context_trusting
from shaken.x5u.names import SystemResolver
from shaken.x5u.repository import Fetched, Repository
from sip.identity import pasted_values
from sip.number import NumberError, canonical_number
from sip.uri import UriError
from trust.bundle import installed_bundle
from trust.certificate import Certificate, subject_of

WAIT_SECONDS = 10.0
"""How long is waited for one file; a person has more time than a call."""

Tell = Callable[[str], None]


class PartyType(click.ParamType[str]):
    """A telephone number, a SIP or tel URI or a service's URN, made canonical (RFC 8224 §8)."""

    name = "TN"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it, or end with what is wrong."""
        try:
            if ":" in value:
                return str(party_of_uri(value, country=None))
            return canonical_number(value, country=None)
        except (NumberError, UriError) as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--orig", type=PartyType(), required=True, help="The number the call came from.")
@click.option("--dest", type=PartyType(), required=True, multiple=True, help="The number called.")
@click.option(
    "--target",
    type=PartyType(),
    multiple=True,
    help="Of a diverted call: the number it goes to now.",
)
@click.option(
    "--protected",
    metavar="LINE",
    multiple=True,
    help="A header of the call that a PASSporT vouches for: 'Resource-Priority: ets.0'.",
)
@click.option("--roots", type=READABLE, help="PEM: the STI roots that the chain must lead to.")
@click.option(
    "--certificate", type=READABLE, help="PEM: the signer's chain; left out: it is fetched."
)
@click.option("--tls-roots", type=READABLE, help="PEM: what https servers are trusted by.")
@click.option("--allow-private", is_flag=True, help="Fetch from private addresses, for labs.")
@click.option("--allow-any-port", is_flag=True, help="Fetch from any port, for labs.")
@click.option("--allow-http", is_flag=True, help="Fetch certificates by plain http, for labs.")
@click.option("--allow-query", is_flag=True, help="Fetch from URLs with a query, for labs.")
@click.option(
    "--revocation",
    type=click.Choice([each.value for each in RevocationCheck]),
    help="What is done about revocation lists; left out: soft, with --certificate off.",
)
@click.option("--at", type=int, help="Verify as of this time, Unix seconds; left out: now.")
@click.option("--time", "date", type=int, help="The time of the message's Date, Unix seconds.")
@click.option("--freshness", type=int, default=60, show_default=True, help="Seconds.")
@click.option("--skew", type=int, default=15, show_default=True, help="Seconds.")
@click.option("-v", "--verbose", is_flag=True, help="Tell of every fetch and every check.")
@click.argument("identity", nargs=-1, required=True)
def verify(
    orig: str,
    dest: tuple[str, ...],
    target: tuple[str, ...],
    protected: tuple[str, ...],
    roots: Path | None,
    certificate: Path | None,
    tls_roots: Path | None,
    allow_private: bool,  # noqa: FBT001 - click's way
    allow_any_port: bool,  # noqa: FBT001
    allow_http: bool,  # noqa: FBT001
    allow_query: bool,  # noqa: FBT001
    revocation: str | None,
    at: int | None,
    date: int | None,
    freshness: int,
    skew: int,
    verbose: bool,  # noqa: FBT001
    identity: tuple[str, ...],
) -> None:
    """Verify a call's Identity headers as the service does; exit 0 when one holds, else 1.

    IDENTITY is a header's value, with its name or without, or a file with headers or a whole
    message; `-` reads standard input. The signer's certificate is fetched from the header's info
    URL, or taken from --certificate; it must lead to one of --roots. With --certificate and
    without --roots the certificate is itself what you trust.

    Of a call that was diverted, --dest is the number of its To header and --target that of its
    Request-URI; each diversion is verified, and whether they lead from one to the other.
    """
    chain = None if certificate is None else assembled(pem_of(certificate, None)).certificate
    if chain is None and roots is None:
        raise click.UsageError(
            "give the STI roots that signers are trusted by with --roots FILE; those of a service:"
            " `curl -H 'Authorization: Bearer …' -o FILE {root}/api/v1/roots.pem?purpose=sti`"
        )
    fetching = FetchSettings(
        allow_private=allow_private,
        allow_any_port=allow_any_port,
        allow_http=allow_http,
        allow_query=allow_query,
        seconds=WAIT_SECONDS,
    )
    default = RevocationCheck.SOFT if chain is None else RevocationCheck.OFF
    way = _Way(
        certificate=chain,
        fetching=fetching,
        tls_roots=tls_roots,
        revocation=default if revocation is None else RevocationCheck(revocation),
        settings=VerifierSettings(freshness, skew, Replays.OFF),
        tell=click.echo if verbose else _keep_quiet,
    )
    call = InboundCall(
        headers=_headers(identity),
        orig=orig,
        dest=dest,
        now=int(time.time()) if at is None else at,
        time=date,
        name="",
        target=target,
        protected=lines_of(protected),
    )
    trusted = chain.chain[-1:] if roots is None and chain else _certificates(roots)
    outcome = asyncio.run(_verify(call, trusted, way))
    _show(outcome, verbose=verbose)
    if outcome.best is None or outcome.best.verdict.code is not None:
        raise SystemExit(1)


@dataclass(frozen=True)
class _Way:
    """How to verify: where certificates come from, what holds, and who hears of it."""

    certificate: Certificate | None
    fetching: FetchSettings
    tls_roots: Path | None
    revocation: RevocationCheck
    settings: VerifierSettings
    tell: Tell


async def _verify(call: InboundCall, roots: Sequence[x509.Certificate], way: _Way) -> Outcome:
    async with _sources(way) as (certificates, lists):
        signers = Signatories(
            certificates,
            lists,
            intermediates=None,
            revocation=way.revocation,
            seconds=WAIT_SECONDS,
            clock=time.time,
        )
        verifier = Verifier(signers, ReplayMemory(shared_memory()), way.settings)
        found = verifier.verify(call, DEFAULT_POLICY, roots=roots)
        return found if isinstance(found, Outcome) else await found()


@asynccontextmanager
async def _sources(way: _Way) -> AsyncIterator[tuple[CertificateSource, "_Told[FetchedCrl]"]]:
    """Run what fetches, as a worker of the service does (`shaken.inbound`)."""
    resolver = SystemResolver(seconds=WAIT_SECONDS * NAME_SHARE)
    fetcher = Fetcher(
        way.fetching,
        tls=cache(lambda: _tls(way.tls_roots)),
        resolve=_telling(resolver, way.tell),
        agent="shaken-verify",
    )
    policy = way.fetching.policy()
    certificates = Repository(
        fetcher.fetch,
        policy=policy,
        shelf=None,
        local=None,
        on_alarm=lambda url, words: click.echo(f"ALARM: {url}: {words}", err=True),
        bounds=Bounds(files=LISTS, stale_seconds=0),
        clock=time.time,
        random=lambda: 0.0,
    )
    lists = CrlCache(
        fetcher.fetch,
        policy=policy,
        shelf=None,
        bounds=Bounds(files=LISTS, stale_seconds=0),
        clock=time.time,
        random=lambda: 0.0,
    )
    await fetcher.start()
    try:
        told = _Told(certificates, way.tell, _chain_words)
        yield (
            told if way.certificate is None else _AtHand(way.certificate),
            _Told(lists, way.tell, _list_words),
        )
    finally:
        await certificates.close()
        await lists.close()
        await fetcher.close()


K = TypeVar("K", bound=Kept)
K_co = TypeVar("K_co", bound=Kept, covariant=True)


class _Source(Protocol[K_co]):
    async def get(self, url: str, *, now: float) -> K_co: ...


class _Told(Generic[K]):
    """A source of files that tells of what it fetches."""

    def __init__(self, source: _Source[K], tell: Tell, words: Callable[[K], str]) -> None:
        """Take the source, who hears of it, and what is to be said of a file."""
        self._source = source
        self._tell = tell
        self._words = words

    def peek(self, url: str, *, now: float) -> K | None:  # noqa: ARG002 (as sources have it)
        """Return nothing, so that whoever wants a file waits, and all of it is told."""
        return None

    async def get(self, url: str, *, now: float) -> K:
        """Return what is at hand or fetched. Raises FetchError."""
        self._tell(f"fetch  {url}")
        try:
            kept = await self._source.get(url, now=now)
        except FetchError as error:
            self._tell(f"fetch  {url}: {error.detail}")
            raise
        self._tell(f"fetch  {url}: {self._words(kept)}")
        return kept


class _AtHand:
    """The certificate of a file, whatever URL a header names."""

    def __init__(self, certificate: Certificate) -> None:
        """Take the certificate."""
        self._certificate = certificate

    def peek(self, url: str, *, now: float) -> Fetched:
        """Return the certificate."""
        return Fetched(
            url=url,
            fetched_at=now,
            expires_at=inf,
            size=0,
            certificate=self._certificate,
        )

    async def get(self, url: str, *, now: float) -> Fetched:
        """Return the certificate."""
        return self.peek(url, now=now)


def _telling(resolver: SystemResolver, tell: Tell) -> Callable[[str], Awaitable[Sequence[Address]]]:
    async def resolve(host: str) -> Sequence[Address]:
        found = await resolver(host)
        tell(f"fetch  {host} is at {', '.join(map(str, found)) or 'no address'}")
        return found

    return resolve


def _chain_words(fetched: Fetched) -> str:
    subjects = "; ".join(map(subject_of, fetched.chain))
    seconds = fetched.expires_at - fetched.fetched_at
    return f"certificates of {subjects}; to be kept for {seconds:.0f} s"


def _list_words(fetched: FetchedCrl) -> str:
    index = fetched.index
    return (
        f"a revocation list, {len(index.crl)} revoked, the next is due on"
        f" {index.next_update:%Y-%m-%d %H:%M} UTC"
    )


def _keep_quiet(_: str) -> None:
    """Say nothing."""


def _headers(arguments: Sequence[str]) -> tuple[str, ...]:
    """Read the headers of arguments."""
    return tuple(value for each in arguments for value in pasted_values(text_of(each)))


def _certificates(file: Path | None) -> Sequence[x509.Certificate]:
    return () if file is None else pem_of(file, None).certificates


def _tls(file: Path | None) -> SSLContext:
    """Trust the roots of a file, or those that certifi ships."""
    if file is None:
        return context_trusting("".join(root.pem for root in installed_bundle().roots()))
    return context_trusting(Certificate(pem_of(file, None).certificates).pem())


def _show(outcome: Outcome, *, verbose: bool) -> None:
    decision = outcome.decision
    if verbose:
        for number, judged in enumerate(outcome.judged, start=1):
            if len(outcome.judged) > 1:
                click.echo(f"PASSporT {number} of {len(outcome.judged)}, {judged.ppt}")
            _show_steps(judged)
    if outcome.best is None and decision.code is None:
        click.echo("No-TN-Validation: there is no Identity header for a shaken PASSporT")
        return
    if decision.code is None:
        click.echo(decision.verstat.value)
        return
    if not verbose or outcome.best is None:
        click.echo(f"FAILED {decision.words}")
    click.echo(f"{decision.verstat.value}: {decision.code} {REASONS[decision.code]}")


def _show_steps(judged: Judged) -> None:
    for step in judged.verdict.steps:
        click.echo(f"{'ok    ' if step.code is None else 'FAILED'} {step.words}")
