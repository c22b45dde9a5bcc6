"""The STIR signing route, as a function of plain values (ATIS-1000082, 3GPP TS 24.229 Annex V)."""

import base64
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

import pytest

from shaken.api.stir import MAX_BODY, SIGNING_PATH, StirAnswer, StirApi, StirRequest
from shaken.api.stir_errors import StirFault
from shaken.attestation import Attest, AttestPolicy, ForeignAttest
from shaken.call_records import TEST_REQUEST, is_test
from shaken.credentials import Credential, Role, digest_of
from shaken.passport import decode
from shaken.signing import Signer
from shaken.snapshot import take_snapshot
from shaken.store.calls import CallRecord
from shaken.store.credentials import add_credential
from shaken.store.tenants import add_tenant, replace_trunk
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from shaken.throttle import FAILURES
from sip.identity import parse_identities
from tests.signing import answered, pens_with, signer_with, signing_api
from trust.keys import MasterKey
from trust.selection import Fallback
from trust.store.certificates import StoredCertificate
from trust.store.database import Database

INSIDE, OUTSIDE = "192.0.2.7", "198.51.100.7"
MESSAGE = b"the message, as JSON"
ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"
SECRETS = {
    "trunk": "secret-of-the-trunk",
    "tenant": "secret-of-the-tenant",
    "other": "secret-of-the-other-tenant",
    "unbound": "secret-of-nobody",
    "admin": "secret-of-the-admin",
    "viewer": "secret-of-the-viewer",
    "verifier": "secret-of-the-verifier",
    "listener": "secret-of-the-listener",
    "far": "secret-from-elsewhere",
}


