"""Who signs with the certificate at a URL: what is judged once, and what is asked for again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

import shaken.judgements
import shaken.signatories
from shaken.acceptance import RevocationCheck
from shaken.addresses import UrlPolicy
from shaken.signatories import (
    GRACE_SECONDS,
    MAX_WARNINGS,
    RECHECK_SECONDS,
    RETRY_SECONDS,
    WARNING_SECONDS,
    FoundSigner,
)
from shaken.verification import Unfit
from shaken.x5u.cache import Bounds
from shaken.x5u.crls import FetchedCrl
from shaken.x5u.exchange import FetchError, Reason, Request, Response
from shaken.x5u.repository import Repository
from tests.lab_crl import issue_crl, issue_indirect_crl
from tests.verification import SECONDS, X5U, Desk, at, fetched, fetched_crl, identity
from trust.authority import Authority, Issued
from trust.certificate import Certificate
from trust.sti_path import JudgedPath, judge_path

CRL, SECOND_CRL = "https://crl.example.com/list.crl", "https://crl.example.com/second.crl"


@pytest.fixture(scope="module")
def issued(lab_ca: Authority, now: int) -> Issued:
    """A provider's certificate, with no revocation list."""
    return lab_ca.issue_sti(spc="1234", now=at(now))


@pytest.fixture(scope="module")
def listed(lab_ca: Authority, now: int) -> Issued:
    """A certificate that names the list it is on once it is revoked."""
    return lab_ca.issue_sti(
        spc="1234", now=at(now), crl_url=CRL, crl_issuer=lab_ca.certificate.subject
    )


@pytest.fixture
def desk(lab_ca: Authority, now: int) -> Desk:
    """A verifier that has nothing at hand."""
    return Desk(now, [lab_ca.root])


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Certificate]:
    """Show which certificates were judged."""
    judged: list[Certificate] = []

    def count(certificate: Certificate, **settings: Any) -> JudgedPath:
        judged.append(certificate)
        return judge_path(certificate, **settings)

    monkeypatch.setattr(shaken.signatories, "judge_path", count)
    return judged


def known(desk: Desk, *, iat: int | None = None) -> FoundSigner:
    """Find a signer that is known without waiting."""
    moment = desk.now if iat is None else iat
    found = desk.signers.find(X5U, desk.roots, at=moment)
    assert isinstance(found, FoundSigner)
    return found


async def find(desk: Desk, *, iat: int | None = None) -> FoundSigner:
    """Find a signer, and wait if need be."""
    moment = desk.now if iat is None else iat
    found = desk.signers.find(X5U, desk.roots, at=moment)
    return found if isinstance(found, FoundSigner) else await found()


def is_good(found: FoundSigner) -> bool:
    return isinstance(found.signer, JudgedPath)


def why(found: FoundSigner) -> str:
    assert isinstance(found.signer, Unfit)
    return f"{found.signer.code} {found.signer.detail}"


# At hand


def test_a_certificate_at_hand_is_judged_without_waiting(
    desk: Desk, issued: Issued, judged: list[Certificate]
) -> None:
    desk.publish(issued)

    first, second = known(desk), known(desk)

    assert is_good(first)
    assert second.signer is first.signer
    assert judged == [issued.certificate]
    assert (desk.files.asked, desk.lists.asked) == ([], [])


def test_lists_that_nobody_wants_are_not_asked(lab_ca: Authority, listed: Issued, now: int) -> None:
    desk = Desk(now, [lab_ca.root], revocation=RevocationCheck.OFF)
    desk.publish(listed)

    assert is_good(known(desk))
    assert desk.lists.asked == []


async def test_once_a_list_was_asked_no_call_waits(
    desk: Desk, lab_ca: Authority, listed: Issued
) -> None:
    der = issue_crl(lab_ca, [], now=at(desk.now))
    desk.lists.held[CRL] = fetched_crl(der, url=CRL, expires_at=desk.now + 600)
    desk.publish(listed)

    assert is_good(await find(desk))
    assert is_good(known(desk))
    assert desk.lists.asked == [CRL]


