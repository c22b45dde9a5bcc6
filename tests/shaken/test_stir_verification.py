"""The STIR verification route, as a function of plain values (ATIS-1000082, TS 24.229 Annex V)."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shaken.acceptance import REASONS, Anonymity, Reaction, VerificationPolicy, Verstat
from shaken.api.authenticator import Authenticator
from shaken.api.stir import (
    VERIFICATION_PATH,
    StirAnswer,
    StirApi,
    StirRequest,
)
from shaken.api.stir_verification import Verification
from shaken.attestation import Attest
from shaken.credentials import Credential, Role, digest_of
from shaken.snapshot import Snapshot, take_snapshot
from shaken.store.calls import MAX_RECORDED, CallRecord
from shaken.store.credentials import add_credential
from shaken.store.tenants import replace_trunk
from shaken.tenants import AnswerForm, Direction, Trunk
from shaken.throttle import FailureThrottle
from shaken.x5u.exchange import FetchError, Reason
from sip.stages import at_once
from tests.diversions import DIVERTER, HOPS, Calls
from tests.verification import DEST, ORIG, ORIGID, X5U, Desk, at, identity, token_of_json
from trust.authority import Authority, Issued
from trust.roots import Purpose, root_of
from trust.standing import Standing
from trust.store.database import Database

INSIDE = "192.0.2.7"
SECRETS = {"trunk": "secret-of-the-trunk", "free": "secret-of-nobody", "signer": "a-signers"}
TABLE = {None, *REASONS}


@dataclass
class Stir:
    """The route over a store, and the records of its verdicts. `post` asks as a client does."""

    api: StirApi
    desk: Desk = field(repr=False)
    database: Database = field(repr=False)
    standing: Standing = field(repr=False)
    records: list[CallRecord] = field(default_factory=list, repr=False)
    taken: Snapshot | None = field(default=None, repr=False)

    @property
    def now(self) -> int:
        """The present, in Unix seconds."""
        return self.desk.now

    async def post(
        self,
        message: Mapping[str, Any] | None = None,
        *,
        who: str = "trunk",
        body: bytes | None = None,
        peer: str = INSIDE,
        **headers: str,
    ) -> StirAnswer:
        """Send a verification request."""
        if body is None:
            body = json.dumps({"verificationRequest": message}).encode()
        given = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Authorization": f"Bearer {SECRETS[who]}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        request = StirRequest("POST", VERIFICATION_PATH, "", given, body)
        self.taken = self.taken or take_snapshot(self.database)
        snapshot = replace(self.taken, standing=self.standing)
        answer = at_once(self.api.answer(request, peer=peer, snapshot=snapshot, now=self.now))
        return answer if isinstance(answer, StirAnswer) else await answer

    async def ask(self, *headers: str, **members: Any) -> dict[str, Any]:
        """Verify a call and return the members of the verdict; None leaves a member out."""
        message = self.message(identity=list(headers) or None, **members)
        return verdict_of(await self.post(message))

    def message(self, **members: Any) -> dict[str, Any]:
        """A verification request; None leaves a member out."""
        made = {"from": {"tn": ORIG}, "to": {"tn": [DEST]}, "time": self.now, **members}
        return {name: value for name, value in made.items() if value is not None}

    def set(self, trunk: Trunk, **changes: Any) -> None:
        """Change the trunk."""
        with self.database.changing() as change:
            replace_trunk(change, replace(trunk, **changes))
        self.taken = None


def verdict_of(answer: StirAnswer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    body = json.loads(answer.body)
    assert list(body) == ["verificationResponse"]
    verdict = body["verificationResponse"]
    assert isinstance(verdict, dict)
    return verdict


@pytest.fixture
def stir(database: Database, lab_ca: Authority, issued: Issued, trunk: Trunk, now: int) -> Stir:
    """The verification route, with the signer's certificate at hand."""
    with database.changing() as change:
        for name, role, bound in (
            ("trunk", Role.VERIFIER, trunk.name),
            ("free", Role.VERIFIER, None),
            ("signer", Role.SIGNER, None),
        ):
            tenant = trunk.tenant if bound else None
            credential = Credential(name, role, digest_of(SECRETS[name]), tenant, bound, ())
            add_credential(change, credential, now=now)
    desk, records = Desk(now, ()), list[CallRecord]()
    desk.publish(issued)
    api = StirApi(
        {VERIFICATION_PATH: Verification(desk.verifier, records.append).route},
        authenticator=Authenticator(FailureThrottle()),
    )
    root = root_of(lab_ca.root, Purpose.STI, shipped=None)
    return Stir(api, desk, database, Standing([root]), records)