@dataclass
class Stir:
    """The route over a store, and the records of what it signed. `post` asks as a client does."""

    api: StirApi
    database: Database
    now: int
    records: list[CallRecord] = field(default_factory=list)

    def post(
        self,
        message: Mapping[str, Any] | None = None,
        *,
        who: str | None = "trunk",
        body: bytes | None = MESSAGE,
        method: str = "POST",
        path: str = SIGNING_PATH,
        query: str = "",
        peer: str = INSIDE,
        **headers: str | None,
    ) -> StirAnswer:
        """Send a signing request. `headers` use `_` for `-`; None leaves a header out."""
        if body is MESSAGE:
            body = json.dumps({"signingRequest": message or self.message()}).encode()
        given: dict[str, str | None] = {
            "Host": "127.0.0.1:8080",
            "Content-Type": "application/json",
            "Content-Length": str(len(body or b"")),
            "Authorization": None if who is None else f"Bearer {SECRETS[who]}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        sent = {name: value for name, value in given.items() if value is not None}
        request = StirRequest(method, path, query, sent, body)
        snapshot = take_snapshot(self.database)
        return answered(self.api.answer(request, peer=peer, snapshot=snapshot, now=self.now))

    def message(self, **changes: Any) -> dict[str, Any]:
        """A complete signing request; None leaves a member out."""
        made = {
            "attest": "A",
            "dest": {"tn": ["12155559999"]},
            "iat": self.now,
            "orig": {"tn": "12155550100"},
            "origid": ORIGID,
            **changes,
        }
        return {name: value for name, value in made.items() if value is not None}


@pytest.fixture
def stir(
    database: Database, signer: Signer, trunk: Trunk, certificate: StoredCertificate, now: int
) -> Stir:
    """The signing route, with a credential of each kind and a tenant that has nothing."""
    assert certificate
    bob = Tenant("bob.example.com", ("xn--bcher-kva.example",), (), Fallback.NONE)
    with database.changing() as change:
        add_tenant(change, bob)
        for credential in (
            bound("trunk", trunk=trunk.name, tenant=trunk.tenant),
            bound("tenant", tenant=trunk.tenant),
            bound("other", tenant=bob.address),
            bound("unbound"),
            bound("admin", Role.ADMIN),
            bound("viewer", Role.VIEWER),
            bound("verifier", Role.VERIFIER),
            bound("listener", Role.LISTENER),
            replace(bound("far"), networks=(ip_network("203.0.113.0/24"),)),
        ):
            add_credential(change, credential, now=now)
    records: list[CallRecord] = []
    return Stir(signing_api(signer, record=records.append), database, now, records)


def bound(
    name: str, role: Role = Role.SIGNER, *, tenant: str | None = None, trunk: str | None = None
) -> Credential:
    return Credential(name, role, digest_of(SECRETS[name]), tenant, trunk, ())


def body_of(answer: StirAnswer) -> dict[str, Any]:
    body = json.loads(answer.body)
    assert isinstance(body, dict)
    return body


def claims_of(answer: StirAnswer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    identity = body_of(answer)["signingResponse"]["identity"]
    return decode(parse_identities(identity)[0].token).claims


# A signed call


def test_a_signed_call_is_answered_with_exactly_this(
    stir: Stir, certificate: StoredCertificate
) -> None:
    answer = stir.post(X_RequestID="req-1")

    identity = body_of(answer)["signingResponse"]["identity"]
    assert answer.status == 200
    assert answer.headers == {
        "Content-Type": "application/json",
        "X-RequestID": "req-1",
        "X-Certificate": f"{certificate.id}; chosen=tenant",
    }
    assert (
        answer.body
        == json.dumps(
            {"signingResponse": {"identity": identity, "identityHeader": identity}},
            separators=(",", ":"),
        ).encode()
    )
    assert re.fullmatch(
        r"[\w-]+\.[\w-]+\.[\w-]{86};info=<https://sti\.example\.com/certificates/[0-9a-f]{64}\.pem>"
        r";alg=ES256;ppt=shaken",
        identity,
    )
    assert claims_of(answer) == stir.message()


def test_a_signed_call_is_recorded(stir: Stir, certificate: StoredCertificate) -> None:
    message = stir.message(dest={"tn": ["12155559999"], "uri": "sip:bob@example.com"})

    stir.post(message, X_RequestID="req-1")

    assert stir.records == [
        CallRecord(
            at=stir.now,
            credential="trunk",
            tenant="pbx.example.com",
            trunk="main",
            orig="12155550100",
            dest="12155559999,sip:bob@example.com",
            attest="A",
            origid=ORIGID,
            certificate=certificate.id,
            request_id="req-1",
        )
    ]


def test_a_refused_call_is_not_recorded(stir: Stir) -> None:
    stir.post(stir.message(orig={}))
    stir.post(who=None)

    assert stir.records == []


def test_a_trunk_fills_in_what_a_request_leaves_out(stir: Stir, trunk: Trunk) -> None:
    answer = stir.post({"orig": {"tn": "+12155550100"}, "dest": {"tn": ["+12155559999"]}})

    assert claims_of(answer) == stir.message(origid=trunk.origid)


def test_a_heartbeat_of_an_sbc_is_signed_like_any_call(stir: Stir) -> None:
    heartbeat = stir.message(
        orig={"tn": "9999999999"},
        dest={"tn": ["7777777777"]},
        origid="00000000-0000-0000-0000-000000000000",
    )

    assert claims_of(stir.post(heartbeat)) == {**heartbeat, "attest": "B"}
    assert claims_of(stir.post(heartbeat, who="unbound")) == heartbeat


@pytest.mark.parametrize(
    ("dest", "claimed"),
    [
        ({"tn": "12155559999"}, {"tn": ["12155559999"]}),
        ({"tn": ["+1 (215) 555-9999"]}, {"tn": ["12155559999"]}),
        ({"tn": ["911"]}, {"tn": ["911"]}),
        ({"tn": ["*31#"]}, {"tn": ["*31#"]}),
        ({"uri": "sip:Bob@Example.COM;user=phone"}, {"uri": ["sip:Bob@example.com"]}),
        ({"uri": ["sips:bob@example.com:5061"]}, {"uri": ["sips:bob@example.com:5061"]}),
        ({"uri": "sip:*31%23@example.com;user=phone"}, {"tn": ["*31#"]}),
        ({"uri": "URN:Service:SOS"}, {"uri": ["urn:service:sos"]}),
        (
            {"tn": ["1", "2"], "uri": ["sip:a@b.example"]},
            {"tn": ["1", "2"], "uri": ["sip:a@b.example"]},
        ),
        ({"tn": [], "uri": ["sip:a@b.example"]}, {"uri": ["sip:a@b.example"]}),
        ({"tn": ["1"], "cn": "unknown members are passed over"}, {"tn": ["1"]}),
    ],
)
def test_destinations_are_signed_canonically(
    stir: Stir, dest: dict[str, Any], claimed: dict[str, Any]
) -> None:
    assert claims_of(stir.post(stir.message(dest=dest)))["dest"] == claimed


@pytest.mark.parametrize(
    ("orig", "claimed"),
    [
        ({"tn": "+1-215-555-0100"}, {"tn": "12155550100"}),
        (
            {"uri": "SIP:alice@PBX.example.com:5060;transport=tcp"},
            {"uri": "sip:alice@pbx.example.com:5060"},
        ),
        ({"uri": "tel:+1-215-555-0100;verstat=x"}, {"tn": "12155550100"}),
        ({"uri": "tel:215-555-0100;phone-context=+1"}, {"tn": "12155550100"}),
        ({"uri": "sip:+12155550100@pbx.example.com;user=phone"}, {"tn": "12155550100"}),
        ({"uri": "sip:+12155550100@pbx.example.com"}, {"tn": "12155550100"}),
        ({"uri": "sip:%2b12155550100@pbx.example.com;user=phone"}, {"tn": "12155550100"}),
        ({"uri": "sip:+1-215-555-0100;npdi@pbx.example.com"}, {"tn": "12155550100"}),
        (
            {"uri": "sip:+1215555010012345@pbx.example.com"},
            {"uri": "sip:+1215555010012345@pbx.example.com"},
        ),
        (
            {"uri": "sip:++12155550100@pbx.example.com;user=phone"},
            {"uri": "sip:++12155550100@pbx.example.com"},
        ),
        (
            {"uri": "sip:12155550100@pbx.example.com"},
            {"uri": "sip:12155550100@pbx.example.com"},
        ),
    ],
)
def test_callers_are_signed_canonically(
    stir: Stir, orig: dict[str, Any], claimed: dict[str, Any]
) -> None:
    assert claims_of(stir.post(stir.message(orig=orig)))["orig"] == claimed


def test_national_numbers_are_read_as_those_of_the_trunks_country(stir: Stir, trunk: Trunk) -> None:
    change_trunk(stir, trunk, country="US")

    claims = claims_of(
        stir.post(stir.message(orig={"tn": "2155550100"}, dest={"tn": "4155550100"}))
    )

    assert claims["orig"] == {"tn": "12155550100"}
    assert claims["dest"] == {"tn": ["14155550100"]}
    assert claims["attest"] == "A"


def change_trunk(stir: Stir, trunk: Trunk, **changes: Any) -> None:
    with stir.database.changing() as change:
        assert replace_trunk(change, replace(trunk, **changes))


# The forms of ATIS and 3GPP


@pytest.mark.parametrize(
    ("form", "members"),
    [
        (AnswerForm.BOTH, ["identity", "identityHeader", "requestId"]),
        (AnswerForm.ATIS, ["identity", "requestId"]),
        (AnswerForm.THREE_GPP, ["identityHeader", "requestId"]),
    ],
)
def test_a_trunk_says_which_member_of_the_answer_holds_the_identity(
    stir: Stir, trunk: Trunk, form: AnswerForm, members: list[str]
) -> None:
    change_trunk(stir, trunk, answer=form)

    answer = stir.post(stir.message(requestId="r 1"))

    assert list(body_of(answer)["signingResponse"]) == members
    assert body_of(answer)["signingResponse"]["requestId"] == "r 1"


def test_without_a_trunk_both_members_hold_the_identity(stir: Stir) -> None:
    result = body_of(stir.post(who="unbound"))["signingResponse"]

    assert list(result) == ["identity", "identityHeader"]
    assert result["identity"] == result["identityHeader"]


@pytest.mark.parametrize("member", ["div", "rph", "sph"])
def test_what_asks_for_another_passport_without_naming_its_ppt_is_refused(
    stir: Stir, member: str
) -> None:
    answer = stir.post(stir.message(**{member: "x"}))

    assert answer.status == 400
    assert body_of(answer)["requestError"]["serviceException"]["variables"][0] == member


def test_members_of_3gpp_that_say_nothing_here_are_passed_over(stir: Stir) -> None:
    message = stir.message(ppt="shaken", profileId="x", rph={"auth": ["ets.0"]}, requestId="")

    assert claims_of(stir.post(message)) == stir.message()


@pytest.mark.parametrize("ppt", ["div", "rph", "SHAKEN", "", "shaken "])
def test_only_shaken_passports_are_signed(stir: Stir, ppt: str) -> None:
    answer = stir.post(stir.message(ppt=ppt))

    assert fault_of(answer) == ("SVC4005", ["ppt", f"{ppt} is not signed here"])


# X-RequestID


@pytest.mark.parametrize("given", ["1", "x" * 128, "{a-b}:c/d", "~!@#$%^&*()"])
def test_the_request_id_is_echoed(stir: Stir, given: str) -> None:
    assert stir.post(X_RequestID=given).headers["X-RequestID"] == given
    assert stir.post(who=None, X_RequestID=given).headers["X-RequestID"] == given


@pytest.mark.parametrize(
    "hostile",
    ["", "a b", "a\r\nX-Evil: 1", "a\n", "a\tb", "a\0b", "x" * 129, "é", "\ud800", "\x7f"],
)
def test_a_request_id_that_could_do_harm_is_replaced(stir: Stir, hostile: str) -> None:
    answer = stir.post(X_RequestID=hostile)

    assert answer.status == 200
    assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]+", answer.headers["X-RequestID"])
    assert stir.records[0].request_id == answer.headers["X-RequestID"]


def test_a_request_without_id_gets_one_of_its_own(stir: Stir, signer: Signer) -> None:
    other_worker = replace(stir, api=signing_api(signer, record=stir.records.append))

    made = [worker.post().headers["X-RequestID"] for worker in (stir, other_worker) * 3]

    assert len(set(made)) == 6


# Errors


@dataclass(frozen=True)
class Row:
    """A row of the table in ATIS-1000082, and a request that meets it."""

    code: str
    status: int
    text: str
    variables: list[str]
    error: str
    ask: Callable[[Stir], StirAnswer]

    def __str__(self) -> str:
        return f"{self.status} {self.code}"


TOO_LONG = str(MAX_BODY + 1)
TABLE = [
    Row(
        "SVC4000",
        400,
        "Error: Missing request body.",
        [],
        "Missing Request Body",
        lambda stir: stir.post(body=b""),
    ),
    Row(
        "SVC4001",
        400,
        "Error: Missing mandatory parameter '%1'.",
        ["orig"],
        "Missing Mandatory Parameter",
        lambda stir: stir.post(stir.message(orig=None)),
    ),
    Row(
        "SVC4002",
        406,
        "Error: Requested response body type '%1' is not supported.",
        ["text/xml"],
        "Not Acceptable",
        lambda stir: stir.post(Accept="text/xml"),
    ),
    Row(
        "SVC4003",
        404,
        "Error: Requested resource was not found.",
        [],
        "Resource Not Found",
        lambda stir: stir.post(path="/stir/v1/singing"),
    ),
    Row(
        "SVC4004",
        415,
        "Error: Unsupported request body type, expected '%1'.",
        ["application/json"],
        "Unsupported Media Type",
        lambda stir: stir.post(Content_Type="text/plain"),
    ),
    Row(
        "SVC4005",
        400,
        "Error: Invalid '%1' parameter value: %2.",
        ["attest", "Invalid enum value 'D'"],
        "Invalid Parameter Value",
        lambda stir: stir.post(stir.message(attest="D")),
    ),
    Row(
        "SVC4006",
        400,
        "Error: Failed to parse received message body: %1.",
        ["Expecting value at character 0"],
        "Message Body Parsing Failure",
        lambda stir: stir.post(body=b"<xml/>"),
    ),
    Row(
        "SVC4006",
        413,
        "Error: Failed to parse received message body: %1.",
        [f"larger than {MAX_BODY} bytes"],
        "Message Body Too Large",
        lambda stir: stir.post(body=b"", Content_Length=TOO_LONG),
    ),
    Row(
        "SVC4006",
        408,
        "Error: Failed to parse received message body: %1.",
        ["it did not arrive in time"],
        "Request Timeout",
        lambda stir: stir.post(body=None, Content_Length="100"),
    ),
    Row(
        "SVC4007",
        411,
        "Error: Missing mandatory Content-Length header.",
        [],
        "Missing Content-Length",
        lambda stir: stir.post(Content_Length=None),
    ),
    Row(
        "POL4050",
        405,
        "Error: Method not allowed.",
        [],
        "Method Not Allowed",
        lambda stir: stir.post(method="GET"),
    ),
    Row(
        "POL5000",
        500,
        "Error: Internal Server Error. Please try again later.",
        [],
        "Internal Server Error",
        lambda stir: stir.post(who="other"),
    ),
    Row(
        "POL4010",
        401,
        "Error: Authentication required.",
        [],
        "Unauthorized",
        lambda stir: stir.post(who=None),
    ),
    Row(
        "POL4290",
        429,
        "Error: Too many failed authentications, retry in %1 seconds.",
        ["60"],
        "Too Many Requests",
        lambda stir: [stir.post(Authorization="Bearer wrong") for _ in range(FAILURES + 1)][-1],
    ),
    Row(
        "POL4030",
        403,
        "Error: Not permitted: %1.",
        ["this credential is not a signer's"],
        "Forbidden",
        lambda stir: stir.post(who="admin"),
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_an_error_is_answered_as_the_table_has_it(stir: Stir, row: Row) -> None:
    answer = row.ask(stir)

    kind = "policyException" if row.code.startswith("POL") else "serviceException"
    body = body_of(answer)
    detail = body.pop("detail")
    assert answer.status == row.status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-RequestID"]
    assert "X-Certificate" not in answer.headers
    assert body == {
        "requestError": {
            kind: {"messageId": row.code, "text": row.text, "variables": row.variables}
        },
        "error": row.error,
    }
    assert detail
    assert "%" not in detail
    assert not detail.startswith("Error")


def test_the_table_holds_every_error() -> None:
    assert {(row.code, row.status, row.text, row.error) for row in TABLE} == {
        (fault.value.code, fault.value.status, fault.value.text, fault.value.error)
        for fault in StirFault
    }


def fault_of(answer: StirAnswer) -> tuple[str, list[str]]:
    """Return the messageId and the variables of an error."""
    ((_, exception),) = body_of(answer)["requestError"].items()
    return exception["messageId"], exception["variables"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", "\ud800"])
def test_other_methods_are_told_the_one_there_is(stir: Stir, method: str) -> None:
    answer = stir.post(method=method)

    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "path",
    ["", "/", "/stir/v1/signing/", "/stir/v1/Signing", "/stir/v2/signing", "/stir/v1/verification"],
)
def test_other_paths_are_told_the_one_there_is(stir: Stir, path: str) -> None:
    answer = stir.post(path=path)

    assert answer.status == 404
    assert body_of(answer)["detail"] == "requests go to /stir/v1/signing"


def test_a_client_without_a_credential_is_told_how_to_present_one(stir: Stir) -> None:
    challenge = stir.post(who=None).headers["WWW-Authenticate"]

    assert challenge == 'Bearer, Basic realm="stir", charset="UTF-8"'


# In which order errors are found


@pytest.mark.parametrize(
    "mistake",
    [
        {"body": b""},
        {"body": b"x"},
        {"Content_Type": "text/plain"},
        {"Content_Length": None},
        {"Content_Length": TOO_LONG},
        {"Accept": "text/xml"},
        {"query": "tenant=pbx.example.com"},
        {"query": "tenant=nobody.example.com"},
        {"Host": "pbx.example.com"},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic !", "Bearer \ud800"])
def test_whoever_is_unknown_learns_nothing_else(
    stir: Stir, mistake: dict[str, Any], authorization: str | None
) -> None:
    answer = stir.post(**{"Authorization": authorization, "X_RequestID": "1", **mistake})

    assert answer == stir.post(Authorization=authorization, X_RequestID="1")
    assert answer.status == 401


def test_the_first_mistake_is_the_one_that_is_answered(stir: Stir) -> None:
    mistakes: list[tuple[int, dict[str, Any]]] = [
        (404, {"path": "/stir/v1/verification"}),
        (405, {"method": "GET"}),
        (401, {"Authorization": "Bearer wrong"}),
        (411, {"Content_Length": None}),
        (415, {"Content_Type": "text/plain"}),
        (406, {"Accept": "text/xml"}),
        (413, {"Content_Length": TOO_LONG}),
        (400, {"body": b"x"}),
        (400, {"query": "tenant=nobody.example.com"}),
    ]
    for start, (status, _) in enumerate(mistakes):
        made = {
            name: value
            for _, mistake in reversed(mistakes[start:])
            for name, value in mistake.items()
        }

        assert stir.post(who="unbound", **made).status == status


# Headers


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 200),
        ("*/*", 200),
        ("application/json", 200),
        ("APPLICATION/JSON", 200),
        ("application/*", 200),
        ("application/json; charset=utf-8", 200),
        ("text/html, application/json;q=0.9, */*;q=0.1", 200),
        ("text/html,*/*", 200),
        ("", 406),
        ("text/*", 406),
        ("application/xml", 406),
        ("application/problem+json", 406),
        ("\ud800", 406),
    ],
)
def test_json_must_be_accepted(stir: Stir, accept: str | None, status: int) -> None:
    assert stir.post(Accept=accept).status == status


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON ;charset=utf-8", 200),
        (" application/json", 200),
        (None, 415),
        ("", 415),
        ("text/json", 415),
        ("application/json+x", 415),
        ("application/x-www-form-urlencoded", 415),
        ("\ud800", 415),
    ],
)
def test_the_body_must_be_json(stir: Stir, content_type: str | None, status: int) -> None:
    assert stir.post(Content_Type=content_type).status == status