Change = Callable[[Desk, Issued], object]

CHANGES: dict[str, Change] = {
    "another file": lambda desk, issued: desk.publish(
        Issued(Certificate(issued.certificate.chain), issued.key)
    ),
    "other roots": lambda desk, _: setattr(desk, "roots", (*desk.roots, desk.roots[0])),
    "time": lambda desk, _: setattr(desk, "now", desk.now + RECHECK_SECONDS),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_was_judged_is_judged_anew_when_something_changed(
    desk: Desk, issued: Issued, judged: list[Certificate], case: str
) -> None:
    desk.publish(issued)
    known(desk)

    CHANGES[case](desk, issued)

    assert is_good(known(desk))
    assert len(judged) == 2


def test_an_old_copy_of_the_same_file_is_not_judged_anew(
    desk: Desk, issued: Issued, judged: list[Certificate]
) -> None:
    desk.publish(issued)
    known(desk)

    desk.publish(issued, stale=True)

    assert known(desk).stale
    assert len(judged) == 1


def test_an_iat_outside_the_path_is_judged_anew_and_leaves_others_alone(
    desk: Desk, issued: Issued, judged: list[Certificate]
) -> None:
    desk.publish(issued)
    good = known(desk)

    assert "certificate is not yet valid" in why(known(desk, iat=0))
    assert "certificate has expired" in why(known(desk, iat=desk.now + 10**9))

    assert known(desk).signer is good.signer
    assert len(judged) == 3


@pytest.mark.parametrize("iat", ["long ago", "in the far future", "just out of it"])
def test_an_iat_of_another_time_is_judged_once_and_not_each_time(
    desk: Desk, issued: Issued, judged: list[Certificate], iat: str
) -> None:
    desk.publish(issued)
    leaf = issued.certificate.leaf
    moment = {
        "long ago": 0,
        "in the far future": desk.now + 10**9,
        "just out of it": int(leaf.not_valid_before_utc.timestamp()) - 1,
    }[iat]

    words = {why(known(desk, iat=moment + number)) for number in (0, 0, 0)}

    assert len(words) == 1
    assert len(judged) == 1
    desk.now += RETRY_SECONDS
    why(known(desk, iat=moment))
    assert len(judged) == 2


def test_who_sends_an_iat_of_another_time_does_not_decide_about_others(
    desk: Desk, lab_ca: Authority, judged: list[Certificate]
) -> None:
    """Of a moment before the certificate, of its last second, and of the one after."""
    issued = lab_ca.issue_sti(spc="1234", now=at(desk.now), lifetime=timedelta(hours=1))
    desk.publish(issued)
    leaf = issued.certificate.leaf
    begin, end = (
        int(each.timestamp()) for each in (leaf.not_valid_before_utc, leaf.not_valid_after_utc)
    )
    expected = {begin - 1: False, begin: True, end - 1: True, end + 1: False, desk.now: True}

    for order in (sorted(expected), sorted(expected, reverse=True)):
        for _ in range(2):
            assert {each: is_good(known(desk, iat=each)) for each in order} == expected

    assert len(judged) == 3


def test_roots_have_a_time_of_their_own(
    lab_ca: Authority, issued: Issued, now: int, judged: list[Certificate]
) -> None:
    """A root that expired before the certificate does makes another judgement."""
    young = Authority.create("Another root", now=at(now), lifetime=timedelta(minutes=1))
    desk = Desk(now, [lab_ca.root, young.root])
    desk.publish(issued)

    assert is_good(known(desk))
    assert is_good(known(desk, iat=now + 3600))
    assert is_good(known(desk, iat=now + 7200))
    assert len(judged) == 2


def test_only_so_many_judgements_of_one_certificate_are_kept(
    desk: Desk, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shaken.judgements, "MAX_PERIODS", 2)
    desk.publish(issued)
    for moment in (0, desk.now, desk.now + 10**9, 0, desk.now):
        known(desk, iat=moment)
        assert len(desk.signers._judgements._judged[X5U].by_period) <= 2


def test_a_refusal_is_kept_for_a_while(
    desk: Desk, issued: Issued, judged: list[Certificate]
) -> None:
    desk.publish(Issued(Certificate((issued.certificate.leaf,)), issued.key))

    assert "unable to get local issuer" in why(known(desk))
    known(desk)
    assert len(judged) == 1

    desk.now += RETRY_SECONDS
    known(desk)
    assert len(judged) == 2


def test_a_certificate_that_expired_is_good_for_the_calls_before(
    desk: Desk, lab_ca: Authority
) -> None:
    expired = lab_ca.issue_sti(spc="1234", now=at(desk.now), lifetime=timedelta(seconds=-30))
    desk.publish(expired)

    assert [is_good(known(desk, iat=desk.now - age)) for age in (0, 31, 0, 60)] == [
        False,
        True,
        False,
        True,
    ]


def test_no_more_is_kept_than_there_is_room_for(
    desk: Desk, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shaken.judgements, "MAX_KEPT", 3)
    for number in range(10):
        url = f"https://sti.example.com/{number}.pem"
        desk.publish(issued, url)
        assert isinstance(desk.signers.find(url, desk.roots, at=desk.now), FoundSigner)

        assert len(desk.signers._judgements._judged) <= 3


# Fetched


async def test_a_certificate_that_is_not_at_hand_is_waited_for(desk: Desk, issued: Issued) -> None:
    desk.files.elsewhere[X5U] = fetched(issued.certificate)

    assert is_good(await find(desk))
    assert is_good(known(desk))
    assert desk.files.asked == [X5U]


async def test_a_list_is_asked_of_a_certificate_that_was_fetched(
    desk: Desk, lab_ca: Authority, listed: Issued
) -> None:
    der = issue_crl(lab_ca, [listed.certificate.leaf], now=at(desk.now))
    desk.lists.held[CRL] = fetched_crl(der, url=CRL, expires_at=desk.now + 600)
    desk.files.elsewhere[X5U] = fetched(listed.certificate)

    assert "was revoked" in why(await find(desk))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (FetchError(Reason.TLS, "nobody knows its certificate"), "cannot be had: nobody knows"),
        (None, f"the certificate did not come within {SECONDS:g} s"),
    ],
)
async def test_what_cannot_be_had_is_not_kept(
    desk: Desk, issued: Issued, broken: FetchError | None, words: str
) -> None:
    if broken is None:
        desk.files.silent.add(X5U)
    else:
        desk.files.elsewhere[X5U] = broken

    found = why(await find(desk))
    assert found.startswith("436 ")
    assert words in found

    desk.files.silent.clear()
    desk.files.elsewhere[X5U] = fetched(issued.certificate)
    assert is_good(await find(desk))