@pytest.fixture(scope="module")
def issued(lab_ca: Authority, now: int) -> Issued:
    """The signer's certificate, that of a provider."""
    return lab_ca.issue_sti(spc="1234", now=at(now))


# The forms


async def test_the_atis_form_is_answered(stir: Stir, issued: Issued) -> None:
    answer = await stir.post(
        stir.message(identity=identity(issued, stir.now)), X_RequestID="call-1"
    )

    assert answer.headers["X-RequestID"] == "call-1"
    verdict = verdict_of(answer)
    assert verdict["verstat"] == verdict["verstatValue"] == "TN-Validation-Passed"
    assert "reasoncode" not in verdict
    assert (verdict["attest"], verdict["origid"], verdict["ppt"]) == ("A", ORIGID, "shaken")
    assert verdict["x5u"] == X5U
    assert verdict["signer"] == {
        "subject": "CN=SHAKEN 1234,O=SHAKEN lab",
        "issuer": "CN=Lab STI-CA,O=SHAKEN lab",
        "spc": ["1234"],
    }
    assert verdict["decision"] == {"action": "accept"}
    assert "replayed" not in verdict
    assert "stale" not in verdict


async def test_the_3gpp_form_is_answered(stir: Stir, issued: Issued) -> None:
    message = identity(issued, stir.now, parameters=";ppt=msgi", header={"ppt": "msgi"})

    verdict = verdict_of(
        await stir.post(
            stir.message(
                to={"tn": DEST},
                identityHeader=identity(issued, stir.now),
                identityHeaders=[message],
                requestId="7",
                dest={"tn": "1"},
                protectedHeaders=["To: <sip:a@b>"],
                displayName="A",
            )
        )
    )

    assert verdict["verstatValue"] == "TN-Validation-Passed"
    assert verdict["requestId"] == "7"
    (result,) = verdict["verifyResults"]
    assert result["verifyResult"]["ppt"] == "shaken"
    assert result["verifyResult"]["status"] == "pass"
    assert result["verifyResult"]["validClaims"]["orig"] == {"tn": ORIG}


async def test_a_failure_is_an_answer_in_both_forms(stir: Stir, issued: Issued) -> None:
    header = identity(issued, stir.now - 61)

    verdict = await stir.ask(header)

    assert verdict["verstat"] == verdict["verstatValue"] == "TN-Validation-Failed"
    assert (verdict["reasoncode"], verdict["reasontext"]) == (403, "Stale Date")
    assert verdict["reasondesc"].startswith("iat is 61 s before now")
    (result,) = verdict["verifyResults"]
    assert result["verifyResult"] == {
        "ppt": "shaken",
        "status": "fail",
        "reasonCode": 403,
        "reasonText": "Stale Date",
        "reasonDescription": verdict["reasondesc"],
        "passport": header.partition(";")[0],
    }
    assert verdict["decision"] == {"action": "accept", "code": 403}


ATIS = {"verstat", "reasoncode", "reasontext", "reasondesc"}
THREE_GPP = {"verstatValue", "verifyResults"}


@pytest.mark.parametrize(
    ("form", "there", "missing"),
    [
        (AnswerForm.ATIS, ATIS, THREE_GPP),
        (AnswerForm.THREE_GPP, THREE_GPP, ATIS),
        (AnswerForm.BOTH, ATIS | THREE_GPP, set()),
    ],
)
async def test_a_trunk_may_be_answered_in_one_form(
    stir: Stir, trunk: Trunk, *, form: AnswerForm, there: set[str], missing: set[str]
) -> None:
    stir.set(trunk, answer=form)

    verdict = await stir.ask("no header")

    assert there <= verdict.keys()
    assert not missing & verdict.keys()


async def test_headers_of_all_members_are_judged_each_once(stir: Stir, issued: Issued) -> None:
    one, two, three = (identity(issued, stir.now, attest=attest) for attest in "CBA")

    verdict = verdict_of(
        await stir.post(
            stir.message(identity=[two, one, " "], identityHeader=one, identityHeaders=[three, two])
        )
    )

    claims = [each["verifyResult"]["validClaims"] for each in verdict["verifyResults"]]
    assert [each["attest"] for each in claims] == ["C", "B", "A"]
    assert verdict["attest"] == "A"


HEARTBEATS: dict[str, dict[str, Any]] = {
    "without a header": {},
    "with an empty one": {"identity": ""},
    "with an empty list": {"identity": []},
    "with empty 3GPP members": {"identityHeader": " ", "identityHeaders": []},
}