@pytest.mark.parametrize(
    ("encoding", "status"),
    [
        ("gzip", 415),
        ("br", 415),
        ("identity, GZIP", 415),
        ("", 200),
        (" Identity ", 200),
        ("utf-8", 200),
    ],
)
def test_the_body_must_not_be_compressed(stir: Stir, encoding: str, status: int) -> None:
    assert stir.post(Content_Encoding=encoding).status == status


def test_the_size_of_a_body_is_bounded(stir: Stir) -> None:
    body = json.dumps({"signingRequest": stir.message()}).encode()

    assert stir.post(body=body.ljust(MAX_BODY)).status == 200
    assert stir.post(body=body.ljust(MAX_BODY + 1)).status == 413


@pytest.mark.parametrize(
    "length", ["", "-1", "1e3", "0x10", "ten", "\N{SUPERSCRIPT TWO}", "9" * 30]
)
def test_a_length_that_is_no_number_is_no_reason_to_fail(stir: Stir, length: str) -> None:
    assert stir.post(body=b"", Content_Length=length).status in {400, 413}


def test_words_of_the_client_come_back_short_and_in_ascii(stir: Stir) -> None:
    answer = stir.post(Accept="text/\x1b[31mé\ud800" + "x" * 500)

    (variable,) = fault_of(answer)[1]
    assert variable.startswith(r"text/\x1b[31m\xe9\ud800xxx")
    assert len(variable) == 200


