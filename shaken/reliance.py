"""What relies on the trusted roots of a purpose: own chains, and signers that were fetched.

As far as the store can say: TLS servers show their chains to who calls them, and leave none here.
Chains that differ in their leaf only are judged by one of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from shaken.snapshot import Snapshot
from shaken.store.fetched import FetchedRow, newest_fetched
from shaken.store.tables import fetched_certificates
from trust.certificate import Certificate, CertificateKind, above_leaf
from trust.roots import Purpose, Root
from trust.standing import Standing
from trust.store import certificates as stored
from trust.store.certificates import StoredCertificate

MAX_SIGNERS = 1000
"""Fetched chains that are looked at, the newest: one takes some 100 µs."""


@dataclass(frozen=True)
class FetchedSigner:
    """Who signed calls that came in: the subject of the certificate, and where it was fetched."""

    subject: str
    url: str


@dataclass(frozen=True)
class Reliance:
    """What leads to trusted roots, and would lead to none any more.

    `looked_at_all` False: there are more certificates or fetched signers than were looked at.
    """

    certificates: tuple[StoredCertificate, ...] = ()
    signers: tuple[FetchedSigner, ...] = ()
    looked_at_all: bool = True

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.certificates or self.signers)


def without(snapshot: Snapshot, gone: Iterable[Root]) -> tuple[Root, ...]:
    """Return all roots as they are when some are not trusted."""
    ids = {(root.purpose, root.id) for root in gone}
    return tuple(
        replace(root, disabled=True) if (root.purpose, root.id) in ids else root
        for root in snapshot.root_rows.rows.values()
    )


def reliance(
    connection: Connection,
    snapshot: Snapshot,
    *,
    purpose: Purpose,
    after: Iterable[Root],
    scope: str | None,
    now: int,
    most: int | None = None,
) -> Reliance:
    """Find what leads to a root of the snapshot, and to none of the roots `after`.

    `scope` is the one tenant whose certificates are looked at; None: all, and fetched signers.
    `now` is Unix seconds: what has expired relies on nothing. `most`: so many own certificates are
    looked at, those that came last; 10,000 take some half a second.
    """
    judge = _Judge(snapshot.standing, Standing(after), purpose)
    if not judge.takes_something:
        return Reliance()
    rows = sorted(_own(snapshot, purpose, scope, now=now), key=lambda row: -row.sequence)
    chains = stored.chains_pem(connection, [row.id for row in rows[:most]])
    own = tuple(
        row
        for row in rows[:most]
        if row.id in chains and judge.misses(chains[row.id], row.issuer, max(now, row.not_before))
    )
    saw_all = most is None or len(rows) <= most
    if purpose is not Purpose.STI or scope is not None:
        return Reliance(own, looked_at_all=saw_all)
    fetched = newest_fetched(connection, fetched_certificates, limit=MAX_SIGNERS + 1)
    signers = tuple(_signers(fetched[:MAX_SIGNERS], judge, now=now))
    return Reliance(own, signers, looked_at_all=saw_all and len(fetched) <= MAX_SIGNERS)


def _own(
    snapshot: Snapshot, purpose: Purpose, scope: str | None, *, now: int
) -> Iterator[StoredCertificate]:
    for row in snapshot.certificates.values():
        is_of_purpose = (row.kind is CertificateKind.STI) is (purpose is Purpose.STI)
        if is_of_purpose and row.not_after >= now and scope in {None, row.tenant}:
            yield row


def _signers(
    fetched: Iterable[FetchedRow], judge: "_Judge", *, now: int
) -> Iterator[FetchedSigner]:
    for row in fetched:
        chain = Certificate.of_pem(row.content)
        starts, ends = (int(each.timestamp()) for each in (chain.not_before, chain.not_after))
        if ends >= now and judge.misses(row.content, chain.issuer, max(now, starts)):
            yield FetchedSigner(chain.subject, row.url)


class _Judge:
    """Says of chains whether they lose their root; remembers what it said."""

    def __init__(self, before: Standing, after: Standing, purpose: Purpose) -> None:
        self._before = before
        self._after = after
        self._purpose = purpose
        self._said: dict[tuple[str, str, int], bool] = {}

    @property
    def takes_something(self) -> bool:
        """Whether any root is trusted before and not after."""
        before, after = (each.certificates(self._purpose) for each in (self._before, self._after))
        return not {*before} <= {*after}

    def misses(self, chain_pem: str, issuer: str, at: int) -> bool:
        """Say it of a chain (PEM, leaf first) whose leaf has this issuer, as of Unix seconds."""
        key = (issuer, above_leaf(chain_pem), at)
        if key not in self._said:
            trusted, stays = (
                not standing.findings(chain_pem, self._purpose, now=at)
                for standing in (self._before, self._after)
            )
            self._said[key] = trusted and not stays
        return self._said[key]
