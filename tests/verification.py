"""Calls that come in: headers signed by an independent JOSE library, and sources of certificates
and revocation lists whose answers a test lays down."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from shaken.acceptance import DEFAULT_POLICY, Replays, RevocationCheck, VerificationPolicy
from shaken.replay import ReplayMemory
from shaken.signatories import Signatories
from shaken.verification import (
    SHAKEN,
    Expectation,
    Signatory,
    Unfit,
    Verdict,
    judge_in_stages,
    open_header,
    signed_at,
)
from shaken.verifier import InboundCall, Outcome, Verifier, VerifierSettings
from shaken.x5u.crls import FetchedCrl
from shaken.x5u.exchange import FetchError
from shaken.x5u.repository import Fetched
from sip.identity import Identity
from sip.stages import at_once
from trust.authority import Issued
from trust.certificate import Certificate
from trust.crl import CrlIndex
from trust.sti_path import StiRefused, judge_path

X5U = "https://sti.example.com/a.pem"
ORIG, DEST = "12155550100", "12155559999"
ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"
SECONDS = 0.25
"""How long a call waits in these tests for what never comes."""


def at(seconds: int) -> datetime:
    """Show Unix seconds as a moment."""
    return datetime.fromtimestamp(seconds, UTC)


def token(
    key: ec.EllipticCurvePrivateKey,
    iat: object,
    *,
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Sign a PASSporT; a claim or member of the header that is None is left out."""
    made = {
        "attest": "A",
        "dest": {"tn": [DEST]},
        "iat": iat,
        "orig": {"tn": ORIG},
        "origid": ORIGID,
        **claims,
    }
    headers = {"typ": "passport", "ppt": "shaken", "x5u": X5U, **(header or {})}
    return jwt.encode(
        {name: value for name, value in made.items() if value is not None},
        key,
        algorithm="ES256",
        headers={name: value for name, value in headers.items() if value is not None},
    )


def token_of_json(key: ec.EllipticCurvePrivateKey, header: str, claims: str) -> str:
    """Sign JSON as it is written."""
    signed = ".".join(_base64url(part.encode()) for part in (header, claims))
    return f"{signed}.{_base64url(ECAlgorithm(ECAlgorithm.SHA256).sign(signed.encode(), key))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def identity(
    issued: Issued,
    iat: object,
    *,
    x5u: str = X5U,
    parameters: str = ";alg=ES256;ppt=shaken",
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Sign a call and return the value of its Identity header."""
    signed = token(issued.private_key, iat, header={"x5u": x5u, **(header or {})}, **claims)
    return f"{signed};info=<{x5u}>{parameters}"


@dataclass
class Files:
    """A `CertificateSource`: what is at hand, what comes when it is asked for, and what does not.

    A URL in `silent` never answers; `asked` has the URLs that were waited for.
    """

    at_hand: dict[str, Fetched] = field(default_factory=dict)
    elsewhere: dict[str, Fetched | FetchError] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def peek(self, url: str, *, now: float) -> Fetched | None:
        """Return what is at hand."""
        assert now
        return self.at_hand.get(url)

    async def get(self, url: str, *, now: float) -> Fetched:
        """Fetch."""
        assert now
        self.asked.append(url)
        await asyncio.sleep(0)
        if url in self.silent:
            await asyncio.Event().wait()
        found = self.elsewhere[url]
        if isinstance(found, FetchError):
            raise found
        self.at_hand[url] = found
        return found


@dataclass
class Lists:
    """A `CrlSource`, likewise; a list stands for being at hand."""

    held: dict[str, FetchedCrl | FetchError] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def get(self, url: str, *, now: float) -> FetchedCrl:
        """Return a list."""
        assert now
        self.asked.append(url)
        if url in self.silent:
            await asyncio.Event().wait()
        found = self.held[url]
        if isinstance(found, FetchError):
            raise found
        return found


def fetched(certificate: Certificate, *, url: str = X5U, stale: bool = False) -> Fetched:
    """Return a certificate as a repository's file."""
    return Fetched(
        url=url,
        fetched_at=0,
        expires_at=2**40,
        size=1000,
        stale=stale,
        certificate=certificate,
    )


def fetched_crl(der: bytes, *, url: str, expires_at: float) -> FetchedCrl:
    """Return a revocation list as a distribution point's file."""
    index = CrlIndex.read(der)
    return FetchedCrl(url=url, fetched_at=0, expires_at=expires_at, size=len(der), index=index)


class Desk:
    """A verifier whose sources a test fills, at a time that stands still until it is set."""

    def __init__(
        self,
        now: int,
        roots: Sequence[x509.Certificate],
        *,
        revocation: RevocationCheck = RevocationCheck.SOFT,
        replays: Replays = Replays.REPORT,
    ) -> None:
        """Trust the roots, have nothing at hand."""
        self.now = now
        self.roots = tuple(roots)
        self.files = Files()
        self.lists = Lists()
        self.signers = Signatories(
            self.files,
            self.lists,
            intermediates=None,
            revocation=revocation,
            seconds=SECONDS,
            clock=lambda: float(self.now),
        )
        memory = ReplayMemory(bytearray(32 * 8 * 64))
        usual = VerifierSettings(freshness=60, skew=15, replays=replays)
        self.verifier = Verifier(self.signers, memory, usual)

    def publish(self, issued: Issued, url: str = X5U, *, stale: bool = False) -> None:
        """Have a certificate at hand."""
        self.files.at_hand[url] = fetched(issued.certificate, url=url, stale=stale)

    def call(self, *headers: str, **changes: Any) -> InboundCall:
        """Return the call of these headers."""
        made: dict[str, Any] = {
            "headers": headers,
            "orig": ORIG,
            "dest": (DEST,),
            "now": self.now,
            "time": None,
            "name": "call 1",
            **changes,
        }
        return InboundCall(**made)

    def at_once(
        self, *headers: str, policy: VerificationPolicy = DEFAULT_POLICY, **changes: Any
    ) -> Outcome:
        """Verify a call that need not wait."""
        outcome = self.verifier.verify(self.call(*headers, **changes), policy, roots=self.roots)
        assert isinstance(outcome, Outcome)
        return outcome

    async def verify(
        self, *headers: str, policy: VerificationPolicy = DEFAULT_POLICY, **changes: Any
    ) -> Outcome:
        """Verify a call, and wait if need be."""
        outcome = self.verifier.verify(self.call(*headers, **changes), policy, roots=self.roots)
        return outcome if isinstance(outcome, Outcome) else await outcome()


def verify(
    identity: Identity,
    expectation: Expectation,
    *,
    certificate: Certificate,
    roots: Sequence[x509.Certificate] | None,
) -> Verdict:
    """Check a header against a call with the signer's certificate at hand.

    `roots` None: the certificate itself, with its chain, is what the caller trusts.
    """
    opened = open_header(identity, SHAKEN)
    if opened.passport is None:
        return Verdict(opened.steps)
    signer: Signatory
    try:
        signer = judge_path(
            certificate,
            roots=certificate.chain[-1:] if roots is None else roots,
            at=at(signed_at(opened.passport, now=expectation.now)),
        )
    except StiRefused as refused:
        signer = Unfit(437, refused.detail)
    return at_once(judge_in_stages(opened, signer, expectation))