# Who signs for whom


@pytest.mark.parametrize(
    ("who", "host", "query", "address"),
    [
        ("trunk", "bob.example.com", "", "pbx.example.com"),
        ("tenant", "bob.example.com", "", "pbx.example.com"),
        ("tenant", "127.0.0.1", "tenant=pbx.example.com", "pbx.example.com"),
        ("tenant", "127.0.0.1", "tenant=SIP.example.com.", "pbx.example.com"),
        ("tenant", "127.0.0.1", "tenant=", "pbx.example.com"),
        ("unbound", "pbx.example.com", "", "pbx.example.com"),
        ("unbound", "pbx.example.com:8080", "", "pbx.example.com"),
        ("unbound", "PBX.Example.COM.", "", "pbx.example.com"),
        ("unbound", "sip.example.com", "", "pbx.example.com"),
        ("unbound", "bob.example.com", "tenant=sip.example.com", "pbx.example.com"),
        ("unbound", "bob.example.com", "a=b&tenant=pbx.example.com&c", "pbx.example.com"),
        ("unbound", "bob.example.com", "tenant=pbx%2Eexample%2Ecom", "pbx.example.com"),
        ("unbound", "127.0.0.1:8080", "", None),
        ("unbound", "[2001:db8::1]:8080", "", None),
        ("unbound", "unknown.example.com", "", None),
        ("unbound", "", "", None),
        ("unbound", None, "", None),
        ("unbound", "\ud800", "", None),
        ("unbound", "x" * 5000, "", None),
    ],
)
def test_a_call_is_signed_for(
    stir: Stir, who: str, host: str | None, query: str, address: str | None
) -> None:
    answer = stir.post(who=who, query=query, Host=host)

    assert answer.status == 200
    assert [record.tenant for record in stir.records] == [address]
    chosen = "first" if address is None else "tenant"
    assert answer.headers["X-Certificate"].endswith(f"; chosen={chosen}")