@pytest.mark.parametrize("members", HEARTBEATS.values(), ids=HEARTBEATS)
async def test_a_heartbeat_is_a_call_without_a_header(stir: Stir, members: dict[str, Any]) -> None:
    message = stir.message(**{"from": {"tn": "9999999999"}, "to": {"tn": "7777777777"}}, **members)

    verdict = verdict_of(await stir.post(message))

    assert verdict == {
        "verstat": "No-TN-Validation",
        "verstatValue": "No-TN-Validation",
        "decision": {"action": "accept"},
    }


@pytest.mark.parametrize(
    "sender",
    [
        {"tn": "anonymous"},
        {"tn": "Anonymous"},
        {"tn": ""},
        {"uri": "sip:anonymous@anonymous.invalid"},
        {"uri": "sip:anonymous@anonymous.invalid;user=phone"},
        {"uri": "sips:Anonymous@Anonymous.invalid"},
        {"uri": "sip:192.0.2.9"},
        {"uri": "sip:unknown@unknown.invalid"},
        {"tn": "Restricted"},
    ],
    ids=str,
)
@pytest.mark.parametrize("rejected", [False, True])
async def test_an_anonymous_caller_is_left_to_policy(
    stir: Stir, trunk: Trunk, issued: Issued, *, sender: dict[str, str], rejected: bool
) -> None:
    anonymous = Anonymity.REJECT if rejected else Anonymity.ACCEPT
    stir.set(trunk, verification=VerificationPolicy(anonymous=anonymous))

    verdict = await stir.ask(identity(issued, stir.now), **{"from": sender})

    assert verdict["verstat"] == "No-TN-Validation"
    assert verdict.get("reasoncode") == (433 if rejected else None)
    assert "attest" not in verdict
    assert stir.records[0].orig == "anonymous"


# What policy decides


@pytest.mark.parametrize(
    ("policy", "changes", "verstat", "decision"),
    [
        (
            {"stale": Reaction.REJECT},
            {"age": 61},
            Verstat.FAILED,
            {"action": "reject", "code": 403},
        ),
        ({"stale": Reaction.IGNORE}, {"age": 61}, Verstat.NONE, {"action": "accept", "code": 403}),
        ({"freshness": 10}, {"age": 11}, Verstat.FAILED, {"action": "accept", "code": 403}),
        (
            {"minimum_attest": Attest.A},
            {"attest": "C"},
            Verstat.PASSED,
            {"action": "reject", "code": 608},
        ),
    ],
    ids=str,
)
async def test_the_trunks_policy_decides_beside_what_was_found(
    stir: Stir,
    trunk: Trunk,
    issued: Issued,
    *,
    policy: dict[str, Any],
    changes: dict[str, Any],
    verstat: Verstat,
    decision: dict[str, Any],
) -> None:
    stir.set(trunk, verification=VerificationPolicy(**policy))
    age = changes.pop("age", 0)

    verdict = await stir.ask(identity(issued, stir.now - age, **changes))

    assert verdict["verstat"] == verstat
    assert verdict["decision"] == decision
    assert verdict["reasoncode"] == decision["code"]
    assert verdict["reasontext"] == REASONS[decision["code"]]


async def test_an_identity_that_is_required_and_missing_is_428(stir: Stir, trunk: Trunk) -> None:
    stir.set(trunk, verification=VerificationPolicy(identity_required=True))

    verdict = await stir.ask()

    assert (verdict["reasoncode"], verdict["reasontext"]) == (428, "Use Identity Header")
    assert verdict["decision"] == {"action": "reject", "code": 428}


async def test_what_a_failing_header_says_is_not_told_as_fact(stir: Stir, issued: Issued) -> None:
    verdict = await stir.ask(identity(issued, stir.now, dest={"tn": ["1"]}))

    assert verdict["reasoncode"] == 438
    assert not {"attest", "origid"} & verdict.keys()
    assert "validClaims" not in verdict["verifyResults"][0]["verifyResult"]
    assert (stir.records[0].attest, stir.records[0].origid) == ("", "")


# Other PASSporTs

B, C = HOPS[:2]
DIVERTER_NAMES = {
    "subject": "CN=SHAKEN 5678,O=SHAKEN lab",
    "issuer": "CN=Lab STI-CA,O=SHAKEN lab",
    "spc": ["5678"],
}


@pytest.fixture
def calls(stir: Stir, lab_ca: Authority, issued: Issued) -> Calls:
    """Writes the headers of calls; who diverts them has a certificate of its own at hand."""
    diverter = lab_ca.issue_sti(spc="5678", now=at(stir.now))
    stir.desk.publish(diverter, DIVERTER)
    return Calls(issued, diverter, stir.now)


