"""Diverted calls are signed so that their diversions join."""

from datetime import UTC, datetime

import msgspec
import pytest

from shaken.attestation import Attest, AttestPolicy, ForeignAttest
from shaken.passport import DivClaims
from shaken.redirection import Redirection
from shaken.tenants import Direction
from tests.shaken.redirect.bench import ANOTHER, FOREIGN, Bench, calling, diverted_by, own_url
from tests.shaken.redirect.invites import DEST, ORIG, PBX, invite
from tests.verification import X5U, identity
from trust.authority import Authority


def test_a_diverted_call_is_signed_with_its_diversion_and_verifies(bench: Bench) -> None:
    bench.sip(divert=True)

    answer = bench.ask(calling(FOREIGN, diverted_by(ANOTHER)))

    own = bench.claims(answer)
    assert (own["orig"], own["dest"], own["attest"]) == ({"tn": FOREIGN}, {"tn": [ANOTHER]}, "B")
    assert bench.claims(answer, ppt="div") == {
        "dest": {"tn": [DEST]},
        "div": {"tn": ANOTHER},
        "iat": bench.now,
        "orig": {"tn": FOREIGN},
    }
    assert [record.attest for record in bench.records] == ["B", ""]
    bench.have(direction=Direction.VERIFY)
    url = own_url(answer)
    bench.desk.publish(bench.issued, url)
    headers = [("Identity", value) for value in answer.lines("Identity")]
    checked = bench.ask(calling(FOREIGN, *headers))
    assert (checked.header("P-Attestation-Indicator"), checked.header("Reason")) == ("B", None)


def test_a_diverted_call_that_has_an_identity_gets_a_diversion_only(
    bench: Bench, lab_ca: Authority
) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    carrier = lab_ca.issue_sti(spc="4321", now=datetime.fromtimestamp(bench.now, UTC))
    original = identity(carrier, bench.now, orig={"tn": FOREIGN}, dest={"tn": [ANOTHER]})
    request = calling(FOREIGN, ("Identity", original), diverted_by(ANOTHER))

    answer = bench.ask(request)

    assert len(answer.lines("Identity")) == 1
    assert bench.claims(answer, ppt="div")["orig"] == {"tn": FOREIGN}
    bench.have(direction=Direction.VERIFY)
    bench.desk.publish(bench.issued, own_url(answer))
    bench.desk.publish(carrier, X5U)
    both = [("Identity", original), ("Identity", answer.lines("Identity")[0])]
    assert bench.ask(calling(FOREIGN, *both)).header("P-Attestation-Indicator") == "A"


@pytest.mark.parametrize("orig", [{"tn": FOREIGN}, {"tn": f"+{ORIG}"}, {"uri": f"tel:{ORIG}"}])
def test_no_diversion_is_signed_of_a_call_whose_identity_is_of_another_caller(
    bench: Bench, orig: object
) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    original = identity(bench.issued, bench.now, orig=orig, dest={"tn": [ANOTHER]})

    answer = bench.ask(calling(ORIG, ("Identity", original), diverted_by(ANOTHER)))

    assert (answer.status, answer.header("Identity")) == (403, None)
    assert "another caller" in str(answer.header("Reason"))
    assert bench.records == []


def test_of_several_identities_one_of_the_caller_is_enough_for_a_diversion(bench: Bench) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    strange, own = (
        ("Identity", identity(bench.issued, bench.now, orig={"tn": number}, dest={"tn": [ANOTHER]}))
        for number in (FOREIGN, ORIG)
    )

    answer = bench.ask(calling(ORIG, strange, own, diverted_by(ANOTHER)))

    assert bench.claims(answer, ppt="div")["orig"] == {"tn": ORIG}
    assert len(answer.lines("Identity")) == 1


def test_nothing_is_recorded_of_a_diverted_call_that_is_refused(bench: Bench) -> None:
    bench.have(
        attest=AttestPolicy(Attest.A, ForeignAttest.REFUSE),
        sip=Redirection(sources=(PBX.address,), divert=True),
    )

    answer = bench.ask(calling(FOREIGN, diverted_by(ANOTHER)))

    assert (answer.status, answer.header("Identity")) == (403, None)
    assert bench.records == []


@pytest.mark.parametrize(
    "orig", [{}, {"tn": FOREIGN, "uri": "sip:a@b"}, {"tn": 1}, "text", None, {"tn": [FOREIGN]}]
)
def test_an_identity_that_names_no_caller_is_none(bench: Bench, orig: object) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    original = identity(bench.issued, bench.now, orig=orig)

    answer = bench.ask(calling(ORIG, ("Identity", original), diverted_by(ANOTHER)))

    assert bench.claims(answer, ppt="div")["orig"] == {"tn": ORIG}
    assert bench.claims(answer)["dest"] == {"tn": [ANOTHER]}


def test_nobody_says_of_a_foreign_number_that_it_diverts(bench: Bench) -> None:
    bench.sip(divert=True)

    answer = bench.ask(calling(ORIG, diverted_by(FOREIGN)))

    assert (answer.status, answer.header("Identity")) == (403, None)
    assert FOREIGN in str(answer.header("Reason"))
    assert bench.records == []