def test_a_tenant_may_be_named_in_any_spelling_of_its_address(
    stir: Stir, add_certificate: Callable[..., StoredCertificate]
) -> None:
    add_certificate(tenant="bob.example.com")

    assert stir.post(who="unbound", query="tenant=b%C3%BCcher.example").status == 200
    assert [record.tenant for record in stir.records] == ["bob.example.com"]


@pytest.mark.parametrize(
    ("who", "query"),
    [
        ("tenant", "tenant=bob.example.com"),
        ("tenant", "tenant=unknown.example.com"),
        ("other", "tenant=pbx.example.com"),
        ("unbound", "tenant=unknown.example.com"),
        ("unbound", "tenant=*"),
        ("unbound", "tenant=%ED%A0%80"),
        ("unbound", "tenant=a&tenant=pbx.example.com"),
    ],
)
def test_a_tenant_that_is_not_ones_own_is_as_unknown_as_any(
    stir: Stir, who: str, query: str
) -> None:
    answer = stir.post(who=who, query=query)

    assert answer.status == 400
    assert fault_of(answer) == ("SVC4005", ["tenant", "no tenant of yours has this address"])


@pytest.mark.parametrize(
    "query", ["&".join(["a=b"] * 17), "&" * 5000, "%", "tenant", "=", ";", "a=%zz"]
)
def test_a_strange_query_is_no_reason_to_fail(stir: Stir, query: str) -> None:
    assert stir.post(who="unbound", query=query).status in {200, 400}