async def test_what_waits_may_be_left_without_a_trace(desk: Desk, listed: Issued) -> None:
    """A coroutine that is made and not awaited would be warned of, which is an error here."""
    assert callable(desk.signers.find(X5U, desk.roots, at=desk.now))
    desk.publish(listed)
    assert callable(desk.signers.find(X5U, desk.roots, at=desk.now))


async def test_calls_of_one_signer_share_one_fetch(
    lab_ca: Authority, issued: Issued, now: int
) -> None:
    asked: list[str] = []
    begun, gate = asyncio.Event(), asyncio.Event()

    async def fetch(request: Request) -> Response:
        asked.append(request.url)
        begun.set()
        await gate.wait()
        return Response(issued.chain_pem.encode(), {"cache-control": "max-age=3600"})

    desk = Desk(now, [lab_ca.root])
    desk.signers._certificates = Repository(
        fetch,
        policy=UrlPolicy(),
        shelf=None,
        local=None,
        on_alarm=lambda *_: None,
        bounds=Bounds(files=10, stale_seconds=0),
        clock=lambda: float(now),
        random=lambda: 0.5,
    )
    calls = [asyncio.create_task(find(desk)) for _ in range(20)]
    await asyncio.wait_for(begun.wait(), timeout=10)
    gate.set()

    assert all(is_good(found) for found in await asyncio.gather(*calls))
    assert asked == [X5U]
    assert is_good(known(desk))