def test_a_call_that_a_nameless_party_diverted_is_signed_for_whom_it_goes_to(bench: Bench) -> None:
    bench.sip(divert=True)
    private = ("Diversion", "<sip:anonymous@anonymous.invalid>;reason=unconditional;privacy=full")

    answer = bench.ask(invite(private))

    assert bench.claims(answer)["dest"] == {"tn": [DEST]}
    assert len(answer.lines("Identity")) == 1


def test_a_diversion_is_not_signed_unless_the_trunk_asks_for_it(bench: Bench) -> None:
    answer = bench.ask(invite(diverted_by(FOREIGN)))

    assert bench.claims(answer)["dest"] == {"tn": [DEST]}
    assert len(answer.lines("Identity")) == 1


@pytest.mark.parametrize("named", ["sip:199@10.0.0.1", "sip:unknown@unknown.example.com"])
def test_who_diverts_by_an_extension_is_whom_the_identity_leads_to(
    bench: Bench, named: str
) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    original = identity(bench.issued, bench.now, orig={"tn": FOREIGN}, dest={"tn": [ANOTHER]})
    diverted = ("Diversion", f"<{named}>;reason=unconditional")

    answer = bench.ask(calling(FOREIGN, ("Identity", original), diverted))

    assert bench.claims(answer, ppt="div")["div"] == {"tn": ANOTHER}


def test_each_diversion_behind_the_identity_that_came_is_signed(bench: Bench) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    third = str(int(ANOTHER) + 1)
    original = identity(bench.issued, bench.now, orig={"tn": FOREIGN}, dest={"tn": [ANOTHER]})
    both = (diverted_by(third), diverted_by(ANOTHER))

    answer = bench.ask(calling(FOREIGN, ("Identity", original), *both))

    added = [("Identity", line) for line in answer.lines("Identity")]
    assert len(added) == 2
    bench.have(direction=Direction.VERIFY)
    bench.desk.publish(bench.issued, own_url(answer))
    bench.desk.publish(bench.issued, X5U)
    checked = bench.ask(calling(FOREIGN, ("Identity", original), *added))
    assert (checked.header("P-Attestation-Indicator"), checked.header("Reason")) == ("A", None)


def test_a_diversion_goes_on_from_where_those_that_came_have_led(bench: Bench) -> None:
    bench.sip(divert=True)
    third = str(int(ANOTHER) + 1)
    first = bench.ask(calling(FOREIGN, diverted_by(ANOTHER), uri=f"tel:+{third}"))
    came = [("Identity", line) for line in first.lines("Identity")]
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    both = (diverted_by(third), diverted_by(ANOTHER))

    answer = bench.ask(calling(FOREIGN, *came, *both))

    claims = bench.claims(answer, ppt="div")
    assert (claims["div"], claims["dest"]) == ({"tn": third}, {"tn": [DEST]})


def test_no_diversion_is_signed_that_does_not_join_the_identity_that_came(bench: Bench) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    original = identity(bench.issued, bench.now, orig={"tn": ORIG}, dest={"tn": [FOREIGN]})

    answer = bench.ask(calling(ORIG, ("Identity", original), diverted_by(ANOTHER)))

    assert (answer.status, answer.header("Identity")) == (403, None)
    assert f"leads to {FOREIGN}" in str(answer.header("Reason"))
    assert bench.records == []


@pytest.mark.parametrize("named", [f"tel:+{ANOTHER}", "sip:199@10.0.0.1"])
def test_nothing_is_added_to_an_identity_that_leads_to_where_the_call_goes(
    bench: Bench, named: str
) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    goal = str(int(ANOTHER) + 1)
    original = identity(bench.issued, bench.now, orig={"tn": FOREIGN}, dest={"tn": [goal]})
    headers = (("Identity", original), ("Diversion", f"<{named}>"))

    answer = bench.ask(calling(FOREIGN, *headers, uri=f"tel:+{goal}"))

    assert (answer.status, answer.header("Identity")) == (302, None)
    assert bench.records == []


def test_a_call_whose_way_is_signed_may_be_asked_about_again(bench: Bench) -> None:
    bench.sip(divert=True)
    first = bench.ask(calling(FOREIGN, diverted_by(ANOTHER)))
    came = [("Identity", line) for line in first.lines("Identity")]
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))

    again = bench.ask(calling(FOREIGN, *came, diverted_by(ANOTHER)))

    assert (again.status, again.header("Identity")) == (302, None)


def test_an_identity_that_leads_nowhere_is_told(bench: Bench) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    original = identity(bench.issued, bench.now, orig={"tn": FOREIGN}, dest={"tn": ANOTHER})

    answer = bench.ask(calling(FOREIGN, ("Identity", original), diverted_by(ANOTHER)))

    assert answer.status == 403
    assert "cannot be told whom" in str(answer.header("Reason"))


def test_claims_of_a_diversion_are_in_the_order_of_the_rfc() -> None:
    assert list(msgspec.structs.fields(DivClaims)) == sorted(
        msgspec.structs.fields(DivClaims), key=lambda field: field.name
    )