@pytest.mark.parametrize("who", ["admin", "viewer", "verifier", "listener"])
def test_only_a_signers_credential_signs(stir: Stir, who: str) -> None:
    answer = stir.post(who=who)

    assert answer.status == 403
    assert fault_of(answer) == ("POL4030", ["this credential is not a signer's"])


def test_basic_authentication_is_as_good_as_a_bearer_secret(stir: Stir) -> None:
    pair = base64.b64encode(f"trunk:{SECRETS['trunk']}".encode()).decode()

    assert stir.post(Authorization=f"Basic {pair}").status == 200


def test_a_credential_bound_to_networks_is_unknown_elsewhere(stir: Stir) -> None:
    assert stir.post(who="far", peer="203.0.113.9").status == 200
    assert stir.post(who="far", peer=INSIDE).status == 401


def test_a_source_that_failed_too_often_is_told_how_long_to_wait(stir: Stir) -> None:
    for _ in range(FAILURES):
        assert stir.post(Authorization="Bearer wrong").status == 401

    answer = stir.post(Authorization="Bearer wrong")

    assert (answer.status, answer.headers["Retry-After"]) == (429, "60")
    assert "a right one passes at once" in body_of(answer)["detail"]
    assert "Retry-After" not in stir.post(who="admin").headers


