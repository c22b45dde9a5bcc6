"""INVITEs answered by a real signer and a real verifier, with a store behind them."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from shaken.attestation import Attest, AttestPolicy, ForeignAttest
from shaken.redirection import Redirection
from shaken.signing import Signer
from shaken.store.tenants import add_trunk
from shaken.tenants import Direction, Trunk
from sip.message import Request
from sip.reception import Source, Stateless
from tests.shaken.redirect.bench import ANOTHER, FOREIGN, Bench, calling, changed
from tests.shaken.redirect.invites import DEST, ORIG, PBX, invite
from trust.authority import Authority
from trust.store.database import Database

# Signing


def test_a_call_is_signed_recorded_and_sent_back(bench: Bench, trunk: Trunk) -> None:
    answer = bench.ask(invite())

    assert answer.status == 302
    assert bench.claims(answer) == {
        "attest": "A",
        "dest": {"tn": [DEST]},
        "iat": bench.now,
        "orig": {"tn": ORIG},
        "origid": trunk.origid,
    }
    (record,) = bench.records
    assert (record.kind, record.attest, record.orig, record.dest) == ("signed", "A", ORIG, DEST)
    assert (record.credential, record.trunk) == (f"sip:{PBX.address}", trunk.name)
    assert (record.tenant, record.request_id) == (trunk.tenant, "call-1")


@pytest.mark.parametrize(
    ("usual", "foreign", "number", "asked", "given"),
    [
        ("A", "B", ORIG, None, "A"),
        ("A", "B", ORIG, "A", "A"),
        ("A", "B", ORIG, "B", "B"),
        ("A", "B", ORIG, "C", "C"),
        ("B", "B", ORIG, "A", "B"),
        ("C", "B", ORIG, "A", "C"),
        ("A", "B", FOREIGN, None, "B"),
        ("A", "B", FOREIGN, "A", "B"),
        ("A", "B", FOREIGN, "C", "C"),
        ("A", "C", FOREIGN, "A", "C"),
        ("B", "A", FOREIGN, "A", "B"),
        ("A", "refuse", ORIG, None, "A"),
        ("A", "refuse", FOREIGN, None, None),
        ("A", "refuse", FOREIGN, "C", None),
    ],
)
def test_a_call_may_ask_for_less_attestation_and_never_for_more(
    bench: Bench, usual: str, foreign: str, *, number: str, asked: str | None, given: str | None
) -> None:
    bench.have(attest=AttestPolicy(Attest(usual), ForeignAttest(foreign)))
    more = () if asked is None else (("P-Attestation-Indicator", asked),)

    answer = bench.ask(calling(number, *more))

    if given is None:
        assert (answer.status, answer.header("Identity")) == (403, None)
        assert "none of the tenant's numbers" in str(answer.header("Reason"))
        assert bench.records == []
    else:
        assert bench.claims(answer)["attest"] == given


@pytest.mark.parametrize(
    ("ago", "is_used"), [(0, True), (60, True), (61, False), (-15, True), (-16, False)]
)
def test_a_date_is_when_the_call_is_signed_while_it_is_fresh(
    bench: Bench, ago: int, *, is_used: bool
) -> None:
    then = bench.now - ago
    date = format_datetime(datetime.fromtimestamp(then, UTC), usegmt=True)

    answer = bench.ask(invite(("Date", date)))

    assert bench.claims(answer)["iat"] == (then if is_used else bench.now)
    told = f'399 shaken "Date is {abs(ago)} s from now, verifiers may refuse it: set the clock"'
    assert answer.header("Warning") == (None if is_used else told)


def test_an_anonymous_caller_is_signed_for_when_it_is_asserted_who_that_is(bench: Bench) -> None:
    anonymous = "<sip:anonymous@anonymous.invalid>"

    nobody = bench.ask(invite(caller=anonymous))
    asserted = bench.ask(invite(("P-Asserted-Identity", f"<tel:+{ANOTHER}>"), caller=anonymous))

    assert nobody.status == 403
    assert "P-Asserted-Identity" in str(nobody.header("Reason"))
    assert bench.claims(asserted)["orig"] == {"tn": ANOTHER}


def test_without_a_certificate_no_call_passes_as_signed(
    database: Database, signer: Signer, trunk: Trunk, lab_ca: Authority, now: int
) -> None:
    spare = lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))
    bench = Bench(database, signer, trunk, spare, now)

    answer = bench.ask(invite())

    assert (answer.status, answer.header("Contact")) == (503, None)
    assert "import one" in str(answer.header("Reason"))
    assert bench.records == []


# Who is answered, and how


def test_a_stranger_is_refused_without_being_remembered(bench: Bench) -> None:
    stranger = Source("UDP", "198.51.100.1", 5060)
    for method in ("INVITE", "OPTIONS", "BYE"):
        answers = [bench._redirect.answer(invite(method=method), stranger) for _ in range(2)]

        assert all(isinstance(answer, Stateless) for answer in answers)
        first, second = (
            answer.response.serialise() for answer in answers if isinstance(answer, Stateless)
        )
        assert first == second
        assert first.startswith(b"SIP/2.0 403 Forbidden\r\n")
    assert not bench._redirect.is_known(stranger)
    assert bench.records == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (invite(method="OPTIONS"), 200),
        (invite(method="BYE"), 405),
        (invite(method="FOO"), 501),
        (invite(called="<sip:+12155559999@sip.example.com>;tag=2"), 481),
        (invite(uri="http://example.com"), 416),
        (invite(("Attestation", "Z")), 400),
        (invite(caller="<mailto:alice@example.com>"), 400),
        (invite(("P-Asserted-Identity", "<")), 400),
    ],
)
def test_what_is_no_call_to_be_signed_gets_its_answer(
    bench: Bench, request_: Request, status: int
) -> None:
    answer = bench.ask(request_)

    assert (answer.status, answer.header("Identity")) == (status, None)
    assert bench.records == []


def test_a_trunk_that_verifies_signs_nothing(bench: Bench) -> None:
    bench.have(direction=Direction.VERIFY)

    answer = bench.ask(invite())

    assert (answer.status, answer.header("Identity")) == (302, None)
    assert "No-TN-Validation" in str(answer.header("P-Asserted-Identity"))


def test_a_trunk_that_signs_verifies_nothing(bench: Bench) -> None:
    bench.have(direction=Direction.SIGN)

    answer = bench.ask(invite(("Identity", "nonsense")))

    assert bench.claims(answer)["orig"] == {"tn": ORIG}


def test_trunks_of_one_address_that_nothing_tells_apart_are_told_to_say_more(
    bench: Bench, database: Database, trunk: Trunk
) -> None:
    with database.changing() as change:
        add_trunk(change, changed(trunk, name="twin", sip=Redirection(sources=(PBX.address,))))
    bench.have()

    answer = bench.ask(invite())

    assert answer.status == 403
    assert "several trunks may be meant" in str(answer.header("Reason"))


def test_the_networks_of_a_trunk_hold_over_sip_too(bench: Bench) -> None:
    sip = Redirection(sources=("198.51.100.7",))
    bench.have(sip=sip)  # its networks are 192.0.2.0/24

    assert bench.ask(invite(), Source("UDP", "198.51.100.7", 5060)).status == 403


def test_a_failing_signer_is_not_hidden(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(bench._redirect, "_sign", fail)
    with pytest.raises(RuntimeError):
        bench.ask(invite())
