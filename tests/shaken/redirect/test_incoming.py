"""Calls that come in are answered with what was found."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from shaken.acceptance import Reaction, VerificationPolicy
from shaken.call_records import MAX_REQUEST_ID, TEST_REQUEST
from shaken.tenants import Direction, Trunk
from shaken.verifier import InboundCall
from tests.shaken.redirect.bench import ANOTHER, FOREIGN, Bench, calling, diverted_by, own_url
from tests.shaken.redirect.invites import DEST, ORIG, invite
from tests.verification import X5U, fetched, identity
from trust.authority import Authority


def test_what_was_signed_verifies(bench: Bench, trunk: Trunk) -> None:
    answer = bench.ask(invite())
    bench.desk.publish(bench.issued, own_url(answer))

    checked = bench.ask(invite(("Identity", answer.lines("Identity")[0])))

    assert checked.header("P-Attestation-Indicator") == "A"
    assert checked.header("P-Origination-ID") == trunk.origid
    assert ";verstat=TN-Validation-Passed@" in str(checked.header("P-Asserted-Identity"))
    record = bench.records[-1]
    assert (record.kind, record.verstat, record.action) == (
        "verified",
        "TN-Validation-Passed",
        "accept",
    )
    assert (record.request_id, record.tenant) == ("call-1", trunk.tenant)


async def test_a_certificate_that_is_not_at_hand_is_waited_for(bench: Bench) -> None:
    bench.desk.files.elsewhere[X5U] = fetched(bench.issued.certificate)

    checked = await bench.wait(invite(("Identity", identity(bench.issued, bench.now))))

    assert checked.header("P-Attestation-Indicator") == "A"
    assert len(bench.records) == 1


def test_another_called_number_is_found(bench: Bench) -> None:
    bench.desk.publish(bench.issued)
    header = identity(bench.issued, bench.now, dest={"tn": [FOREIGN]})

    checked = bench.ask(invite(("Identity", header)))

    assert checked.header("Reason") == 'STIR;cause=438;text="Invalid Identity Header"'
    assert checked.header("P-Attestation-Indicator") is None
    assert "dest" in str(checked.header("Warning"))


def ppi(header: str) -> str:
    """The compact form of a header's PASSporT, as a Reason names it (RFC 9410 §5)."""
    return f"..{header.partition(';')[0].rpartition('.')[2]}"


def test_of_several_identities_each_that_does_not_hold_is_named_even_where_one_does(
    bench: Bench,
) -> None:
    bench.desk.publish(bench.issued)
    holds = identity(bench.issued, bench.now)
    other = identity(bench.issued, bench.now, dest={"tn": [FOREIGN]})
    old = identity(bench.issued, bench.now - 120)
    request = invite(("Identity", other), ("Identity", holds), ("Identity", old))

    checked = bench.ask(request)

    assert ";verstat=TN-Validation-Passed@" in str(checked.header("P-Asserted-Identity"))
    assert checked.lines("Reason") == (
        f'STIR;cause=438;text="Invalid Identity Header";ppi="{ppi(other)}"',
        f'STIR;cause=403;text="Stale Date";ppi="{ppi(old)}"',
    )


def test_several_identities_of_one_line_are_told_as_those_of_several_are(bench: Bench) -> None:
    bench.desk.publish(bench.issued)
    other = identity(bench.issued, bench.now, dest={"tn": [FOREIGN]})
    both = f"{other}, {identity(bench.issued, bench.now)}"

    checked = bench.ask(invite(("Identity", both)))

    assert checked.lines("Reason") == (
        f'STIR;cause=438;text="Invalid Identity Header";ppi="{ppi(other)}"',
    )


def test_the_reason_that_decides_comes_first(bench: Bench) -> None:
    bench.have(verification=VerificationPolicy(stale=Reaction.REJECT))
    bench.desk.publish(bench.issued)
    old = identity(bench.issued, bench.now - 120)
    wrong = identity(bench.issued, bench.now, dest={"tn": [FOREIGN]}, attest="C")

    checked = bench.ask(invite(("Identity", wrong), ("Identity", old)))

    assert checked.status == 403
    assert [line.partition(";text")[0] for line in checked.lines("Reason")] == [
        "STIR;cause=403",
        "STIR;cause=438",
    ]


def test_what_cannot_be_read_of_several_identities_has_a_reason_without_its_name(
    bench: Bench,
) -> None:
    bench.desk.publish(bench.issued)
    holds = identity(bench.issued, bench.now)

    checked = bench.ask(invite(("Identity", holds), ("Identity", "nonsense;ppt=shaken")))

    assert checked.lines("Reason") == ('STIR;cause=436;text="Bad Identity Info"',)