def told(verdict: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    """List type, status and code of the results on each PASSporT."""
    results = [each["verifyResult"] for each in verdict["verifyResults"]]
    return [(each["ppt"], each["status"], each.get("reasonCode")) for each in results]


async def test_diversions_are_told_in_both_forms(stir: Stir, calls: Calls) -> None:
    shaken, first, second = calls.chain(2)

    verdict = verdict_of(
        await stir.post(
            stir.message(
                identityHeader=shaken, identityHeaders=[second, first], dest={"tn": f"+{C}"}
            )
        )
    )

    assert verdict["verstat"] == verdict["verstatValue"] == "TN-Validation-Passed"
    assert (verdict["attest"], verdict["x5u"]) == ("A", X5U)
    assert told(verdict) == [
        ("shaken", "pass", None),
        ("div", "pass", None),
        ("div", "pass", None),
    ]
    assert verdict["verifyResults"][1]["verifyResult"]["validClaims"]["div"] == {"tn": B}
    assert verdict["divResult"] == [
        {"div": {"tn": B}, "verstatValue": "TN-Validation-Passed"},
        {"div": {"tn": DEST}, "verstatValue": "TN-Validation-Passed"},
    ]
    signer = {"x5u": DIVERTER, "signer": DIVERTER_NAMES}
    assert verdict["diversions"] == [
        {"status": "pass", "div": {"tn": DEST}, "dest": {"tn": [B]}, **signer},
        {"status": "pass", "div": {"tn": B}, "dest": {"tn": [C]}, **signer},
    ]


async def test_in_the_atis_form_all_headers_are_in_one_member(stir: Stir, calls: Calls) -> None:
    at_first = await stir.ask(*calls.chain(1), callId="1")
    at_last = await stir.ask(*calls.chain(1), to={"tn": [B]}, callId="1")
    elsewhere = await stir.ask(*calls.chain(1), to={"tn": [C]}, callId="1")

    assert at_first["verstat"] == at_last["verstat"] == "TN-Validation-Passed"
    assert elsewhere["verstat"] == "TN-Validation-Failed"
    assert elsewhere["reasondesc"] == (
        f"the last diversion, from {DEST} to {B}, does not lead to {C}, where the call goes"
    )


async def test_a_link_that_does_not_hold_is_told_where_it_is(stir: Stir, calls: Calls) -> None:
    stale = calls.div(B, C, iat=stir.now - 61)

    verdict = await stir.ask(*calls.chain(1), stale, dest={"tn": C})

    assert (verdict["reasoncode"], verdict["reasontext"]) == (403, "Stale Date")
    assert verdict["reasondesc"].startswith(
        f"diversion 2 of 2, from {B} to {C}, does not hold: iat is 61 s before now"
    )
    assert told(verdict) == [("shaken", "fail", 403), ("div", "pass", None), ("div", "fail", 403)]
    assert [each["verstatValue"] for each in verdict["divResult"]] == [
        "TN-Validation-Passed",
        "TN-Validation-Failed",
    ]
    assert verdict["diversions"][1]["status"] == "fail"
    assert verdict["diversions"][1]["reasoncode"] == 403
    assert verdict["diversions"][1]["reasondesc"].startswith("iat is 61 s before now")
    assert "attest" not in verdict


async def test_a_diversion_that_cannot_be_read_is_told_without_parties(
    stir: Stir, calls: Calls
) -> None:
    verdict = await stir.ask(calls.shaken(), f"a.b.c;info=<{DIVERTER}>;ppt=div", dest={"tn": B})

    assert told(verdict) == [("shaken", "fail", 438), ("div", "fail", 438)]
    assert "divResult" not in verdict
    (diversion,) = verdict["diversions"]
    assert diversion.keys() == {"status", "reasoncode", "reasondesc"}


async def test_a_diversion_of_nobodys_call_is_a_verdict_too(stir: Stir, calls: Calls) -> None:
    verdict = await stir.ask(calls.div(DEST, B), dest={"tn": B})

    assert (verdict["verstat"], verdict["reasoncode"]) == ("TN-Validation-Failed", 438)
    assert told(verdict) == [("div", "pass", None)]
    assert not {"ppt", "attest", "x5u", "signer"} & verdict.keys()
    assert (stir.records[0].code, stir.records[0].certificate) == (438, "")


async def test_passports_in_one_another_are_told_each(stir: Stir, calls: Calls) -> None:
    verdict = await stir.ask(calls.nested(2), dest={"tn": C})

    assert verdict["verstat"] == "TN-Validation-Passed"
    assert told(verdict) == [
        ("shaken", "pass", None),
        ("div-o", "pass", None),
        ("div-o", "pass", None),
    ]
    assert [each["div"]["tn"] for each in verdict["diversions"]] == [DEST, B]


@pytest.mark.parametrize(
    ("lines", "passed"),
    [
        (None, True),
        (["Resource-Priority: ets.0"], True),
        ("Resource-Priority: ets.0", True),
        (["Resource-Priority: ets.1"], False),
        (["Priority: psap-callback"], True),
        ("Resource-Priority: ets.0\r\nPriority: psap-callback", True),
        ("Priority: urgent\r\nResource-Priority: ets.1", False),
        (["Priority: urgent\nResource-Priority: ets.1"], False),
        ("Resource-Priority: ets.0,\r\n ets.1", False),
        ("Resource-Priority:\n\tets.0\n", True),
        (["x" * 500] * 64, True),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_priority_is_told_in_both_forms(
    stir: Stir, calls: Calls, lines: object, *, passed: bool
) -> None:
    rph = calls.beside("rph", rph={"auth": ["ets.0"]}, sph="psap-callback")

    verdict = await stir.ask(calls.shaken(), rph, protectedHeaders=lines)

    assert verdict["verstat"] == "TN-Validation-Passed"
    (priority,) = verdict["priority"]
    if passed:
        assert verdict["verstatPriority"] == "RPH-Validation-Passed"
        assert priority["status"] == "pass"
        assert (priority["auth"], priority["sph"]) == (["ets.0"], "psap-callback")
    else:
        assert verdict["verstatPriority"] == "RPH-Validation-Failed"
        assert (priority["status"], priority["reasoncode"]) == ("fail", 438)
        assert "Resource-Priority is 'ets.1'" in priority["reasondesc"]
        assert "auth" not in priority


async def test_priority_alone_leaves_the_number_unverified(stir: Stir, calls: Calls) -> None:
    verdict = await stir.ask(calls.beside("rph", rph={"auth": ["ets.0"]}))

    assert verdict["verstat"] == "No-TN-Validation"
    assert verdict["verstatPriority"] == "RPH-Validation-Passed"
    assert told(verdict) == [("rph", "pass", None)]


async def test_rich_call_data_is_told(stir: Stir, calls: Calls) -> None:
    data = {"nam": "Q Branch Spy Gadgets", "icn": "https://example.com/logo.png"}
    rcdi = {
        "/nam": "sha256-sM275lTgzCte+LHOKHtU4SxG8shlOo6OS4ot8IJQImY",
        "/icn": "sha256-RojgWwU6xUtI4q82+kHPyHm1JKbm7+663bMvzymhkl4",
    }
    own = calls.beside("rcd", rcd=data, rcdi=rcdi, crn="an order")

    verdict = await stir.ask(calls.shaken(rcd={"nam": "Q"}), own)

    inside, beside = verdict["richCallData"]
    assert (inside["ppt"], inside["status"], inside["rcd"]) == ("shaken", "pass", {"nam": "Q"})
    assert (beside["ppt"], beside["status"], beside["rcd"]) == ("rcd", "pass", data)
    assert beside["crn"] == "an order"
    assert beside["digests"] == {"/nam": "pass", "/icn": "unchecked"}


async def test_rich_call_data_that_does_not_hold_is_shown_to_nobody(
    stir: Stir, calls: Calls
) -> None:
    claims = {"rcd": {"nam": "Evil"}, "rcdi": {"/nam": "sha256-x"}, "crn": "Evil"}

    verdict = await stir.ask(calls.shaken(**claims), calls.beside("rcd", **claims))

    assert verdict["verstat"] == "TN-Validation-Passed"
    inside, beside = verdict["richCallData"]
    for each in (inside, beside):
        assert (each["status"], each["reasoncode"]) == ("fail", 438)
        assert "the digest of /nam does not fit" in each["reasondesc"]
    assert inside["digests"] == {"/nam": "fail"}
    assert told(verdict) == [("shaken", "pass", None), ("rcd", "fail", 438)]
    assert "Evil" not in json.dumps(verdict)


async def test_rich_call_data_of_a_call_that_fails_is_not_told(stir: Stir, calls: Calls) -> None:
    verdict = await stir.ask(calls.shaken(rcd={"nam": "Evil"}, attest="D"))

    assert verdict["reasoncode"] == 438
    assert "richCallData" not in verdict


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        (AnswerForm.ATIS, {"divResult", "verstatPriority", "verifyResults"}),
        (AnswerForm.THREE_GPP, {"reasoncode"}),
        (AnswerForm.BOTH, set()),
    ],
)
async def test_other_passports_are_told_in_the_form_of_the_trunk(
    stir: Stir, trunk: Trunk, calls: Calls, *, form: AnswerForm, missing: set[str]
) -> None:
    stir.set(trunk, answer=form)

    verdict = await stir.ask(
        *calls.chain(1), calls.beside("rph", rph={"auth": ["ets.0"]}), dest={"tn": C}
    )

    everything = {"divResult", "verstatPriority", "verifyResults", "reasoncode"}
    assert everything - missing <= verdict.keys()
    assert not missing & verdict.keys()
    assert {"diversions", "priority"} <= verdict.keys()


@pytest.mark.parametrize(
    ("dest", "target"),
    [
        ({"uri": "sip:b@example.com"}, {"uri": ["sip:b@example.com"]}),
        ({"uri": "URN:Service:SOS"}, {"uri": ["urn:service:sos"]}),
        ({"uri": f"sip:+{B}@example.com;user=phone"}, {"tn": [B]}),
        ({"tn": [B]}, {"tn": [B]}),
    ],
    ids=str,
)
async def test_a_request_uri_is_canonical_before_it_is_compared(
    stir: Stir, calls: Calls, dest: dict[str, Any], target: dict[str, Any]
) -> None:
    verdict = await stir.ask(calls.shaken(), calls.div(DEST, B, dest=target), dest=dest)

    assert verdict["verstat"] == "TN-Validation-Passed"


@pytest.mark.parametrize("to", [{"uri": "URN:Service:SOS"}, {"uri": ["urn:service:sos"]}], ids=str)
async def test_an_emergency_call_is_to_the_urn_of_a_service(
    stir: Stir, issued: Issued, to: dict[str, Any]
) -> None:
    header = identity(issued, stir.now, dest={"uri": ["urn:service:sos"]})

    verdict = await stir.ask(header, to=to)

    assert verdict["verstat"] == "TN-Validation-Passed"


async def test_a_number_with_its_country_in_a_sip_uri_is_the_number(
    stir: Stir, issued: Issued
) -> None:
    header = identity(issued, stir.now)
    call = {
        "from": {"uri": f"sip:+{ORIG}@pbx.example.com"},
        "to": {"uri": f"sip:%2B{DEST}@sip.example.com"},
    }

    verdict = await stir.ask(header, **call)

    assert verdict["verstat"] == "TN-Validation-Passed"


# Replays, and old copies


async def test_the_same_request_id_in_http_does_not_make_two_requests_one_call(
    stir: Stir, issued: Issued
) -> None:
    message = stir.message(identity=identity(issued, stir.now))

    await stir.post(message, X_RequestID="always the same")
    answer = await stir.post(message, X_RequestID="always the same")

    assert json.loads(answer.body)["verificationResponse"]["replayed"] is True


async def test_a_replay_is_reported_unless_it_is_the_same_call(stir: Stir, issued: Issued) -> None:
    header = identity(issued, stir.now)

    first = await stir.ask(header, callId="1")
    again = await stir.ask(header, callId="1")
    other = await stir.ask(header, callId="2")
    nameless = await stir.ask(header)

    assert ["replayed" in each for each in (first, again, other, nameless)] == [
        False,
        False,
        True,
        True,
    ]
    assert other["replayed"] is True
    assert other["verstat"] == "TN-Validation-Passed"


async def test_an_old_copy_is_said_to_be_one(stir: Stir, issued: Issued) -> None:
    stir.desk.publish(issued, stale=True)

    assert (await stir.ask(identity(issued, stir.now)))["stale"] is True


# Answers that take a while


async def test_an_answer_that_waits_for_a_certificate_is_like_any_other(
    stir: Stir, issued: Issued
) -> None:
    stir.desk.files.elsewhere[X5U] = stir.desk.files.at_hand.pop(X5U)

    verdict = await stir.ask(identity(issued, stir.now))

    assert verdict["verstat"] == "TN-Validation-Passed"
    assert stir.desk.files.asked == [X5U]
    assert len(stir.records) == 1


async def test_a_certificate_that_cannot_be_had_is_436(stir: Stir, issued: Issued) -> None:
    stir.desk.files.at_hand.clear()
    stir.desk.files.elsewhere[X5U] = FetchError(Reason.TIMEOUT, "it is slow")

    verdict = await stir.ask(identity(issued, stir.now))

    assert (verdict["reasoncode"], verdict["reasontext"]) == (436, "Bad Identity Info")
    assert verdict["reasondesc"] == f"the certificate at {X5U} cannot be had: it is slow"


async def test_what_fails_while_it_waits_is_an_error_of_the_table(
    stir: Stir, issued: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    stir.desk.files.at_hand.clear()

    answer = await stir.post(stir.message(identity=identity(issued, stir.now)), X_RequestID="9")

    assert (answer.status, answer.headers["X-RequestID"]) == (500, "9")
    assert "POL5000" in answer.body.decode()
    assert "request 9 failed" in caplog.text
    assert stir.records == []


async def test_a_client_that_is_gone_leaves_nothing_behind(stir: Stir, issued: Issued) -> None:
    stir.desk.files.at_hand.clear()
    stir.desk.files.silent.add(X5U)
    message = stir.message(identity=[identity(issued, stir.now), identity(issued, stir.now)])

    for turns in range(4):
        asking = asyncio.create_task(stir.post(message))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    assert stir.records == []


# Errors


@pytest.mark.parametrize(
    ("members", "fault", "variables"),
    [
        ({"from": None}, "SVC4001", ["from"]),
        ({"to": None}, "SVC4001", ["to"]),
        ({"from": {}}, "SVC4001", ["from"]),
        ({"to": {}}, "SVC4001", ["to"]),
        ({"to": {"tn": []}}, "SVC4001", ["to"]),
        ({"from": ORIG}, "SVC4005", ["from"]),
        ({"from": {"tn": [ORIG]}}, "SVC4005", ["from"]),
        ({"from": {"tn": ORIG, "uri": "sip:a@b"}}, "SVC4005", ["from"]),
        ({"from": {"tn": "nobody"}}, "SVC4005", ["from"]),
        ({"to": {"tn": "nobody"}}, "SVC4005", ["to"]),
        ({"to": {"tn": [7]}}, "SVC4005", ["to"]),
        ({"time": "now"}, "SVC4005", ["time"]),
        ({"time": True}, "SVC4005", ["time"]),
        ({"time": 1.5}, "SVC4005", ["time"]),
        ({"identity": 7}, "SVC4005", ["identity"]),
        ({"identity": {}}, "SVC4005", ["identity"]),
        ({"identity": ["x"] * 17}, "SVC4005", ["identity"]),
        ({"identity": "x" * 16385}, "SVC4005", ["identity"]),
        ({"identityHeader": ["x"]}, "SVC4005", ["identityHeader"]),
        ({"identityHeaders": "x"}, "SVC4005", ["identityHeaders"]),
        ({"dest": {}}, "SVC4001", ["dest"]),
        ({"dest": DEST}, "SVC4005", ["dest"]),
        ({"dest": {"tn": "nobody"}}, "SVC4005", ["dest"]),
        ({"protectedHeaders": 7}, "SVC4005", ["protectedHeaders"]),
        ({"protectedHeaders": ["x"] * 65}, "SVC4005", ["protectedHeaders"]),
        ({"protectedHeaders": ["x\nx"] * 33}, "SVC4005", ["protectedHeaders"]),
        ({"protectedHeaders": "x" * 2049}, "SVC4005", ["protectedHeaders"]),
        ({"requestId": "\n"}, "SVC4005", ["requestId"]),
        ({"callId": 7}, "SVC4005", ["callId"]),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_a_client_sends_wrong_is_an_error_of_the_table(
    stir: Stir, members: dict[str, Any], fault: str, variables: list[str]
) -> None:
    answer = await stir.post(stir.message(**members))

    assert answer.status == 400
    error = json.loads(answer.body)["requestError"]["serviceException"]
    assert error["messageId"] == fault
    assert error["variables"][:1] == variables
    assert stir.records == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "SVC4000"),
        (b"x", "SVC4006"),
        (b"[]", "SVC4006"),
        (b"{}", "SVC4001"),
        (b'{"verificationRequest":7}', "SVC4005"),
        (b'{"signingRequest":{}}', "SVC4001"),
    ],
)
async def test_a_body_that_is_no_request_is_an_error(stir: Stir, body: bytes, fault: str) -> None:
    answer = await stir.post(body=body)

    assert answer.status == 400
    assert json.loads(answer.body)["requestError"]["serviceException"]["messageId"] == fault


async def test_only_verifiers_verify(stir: Stir, trunk: Trunk) -> None:
    assert (await stir.post(stir.message(), who="signer")).status == 403
    assert (await stir.post(stir.message(), Authorization="Bearer x")).status == 401
    assert (await stir.post(stir.message(), peer="198.51.100.7")).status == 403
    assert (await stir.post(stir.message(), who="free", peer="198.51.100.7")).status == 200

    for direction, status in (
        (Direction.SIGN, 403),
        (Direction.VERIFY, 200),
        (Direction.AUTO, 200),
    ):
        stir.set(trunk, direction=direction)
        answer = await stir.post(stir.message())
        assert answer.status == status
        assert (status == 200) or "this trunk signs" in answer.body.decode()


# Records


async def test_each_verdict_is_recorded(stir: Stir, issued: Issued, trunk: Trunk) -> None:
    await stir.post(stir.message(identity=identity(issued, stir.now)), X_RequestID="1")
    await stir.post(stir.message(identity="no header"), X_RequestID="2", who="free")
    await stir.post(stir.message(to={"tn": [DEST, "1"]}), X_RequestID="3")

    assert stir.records == [
        CallRecord(
            at=stir.now,
            credential="trunk",
            tenant=trunk.tenant,
            trunk=trunk.name,
            orig=ORIG,
            dest=DEST,
            attest="A",
            origid=ORIGID,
            certificate=X5U,
            request_id="1",
            kind="verified",
            verstat="TN-Validation-Passed",
            code=None,
            action="accept",
            reason=None,
        ),
        CallRecord(
            at=stir.now,
            credential="free",
            tenant=None,
            trunk=None,
            orig=ORIG,
            dest=DEST,
            attest="",
            origid="",
            certificate="",
            request_id="2",
            kind="verified",
            verstat="TN-Validation-Failed",
            code=438,
            action="accept",
            reason="the header cannot be read: unexpected 'h' at character 4 of the Identity value",
        ),
        CallRecord(
            at=stir.now,
            credential="trunk",
            tenant=trunk.tenant,
            trunk=trunk.name,
            orig=ORIG,
            dest=f"{DEST},1",
            attest="",
            origid="",
            certificate="",
            request_id="3",
            kind="verified",
            verstat="No-TN-Validation",
            code=None,
            action="accept",
            reason=None,
        ),
    ]


async def test_a_record_is_bounded_whatever_a_header_holds(stir: Stir, issued: Issued) -> None:
    long = "https://sti.example.com/" + "a" * 5000

    await stir.ask(identity(issued, stir.now, x5u=long, header={"x5u": X5U}))
    stir.desk.publish(issued, long)
    await stir.ask(identity(issued, stir.now, x5u=long, origid="o" * 1000))

    assert all(
        len(value) <= MAX_RECORDED
        for record in stir.records
        for value in record
        if isinstance(value, str)
    )
    assert [record.code for record in stir.records] == [438, None]


# Whatever is sent

ANY = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**19)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def is_of_the_table(verdict: dict[str, Any]) -> bool:
    code = verdict.get("reasoncode")
    results = [each["verifyResult"] for each in verdict.get("verifyResults", [])]
    return (
        code in TABLE
        and verdict["verstat"] in list(Verstat)
        and (code is None) == (verdict["verstat"] != Verstat.FAILED)
        and all(each.get("reasonCode") in TABLE for each in results)
        and verdict.get("reasontext") == REASONS.get(code or 0)
    )