# Revocation lists


def lists_by(name: str, ca: Authority, leaf: x509.Certificate, now: int) -> Any:
    """Return what a distribution point holds, by a name."""
    good = issue_crl(ca, [], now=at(now))
    stranger = Authority.create("Lab STI-CA", now=at(now))
    ders = {
        "sparing": good,
        "revoking": issue_crl(ca, [leaf], now=at(now)),
        "late": issue_crl(ca, [], now=at(now - 90_000)),
        "an impostor's": issue_crl(stranger, [], now=at(now)),
    }
    if name in ders:
        return fetched_crl(ders[name], url=CRL, expires_at=now + 600)
    return FetchError(Reason.CONNECTION, "nobody is there")


@pytest.mark.parametrize("revocation", RevocationCheck)
@pytest.mark.parametrize("name", ["sparing", "revoking", "late", "an impostor's", "none", "silent"])
async def test_a_list_counts_by_policy(
    lab_ca: Authority, listed: Issued, now: int, *, revocation: RevocationCheck, name: str
) -> None:
    desk = Desk(now, [lab_ca.root], revocation=revocation)
    desk.publish(listed)
    desk.lists.held[CRL] = lists_by(name, lab_ca, listed.certificate.leaf, now)
    if name == "silent":
        desk.lists.silent.add(CRL)

    found = await find(desk)

    match revocation, name:
        case (RevocationCheck.OFF, _) | (_, "sparing"):
            assert is_good(found)
        case _, "revoking":
            assert "was revoked on 2026-06-01" in why(found)
        case RevocationCheck.SOFT, _:
            assert is_good(found)
        case _:
            assert why(found).startswith("437 Whether it is revoked cannot be found out: ")
            assert CRL in why(found)


@pytest.mark.parametrize(
    ("url", "told"), [("ldap://crl.example.net/", "has no URL that is fetched from"), (None, "")]
)
async def test_where_lists_are_needed_only_a_certificate_that_names_none_goes_without(
    lab_ca: Authority, now: int, *, url: str | None, told: str
) -> None:
    desk = Desk(now, [lab_ca.root], revocation=RevocationCheck.HARD)
    desk.publish(lab_ca.issue_sti(spc="1234", crl_url=url, now=at(now)))

    found = await find(desk)

    assert (told in why(found)) if told else is_good(found)


async def renewed(desk: Desk) -> None:
    """Wait until nothing is judged behind the back of calls."""
    while tasks := tuple(desk.signers._renewing.values()):
        await asyncio.wait(tasks, timeout=10)


async def test_a_list_that_comes_late_is_noticed(
    desk: Desk, lab_ca: Authority, listed: Issued
) -> None:
    desk.publish(listed)
    desk.lists.held[CRL] = lists_by("none", lab_ca, listed.certificate.leaf, desk.now)
    assert is_good(await find(desk))

    desk.lists.held[CRL] = lists_by("revoking", lab_ca, listed.certificate.leaf, desk.now)
    assert is_good(known(desk))
    desk.now += RETRY_SECONDS
    assert is_good(known(desk))
    await renewed(desk)
    assert "was revoked" in why(known(desk))


async def test_lists_that_hang_keep_no_call_of_a_known_signer_waiting(
    desk: Desk, lab_ca: Authority, listed: Issued
) -> None:
    desk.publish(listed)
    desk.lists.held[CRL] = lists_by("sparing", lab_ca, listed.certificate.leaf, desk.now)
    assert is_good(await find(desk))
    desk.lists.silent.add(CRL)
    desk.now += 600

    for _ in range(3):
        for _ in range(5):
            assert is_good(known(desk))
        await renewed(desk)
        desk.now += RETRY_SECONDS
    assert len(desk.lists.asked) == 4