def test_a_right_secret_signs_also_from_where_others_fail(stir: Stir) -> None:
    for _ in range(100):
        stir.post(Authorization="Bearer wrong")

    assert stir.post().status == 200


def test_who_asks_before_it_presents_a_secret_is_asked_for_it_each_time(stir: Stir) -> None:
    answers = [stir.post(who=None) for _ in range(FAILURES + 1)]

    assert {answer.status for answer in answers} == {401}
    assert "WWW-Authenticate" in answers[-1].headers


# The trunk's policy


def test_a_trunk_that_verifies_does_not_sign(stir: Stir, trunk: Trunk) -> None:
    change_trunk(stir, trunk, direction=Direction.VERIFY)

    answer = stir.post()

    assert answer.status == 403
    assert fault_of(answer) == ("POL4030", ["this trunk verifies, it does not sign"])


@pytest.mark.parametrize("direction", [Direction.SIGN, Direction.AUTO])
def test_a_trunk_that_signs_signs(stir: Stir, trunk: Trunk, direction: Direction) -> None:
    change_trunk(stir, trunk, direction=direction)

    assert stir.post().status == 200


def test_a_trunk_is_used_from_its_networks_only(stir: Stir) -> None:
    assert stir.post(peer="::ffff:192.0.2.7").status == 200

    answer = stir.post(peer=OUTSIDE)

    assert answer.status == 403
    assert fault_of(answer) == ("POL4030", ["this address is none of the trunk's networks"])