@ANY
@given(st.text(max_size=300) | st.text('a.=;<>",:/ \r\n\tinfopt', max_size=60))
def test_any_text_as_identity_gets_a_verdict(stir: Stir, text: str) -> None:
    answer = asyncio.run(stir.post(stir.message(identity=text)))

    if answer.status == 400:
        # JSON of half a character is no JSON that is read.
        assert any("\ud800" <= each <= "\udfff" for each in text)
    else:
        assert is_of_the_table(verdict_of(answer))


@ANY
@given(st.data())
def test_any_mutation_of_a_header_gets_a_verdict(
    stir: Stir, issued: Issued, data: st.DataObject
) -> None:
    header = identity(issued, stir.now)
    place = data.draw(st.integers(0, len(header)))
    end = place + data.draw(st.integers(0, 5))
    put = data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=3) | st.just(header))
    stir.desk.files.elsewhere = Nowhere()

    verdict = asyncio.run(stir.ask(header[:place] + put + header[end:], callId="1"))

    assert is_of_the_table(verdict)
    if verdict["verstat"] == Verstat.PASSED:
        assert verdict["attest"] == "A"
        assert verdict["x5u"] == X5U


@ANY
@given(
    st.dictionaries(
        st.sampled_from(["attest", "dest", "iat", "orig", "origid", "div", "rcd", "mky"]), JSON
    ),
    st.dictionaries(st.sampled_from(["alg", "typ", "ppt", "x5u", "kid", "b64"]), JSON),
)
def test_any_passport_of_a_trusted_signer_gets_a_verdict(
    stir: Stir, issued: Issued, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    header = {"alg": "ES256", "typ": "passport", "ppt": "shaken", "x5u": X5U, **header}
    usual = {"attest": "A", "dest": {"tn": [DEST]}, "iat": stir.now, "orig": {"tn": ORIG}}
    made = {**usual, "origid": ORIGID, **claims}
    signed = token_of_json(issued.private_key, json.dumps(header), json.dumps(made))

    verdict = asyncio.run(stir.ask(f"{signed};info=<{X5U}>", callId="1"))

    assert is_of_the_table(verdict)


class Nowhere(dict[str, Any]):
    """Repositories of which none is there."""

    def __missing__(self, url: str) -> FetchError:
        return FetchError(Reason.DNS, "there is no such host")
