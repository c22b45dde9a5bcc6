"""Certificates with several distribution points: one list that tells all is enough."""

import asyncio
from collections.abc import Sequence

import pytest
from cryptography import x509

from shaken.acceptance import RevocationCheck
from shaken.signatories import RETRY_SECONDS, FoundSigner
from shaken.verification import Unfit
from shaken.x5u.exchange import FetchError, Reason
from tests.lab_crl import issue_crl
from tests.verification import SECONDS, X5U, Desk, at, fetched_crl
from trust.authority import Authority, Issued
from trust.sti_path import JudgedPath

FIRST, SECOND = "https://crl.example.com/first.crl", "https://crl.example.com/second.crl"
POLICIES = [RevocationCheck.SOFT, RevocationCheck.HARD]


def point_at(
    url: str, *, reasons: frozenset[x509.ReasonFlags] | None = None
) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, reasons, None)


def issue(ca: Authority, now: int, points: Sequence[x509.DistributionPoint]) -> Issued:
    """Issue a provider's certificate with these points."""
    issued = ca.issue_sti(spc="1234", now=at(now))
    leaf = issued.certificate.leaf
    kept = [
        (each.value, each.critical)
        for each in leaf.extensions
        if not isinstance(each.value, x509.SubjectKeyIdentifier | x509.AuthorityKeyIdentifier)
    ]
    remade = ca._issue(
        leaf.subject,
        issued.private_key.public_key(),
        (leaf.not_valid_before_utc, leaf.not_valid_after_utc),
        [*kept, (x509.CRLDistributionPoints(points), False)],
    )
    return Issued(ca._chain(remade), issued.key)


class Mirrors:
    """A verifier that has a certificate with two points at hand, whose lists a test lays down."""

    def __init__(
        self, ca: Authority, issued: Issued, now: int, revocation: RevocationCheck
    ) -> None:
        self.desk = Desk(now, [ca.root], revocation=revocation)
        self.desk.publish(issued)
        self._ca = ca
        self._leaf = issued.certificate.leaf

    def hold(self, url: str, what: str) -> None:
        """Have a point `sparing`, `revoking`, `down` or `silent`."""
        lists, now = self.desk.lists, self.desk.now
        lists.silent.discard(url)
        if what == "silent":
            lists.silent.add(url)
        elif what == "down":
            lists.held[url] = FetchError(Reason.CONNECTION, "nobody is there")
        else:
            der = issue_crl(self._ca, [self._leaf] * (what == "revoking"), now=at(now))
            lists.held[url] = fetched_crl(der, url=url, expires_at=now + 600)

    async def find(self) -> FoundSigner:
        """Find the signer, and wait if need be."""
        found = self.desk.signers.find(X5U, self.desk.roots, at=self.desk.now)
        return found if isinstance(found, FoundSigner) else await found()


@pytest.fixture(scope="module")
def issued(lab_ca: Authority, now: int) -> Issued:
    return issue(lab_ca, now, [point_at(FIRST), point_at(SECOND)])


@pytest.fixture(params=POLICIES)
def mirrors(lab_ca: Authority, issued: Issued, now: int, request: pytest.FixtureRequest) -> Mirrors:
    return Mirrors(lab_ca, issued, now, request.param)


@pytest.mark.parametrize("dead", ["down", "silent"])
@pytest.mark.parametrize(("had", "lost"), [(FIRST, SECOND), (SECOND, FIRST)])
async def test_one_list_that_was_had_is_enough_and_no_other_is_waited_for(
    mirrors: Mirrors, had: str, lost: str, dead: str
) -> None:
    mirrors.hold(had, "sparing")
    mirrors.hold(lost, dead)
    loop = asyncio.get_running_loop()
    started = loop.time()

    found = await mirrors.find()

    assert isinstance(found.signer, JudgedPath)
    assert found.unchecked is None
    assert loop.time() - started < SECONDS


@pytest.mark.parametrize("other", ["sparing", "down", "silent"])
@pytest.mark.parametrize(("revoking", "beside"), [(FIRST, SECOND), (SECOND, FIRST)])
async def test_a_list_that_revokes_is_believed_whichever_point_it_is_of(
    mirrors: Mirrors, revoking: str, beside: str, other: str
) -> None:
    mirrors.hold(revoking, "revoking")
    mirrors.hold(beside, other)

    found = await mirrors.find()

    assert isinstance(found.signer, Unfit)
    assert "was revoked on 2026-06-01" in found.signer.detail


async def test_a_list_that_was_not_waited_for_is_looked_into_soon_after(
    mirrors: Mirrors,
) -> None:
    mirrors.hold(FIRST, "sparing")
    mirrors.hold(SECOND, "silent")
    assert isinstance((await mirrors.find()).signer, JudgedPath)

    mirrors.hold(SECOND, "revoking")
    mirrors.desk.now += 2 * RETRY_SECONDS

    assert isinstance((await mirrors.find()).signer, Unfit)


async def test_where_no_list_was_had_policy_decides(mirrors: Mirrors) -> None:
    mirrors.hold(FIRST, "down")
    mirrors.hold(SECOND, "silent")

    found = await mirrors.find()

    told = found.signer.detail if isinstance(found.signer, Unfit) else str(found.unchecked)
    assert f"{FIRST}: nobody is there; {SECOND} did not answer in time" in told


async def test_the_list_of_one_certificate_is_not_enough_for_another(
    lab_ca: Authority, now: int
) -> None:
    above = lab_ca.intermediate("Listed STI-CA", now=at(now), crl_url=SECOND)
    below = issue(above, now, [point_at(FIRST)])
    mirrors = Mirrors(above, below, now, RevocationCheck.HARD)
    mirrors.desk.roots = (lab_ca.root,)
    mirrors.hold(FIRST, "sparing")
    mirrors.hold(SECOND, "down")

    found = await mirrors.find()

    assert isinstance(found.signer, Unfit)
    assert SECOND in found.signer.detail


@pytest.mark.parametrize("other", ["sparing", "down"])
async def test_points_of_some_reasons_are_all_needed(
    lab_ca: Authority, now: int, other: str
) -> None:
    stolen = frozenset({x509.ReasonFlags.key_compromise})
    ended = frozenset({x509.ReasonFlags.cessation_of_operation})
    points = [point_at(FIRST, reasons=stolen), point_at(SECOND, reasons=ended)]
    mirrors = Mirrors(lab_ca, issue(lab_ca, now, points), now, RevocationCheck.HARD)
    mirrors.hold(FIRST, "sparing")
    mirrors.hold(SECOND, other)

    found = await mirrors.find()

    assert isinstance(found.signer, JudgedPath if other == "sparing" else Unfit)