def test_a_foreign_number_gets_no_more_than_the_trunk_allows(stir: Stir) -> None:
    foreign = stir.message(orig={"tn": "12125550100"})

    assert claims_of(stir.post(foreign))["attest"] == "B"
    assert stir.records[0].attest == "B"


def test_a_trunk_may_refuse_foreign_numbers(stir: Stir, trunk: Trunk) -> None:
    change_trunk(stir, trunk, attest=AttestPolicy(Attest.A, ForeignAttest.REFUSE))

    answer = stir.post(stir.message(orig={"tn": "12125550100"}))

    assert answer.status == 403
    code, (why,) = fault_of(answer)
    assert code == "POL4030"
    assert why.startswith("12125550100 is none of the tenant's numbers")


def test_no_client_names_its_request_as_test_calls_are_named(stir: Stir) -> None:
    answer = stir.post(X_RequestID=f"{TEST_REQUEST}1")

    assert answer.status == 200
    assert not is_test(answer.headers["X-RequestID"])
    assert not is_test(stir.records[-1].request_id)


# The service itself


def test_a_service_that_cannot_sign_says_why_in_the_answer_and_in_the_log(
    stir: Stir, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = stir.post(who="other", X_RequestID="req-1")

    said = "no STI certificate with a key is valid now for bob.example.com"
    assert answer.status == 500
    assert said in body_of(answer)["detail"]
    assert said in caplog.text


def test_a_service_without_a_url_names_the_setting(stir: Stir, master: MasterKey) -> None:
    signer = signer_with(pens_with(master, public_url=""))
    api = signing_api(signer, record=stir.records.append)

    answer = replace(stir, api=api).post()

    assert answer.status == 500
    assert "set public_url" in body_of(answer)["detail"]


def test_whatever_fails_the_client_gets_an_answer_that_tells_nothing(
    stir: Stir, signer: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(call: CallRecord) -> None:
        raise RuntimeError(f"secret of {call.credential}")

    answer = replace(stir, api=signing_api(signer, record=fail)).post(X_RequestID="req-1")

    assert answer.status == 500
    assert fault_of(answer) == ("POL5000", [])
    assert b"secret" not in answer.body
    assert "request req-1 failed" in caplog.text
