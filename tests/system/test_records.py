"""Every call leaves a record in the database, also when the service ends behind it."""

import sqlite3
from pathlib import Path
from typing import Any

from tests.system.caller import Caller
from tests.system.process import Service, read_demo, running, until

SELECTION = (
    "SELECT credential, tenant, trunk, orig, dest, attest, origid, certificate, request_id"
    " FROM calls ORDER BY sequence"
)


def records(data: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{data / 'shaken.sqlite'}?mode=ro", uri=True)
    try:
        return connection.execute(SELECTION).fetchall()
    finally:
        connection.close()


def signed(caller: Caller, number: int) -> str:
    """Sign a call to a number of its own; return the certificate that did it."""
    answer = caller.saying(X_RequestID=f"call-{number}").sign(
        dest={"tn": [f"+1215555{number:04d}"]}
    )
    assert answer.status == 200
    return answer.headers["x-certificate"].partition(";")[0]


def test_a_signed_call_is_recorded_with_who_asked_and_what_was_said(
    service: Service, signer: Caller, admin: Caller
) -> None:
    certificate = signed(signer, 7)
    origid = admin.get("/api/v1/trunks/demo").json()["origid"]

    for _ in until("the record is in the database"):
        found = [row for row in records(service.data) if row[-1] == "call-7"]
        if found:
            break
    parties = ("12155550100", "12155550007", "A", origid)
    assert found == [("demo-signer", "pbx.example.com", "demo", *parties, certificate, "call-7")]


def test_a_call_that_is_refused_leaves_no_record(service: Service, signer: Caller) -> None:
    refused = signer.saying(X_RequestID="refused").sign(attest="D")
    stranger = signer.having("shk_wrong").saying(X_RequestID="refused").sign()

    service.end()

    assert (refused.status, stranger.status) == (400, 401)
    assert [row for row in records(service.data) if row[-1] == "refused"] == []


def test_calls_signed_right_before_the_end_are_recorded(service: Service, signer: Caller) -> None:
    connection = signer.connect()
    for number in range(50):
        answer = signer.saying(X_RequestID=f"call-{number}").sign(over=connection)
        assert answer.status == 200
    service.end()
    connection.close()

    found = [row[-1] for row in records(service.data)]
    assert [request for request in found if request.startswith("call-")] == [
        f"call-{number}" for number in range(50)
    ]
    assert len(found) == 52  # and the demo's own, signed and verified


def test_a_call_that_is_signed_and_verified_is_found_by_its_number(
    service: Service, signer: Caller, admin: Caller, demo: dict[str, Any]
) -> None:
    identity = signer.sign(dest={"tn": ["+12155550008"]}).json()["signingResponse"]["identity"]
    verifier = Caller(service.url, demo["verifier"]["secret"])

    verdict = verify(verifier, identity, "12155550008")

    signed, verified = both_calls(admin, "%2B1-215-555-0008")
    assert verdict["verstat"] == verified["verstat"] == "TN-Validation-Passed"
    assert (signed["kind"], verified["kind"]) == ("signed", "verified")
    assert (verified["action"], verified["code"], verified["reason"]) == ("accept", None, None)
    assert verified["credential"] == "demo-verifier"
    for member in ("orig", "dest", "attest", "origid", "tenant"):
        assert signed[member] == verified[member]
    assert verified["certificate"].endswith(f"/certificates/{signed['certificate']}.pem")


def test_numbers_that_are_kept_hashed_are_in_no_file_and_found_all_the_same(
    tmp_path: Path,
) -> None:
    with running(tmp_path, "--demo", settings={"SHAKEN_RECORDS__NUMBERS": "hashed"}) as service:
        demo = read_demo(service.data)
        signer, verifier, admin = (
            Caller(service.url, demo[role]["secret"]) for role in ("signer", "verifier", "admin")
        )
        called = {"tn": ["12155550009", "12155550019"]}
        identity = signer.sign(dest=called).json()["signingResponse"]["identity"]
        verdict = verify(verifier, identity, "12155550029")

        signed, _ = both_calls(admin, "12155550100", beside=2)[-2:]
        (by_dest,) = admin.get("/api/v1/calls?number=12155550019").json()["items"]
        (verified,) = admin.get("/api/v1/calls?number=12155550029").json()["items"]
        by_hash = admin.get(f"/api/v1/calls?number={by_dest['dest'][1]}").json()["items"]

    assert signed["orig"] == verified["orig"] == by_dest["orig"]
    assert by_hash == [by_dest]
    assert "12155550029" in verdict["reasondesc"]
    assert verified["verstat"] == "TN-Validation-Failed"
    assert "hmac:" in verified["reason"]
    stored = b"".join(file.read_bytes() for file in service.data.glob("shaken.sqlite*"))
    assert [
        each for each in (b"12155550009", b"12155550019", b"12155550029") if each in stored
    ] == []


def verify(verifier: Caller, identity: str, dest: str) -> dict[str, Any]:
    """Ask for the verdict on a call of the demo."""
    request = {
        "verificationRequest": {
            "from": {"tn": "12155550100"},
            "to": {"tn": [dest]},
            "identity": identity,
        }
    }
    answer = verifier.post("/stir/v1/verification", request)
    assert answer.status == 200, answer
    verdict: dict[str, Any] = answer.json()["verificationResponse"]
    return verdict


def both_calls(admin: Caller, number: str, *, beside: int = 0) -> list[dict[str, Any]]:
    """Wait for two calls on record, beside so many others; the oldest comes first."""
    found: list[dict[str, Any]] = []
    for _ in until("both calls are on record"):
        found = admin.get(f"/api/v1/calls?number={number}").json()["items"]
        if len(found) == 2 + beside:
            break
    return found[::-1]
