"""Every signed call leaves a record in the database, also when the service ends behind it."""

import sqlite3
from pathlib import Path
from typing import Any

from tests.system.caller import Caller
from tests.system.process import Service, until

SELECTION = (
    "SELECT credential, tenant, trunk, orig, dest, attest, origid, certificate, request_id"
    " FROM signed_calls ORDER BY sequence"
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

    for _ in until("the record is in the database", seconds=5):
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
    assert len(found) == 51  # and the demo's own