async def test_a_judgement_long_past_its_time_is_not_believed(
    desk: Desk, lab_ca: Authority, listed: Issued
) -> None:
    desk.publish(listed)
    desk.lists.held[CRL] = lists_by("sparing", lab_ca, listed.certificate.leaf, desk.now)
    assert is_good(await find(desk))

    desk.lists.held[CRL] = lists_by("revoking", lab_ca, listed.certificate.leaf, desk.now)
    desk.now += 600 + GRACE_SECONDS
    assert "was revoked" in why(await find(desk))


async def test_what_fails_while_it_is_judged_anew_is_said_and_forgotten(
    desk: Desk, lab_ca: Authority, listed: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    desk.publish(listed)
    desk.lists.held[CRL] = lists_by("sparing", lab_ca, listed.certificate.leaf, desk.now)
    assert is_good(await find(desk))
    desk.lists.held.clear()
    desk.now += 600

    assert is_good(known(desk))
    await renewed(desk)

    assert "judging a certificate anew failed" in caplog.text
    assert callable(desk.signers.find(X5U, desk.roots, at=desk.now))


async def test_where_a_list_is_needed_the_next_one_is_waited_for(
    lab_ca: Authority, listed: Issued, now: int
) -> None:
    desk = Desk(now, [lab_ca.root], revocation=RevocationCheck.HARD)
    desk.publish(listed)
    desk.lists.held[CRL] = lists_by("sparing", lab_ca, listed.certificate.leaf, desk.now)
    assert is_good(await find(desk))

    desk.lists.held[CRL] = lists_by("revoking", lab_ca, listed.certificate.leaf, desk.now)
    desk.now += 599
    assert is_good(known(desk))
    desk.now += 1
    assert callable(desk.signers.find(X5U, desk.roots, at=desk.now))
    assert "was revoked" in why(await find(desk))


async def test_many_lists_that_are_silent_take_no_longer_than_one(
    lab_ca: Authority, now: int
) -> None:
    silent = [f"https://crl.example.com/{number}" for number in range(5)]
    ca = lab_ca
    for url in silent:
        ca = ca.intermediate(url, now=at(now), crl_url=url)
    issued = ca.issue_sti(spc="1234", now=at(now))
    desk = Desk(now, [lab_ca.root])
    desk.publish(issued)
    desk.lists.silent.update(silent)
    loop = asyncio.get_running_loop()
    started = loop.time()

    assert is_good(await find(desk))

    assert len(desk.lists.asked) == len(silent)
    assert loop.time() - started < SECONDS * (len(silent) - 1)


# Who signs the list of all authorities


class Above:
    """What else may stand above a chain, and for which chains it was asked."""

    def __init__(self, *found: x509.Certificate) -> None:
        self.found = found
        self.asked: list[tuple[x509.Certificate, ...]] = []

    async def __call__(self, chain: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
        self.asked.append(chain)
        await asyncio.sleep(0)
        return self.found


@pytest.fixture
def above(desk: Desk, lab_ca: Authority) -> Above:
    """The verifier's store, which knows the intermediate."""
    made = Above(lab_ca.certificate)
    desk.signers._intermediates = made
    return made


@dataclass
class PolicyAdministrator:
    """An STI-PA: its root, who signs its list below that, and a certificate that it revoked."""

    root: Authority
    signer: Authority
    listed: Issued
    crl: FetchedCrl


@pytest.fixture(scope="module")
def sti_pa(lab_ca: Authority, now: int) -> PolicyAdministrator:
    root = Authority.create("STI-PA root", now=at(now))
    signer = root.intermediate("STI-PA CRL", now=at(now))
    listed = lab_ca.issue_sti(
        spc="1234", now=at(now), crl_url=CRL, crl_issuer=signer.certificate.subject
    )
    der = issue_indirect_crl(signer, [listed.certificate.leaf], now=at(now))
    crl = fetched_crl(der, url=CRL, expires_at=now + 600)
    return PolicyAdministrator(root, signer, listed, crl)


@pytest.mark.parametrize("trusted", ["root", "signer"])
async def test_a_list_counts_when_its_signer_is_trusted_or_leads_to_who_is(
    lab_ca: Authority, sti_pa: PolicyAdministrator, now: int, trusted: str
) -> None:
    anchor = sti_pa.root if trusted == "root" else sti_pa.signer
    desk = Desk(now, [lab_ca.root, anchor.certificate])
    listed = sti_pa.listed
    chain = (*listed.certificate.chain, sti_pa.signer.certificate)
    desk.publish(Issued(Certificate(chain), listed.key) if trusted == "root" else listed)
    desk.lists.held[CRL] = sti_pa.crl

    assert "was revoked" in why(await find(desk))


async def test_a_signer_of_lists_counts_below_the_authority_of_the_certificate(
    desk: Desk, lab_ca: Authority, now: int
) -> None:
    signer = lab_ca.intermediate("Lab STI-CA CRL", now=at(now))
    name = signer.certificate.subject
    listed = lab_ca.issue_sti(spc="1234", now=at(now), crl_url=CRL, crl_issuer=name)
    chain = (*listed.certificate.chain, signer.certificate)
    desk.publish(Issued(Certificate(chain), listed.key))
    der = issue_indirect_crl(signer, [listed.certificate.leaf], now=at(now))
    desk.lists.held[CRL] = fetched_crl(der, url=CRL, expires_at=now + 600)

    assert "was revoked" in why(await find(desk))


async def test_a_signer_of_lists_is_found_among_the_intermediates_of_the_store(
    desk: Desk, now: int, above: Above
) -> None:
    """The authority has a new key by now, and signs its lists with that."""
    root = Authority.create("Turning root", now=at(now))
    before, by_now = (root.intermediate("Turning STI-CA", now=at(now)) for _ in range(2))
    desk.roots = (root.certificate,)
    name = before.certificate.subject
    listed = before.issue_sti(spc="1234", now=at(now), crl_url=CRL, crl_issuer=name)
    der = issue_crl(by_now, [listed.certificate.leaf], now=at(now))
    desk.lists.held[CRL] = fetched_crl(der, url=CRL, expires_at=now + 600)
    desk.publish(listed)
    above.found = (by_now.certificate,)

    assert "was revoked" in why(await find(desk))


async def test_a_list_that_is_not_believed_is_told_with_each_verdict(
    desk: Desk, sti_pa: PolicyAdministrator
) -> None:
    desk.publish(sti_pa.listed)
    desk.lists.held[CRL] = sti_pa.crl

    for _ in range(2):
        outcome = await desk.verify(identity(sti_pa.listed, desk.now))

        assert outcome.best is not None
        assert outcome.best.verdict.code is None
        (told,) = [each.words for each in outcome.best.verdict.steps if CRL in each.words]
        assert told.startswith("whether it is revoked is not known, and passed over: ")
        assert '"CN=STI-PA CRL,O=SHAKEN lab", who signed the list' in told


async def test_a_list_that_is_not_believed_is_in_the_log_once_an_hour(
    desk: Desk, sti_pa: PolicyAdministrator, caplog: pytest.LogCaptureFixture
) -> None:
    desk.publish(sti_pa.listed)
    desk.lists.held[CRL] = sti_pa.crl

    for hour in range(2):
        for _ in range(3):
            await find(desk)
            desk.now += RETRY_SECONDS + GRACE_SECONDS
        assert caplog.text.count(f"the revocation list {CRL} is not believed") == hour + 1
        desk.now += WARNING_SECONDS
    assert "add the certificate of its signer to the sti roots" in caplog.text


async def test_a_list_of_whom_the_certificate_does_not_name_is_no_reason_to_trust_its_signer(
    desk: Desk, lab_ca: Authority, sti_pa: PolicyAdministrator, caplog: pytest.LogCaptureFixture
) -> None:
    desk.publish(lab_ca.issue_sti(spc="1234", crl_url=CRL, now=at(desk.now)))
    desk.lists.held[CRL] = sti_pa.crl

    await find(desk)

    assert f"the revocation list {CRL} is not believed" in caplog.text
    assert "sti roots" not in caplog.text


async def test_lists_of_strangers_do_not_fill_the_log(
    desk: Desk,
    lab_ca: Authority,
    sti_pa: PolicyAdministrator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(MAX_WARNINGS + 2):
        url = f"{CRL}?{number}"
        desk.publish(
            lab_ca.issue_sti(
                spc="1234",
                now=at(desk.now),
                crl_url=url,
                crl_issuer=sti_pa.signer.certificate.subject,
            )
        )
        desk.lists.held[url] = sti_pa.crl
        await find(desk)

    assert caplog.text.count("is not believed") == MAX_WARNINGS


async def test_a_list_that_cannot_be_had_is_told_and_not_logged(
    desk: Desk, listed: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    desk.publish(listed)
    desk.lists.held[CRL] = FetchError(Reason.CONNECTION, "nobody is there")

    assert (await find(desk)).unchecked == f"{CRL}: nobody is there"
    assert known(desk).unchecked == f"{CRL}: nobody is there"
    assert caplog.text == ""


# Intermediates of the store


def alone(issued: Issued) -> Issued:
    """Return a certificate as a file has it that lacks what is above it."""
    return Issued(Certificate((issued.certificate.leaf,)), issued.key)


async def test_a_file_that_lacks_the_intermediate_gets_it_from_the_store(
    desk: Desk, issued: Issued, above: Above, judged: list[Certificate]
) -> None:
    desk.publish(alone(issued))

    found = await find(desk)

    assert isinstance(found.signer, JudgedPath)
    assert found.signer.path == (*issued.certificate.chain, desk.roots[0])
    assert known(desk).signer is found.signer, "no later call waits"
    assert above.asked == [(issued.certificate.leaf,)]
    assert len(judged) == 2


async def test_the_store_is_not_asked_where_the_file_has_all(
    desk: Desk, issued: Issued, above: Above
) -> None:
    desk.publish(issued)

    assert is_good(known(desk))
    assert above.asked == []


async def test_a_chain_that_the_store_cannot_complete_is_refused_and_that_is_kept(
    desk: Desk, issued: Issued, above: Above, judged: list[Certificate]
) -> None:
    above.found = ()
    desk.publish(alone(issued))

    assert "unable to get local issuer" in why(await find(desk))
    assert "unable to get local issuer" in why(known(desk))
    assert len(judged) == 1
    assert len(above.asked) == 1


async def test_an_intermediate_that_comes_into_the_store_is_found(
    desk: Desk, lab_ca: Authority, issued: Issued, above: Above
) -> None:
    above.found = ()
    desk.publish(alone(issued))
    why(await find(desk))
    above.found = (lab_ca.certificate,)
    desk.now += RETRY_SECONDS

    assert is_good(await find(desk))


async def test_intermediates_that_lead_nowhere_change_nothing(
    desk: Desk, issued: Issued, above: Above
) -> None:
    stranger = Authority.create("Lab root", now=at(desk.now))
    above.found = (stranger.intermediate("Lab STI-CA", now=at(desk.now)).certificate,)
    desk.publish(alone(issued))

    assert why(await find(desk)).startswith("437 ")
    assert why(known(desk)).startswith("437 ")


async def test_what_was_added_has_a_time_of_its_own(
    desk: Desk, lab_ca: Authority, above: Above
) -> None:
    """Who sends an `iat` from before the intermediate does not decide about calls of now."""
    young = lab_ca.intermediate("Young", now=at(desk.now + 60))
    issued = young.issue_sti(spc="1234", now=at(desk.now), not_before=at(desk.now - 86400 * 30))
    above.found = (young.certificate, lab_ca.certificate)
    desk.publish(alone(issued))
    began = int(young.certificate.not_valid_before_utc.timestamp())

    assert "not yet valid" in why(await find(desk, iat=began - 1))
    assert is_good(await find(desk))
    assert "not yet valid" in why(known(desk, iat=began - 1))
    assert is_good(known(desk))