def test_a_diversion_that_does_not_hold_is_named_and_the_call_it_diverts_is_not(
    bench: Bench,
) -> None:
    bench.sip(divert=True)
    answer = bench.ask(calling(FOREIGN, diverted_by(ANOTHER)))
    original, diversion = answer.lines("Identity")
    bench.have(direction=Direction.VERIFY)
    bench.desk.publish(bench.issued, own_url(answer))
    signature = ppi(diversion)[2:]
    broken = diversion.replace(signature, f"{signature[:40].swapcase()}{signature[40:]}")

    checked = bench.ask(calling(FOREIGN, ("Identity", original), ("Identity", broken)))

    assert ";verstat=TN-Validation-Failed@" in str(checked.header("P-Asserted-Identity"))
    assert checked.lines("Reason") == (
        f'STIR;cause=438;text="Invalid Identity Header";ppi="{ppi(broken)}"',
    )


def test_the_verifier_is_told_what_the_invite_says(
    bench: Bench, trunk: Trunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[InboundCall] = []
    verify = bench.desk.verifier.verify_in_stages

    def overhear(call: InboundCall, *settings: Any, **more: Any) -> Any:
        asked.append(call)
        return verify(call, *settings, **more)

    monkeypatch.setattr(bench.desk.verifier, "verify_in_stages", overhear)
    date = format_datetime(datetime.fromtimestamp(bench.now - 5, UTC), usegmt=True)
    more = (("Identity", "nonsense"), ("Date", date), ("Resource-Priority", "ets.0"))

    bench.ask(invite(*more, uri=f"sip:+{ANOTHER}@sip.example.com"))

    assert asked == [
        InboundCall(
            headers=("nonsense",),
            orig=ORIG,
            dest=(DEST,),
            now=bench.now,
            time=bench.now - 5,
            name="call call-1",
            scope=trunk.tenant,
            target=(ANOTHER,),
            protected=("Resource-Priority: ets.0",),
        )
    ]


def test_a_call_id_named_like_a_test_call_means_the_call_it_means_over_http(
    bench: Bench, lab_ca: Authority, trunk: Trunk
) -> None:
    bench.desk.publish(bench.issued)
    bench.desk.roots = (lab_ca.root,)
    header = identity(bench.issued, bench.now)
    bench.ask(invite(("Identity", header), call_id=f"{TEST_REQUEST}1"))

    def replayed(name: str) -> bool:
        return bench.desk.at_once(header, name=name, scope=trunk.tenant).replayed

    assert not replayed(f"call {TEST_REQUEST}1"), "as `callId` names it over HTTP"
    assert replayed(f"call call {TEST_REQUEST}1")
    assert bench.records[-1].request_id == f"call {TEST_REQUEST}1"


def test_of_a_long_call_id_so_much_is_kept_as_of_what_http_clients_send(bench: Bench) -> None:
    bench.ask(invite(call_id="c" * 200))

    assert bench.records[-1].request_id == "c" * MAX_REQUEST_ID


@pytest.mark.parametrize(
    ("policy", "status"),
    [(VerificationPolicy(), 302), (VerificationPolicy(invalid=Reaction.REJECT), 438)],
)
def test_the_policy_decides_about_a_caller_whose_number_is_none(
    bench: Bench, policy: VerificationPolicy, status: int
) -> None:
    bench.have(verification=policy)
    bench.desk.publish(bench.issued)
    strange = "1215555010012345"

    checked = bench.ask(calling(strange, ("Identity", identity(bench.issued, bench.now))))

    assert (checked.status, checked.header("Reason")) == (
        status,
        'STIR;cause=438;text="Invalid Identity Header"',
    )
    (record,) = bench.records
    assert (record.orig, record.verstat) == (
        f"sip:+{strange}@pbx.example.com",
        "TN-Validation-Failed",
    )


@pytest.mark.parametrize("caller", ["<tel:anonymous>", "<sip:+1215555010012345@pbx;user=phone>"])
def test_a_caller_who_cannot_be_told_is_not_validated(bench: Bench, caller: str) -> None:
    bench.have(direction=Direction.VERIFY)

    checked = bench.ask(invite(("P-Attestation-Indicator", "Full"), caller=caller))

    assert checked.status == 302
    assert "verstat=No-TN-Validation" in str(checked.header("P-Asserted-Identity"))


def test_a_stale_message_is_found_by_its_date(bench: Bench) -> None:
    bench.desk.publish(bench.issued)
    date = format_datetime(datetime.fromtimestamp(bench.now - 90, UTC), usegmt=True)
    request = invite(("Identity", identity(bench.issued, bench.now)), ("Date", date))

    assert bench.ask(request).header("Reason") == 'STIR;cause=403;text="Stale Date"'
