"""A PBX that asks by SIP gets its Identity, or its verdict, from the running service."""

import json
import shutil
import socket
import subprocess
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sip.message import Request, Response
from sip.parsing import parse
from tests.ports import free_port
from tests.sip.messages import request
from tests.system.caller import Caller
from tests.system.independent import verified_claims
from tests.system.process import read_demo, running, until_each_socket

SCENARIOS = Path(__file__).parent / "sipp"
CALLS = 400


OUTBOUND, INBOUND, STRICT, DIVERTING = "127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4"
TRUNKS: dict[str, dict[str, Any]] = {
    OUTBOUND: {"direction": "sign"},
    INBOUND: {"direction": "verify"},
    STRICT: {
        "direction": "verify",
        "verification": {"identity_required": True, "invalid": "reject"},
    },
    DIVERTING: {"direction": "sign", "sip": {"divert": True}},
}
"""Trunks of the demo's tenant, by the address that each calls from."""


@dataclass(frozen=True)
class Sbc:
    """The service as a PBX reaches it by SIP, and its administrator."""

    port: int
    admin: Caller


@pytest.fixture(scope="module")
def sbc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sbc]:
    """Two workers that listen for SIP over UDP and TCP."""
    port = free_port()
    settings = {
        "SHAKEN_SIP__UDP": f"127.0.0.1:{port}",
        "SHAKEN_SIP__TCP": f"127.0.0.1:{port}",
    }
    folder = tmp_path_factory.mktemp("sbc")
    with running(folder, "--demo", "--workers", "2", settings=settings) as service:
        demo = read_demo(service.data)
        sbc = Sbc(port, Caller(service.url, demo["admin"]["secret"]))
        for address, trunk in TRUNKS.items():
            sip = {"sources": [address], **trunk.get("sip", {})}
            body = {"name": address, "tenant": demo["tenant"], **trunk, "sip": sip}
            made = sbc.admin.post("/api/v1/trunks", body)
            assert made.status == 201, made
        _wait_for_all_workers(sbc, address)
        yield sbc


def _wait_for_all_workers(sbc: Sbc, address: str) -> None:
    """Wait until whichever worker gets a request knows the trunk that was made last."""
    numbers = count()

    def known() -> bool:
        with pbx_at(sbc, address) as pbx:
            answer = pbx.ask(request("OPTIONS", branch=f"z9hG4bK-{next(numbers)}"))
        return answer.status == 200

    until_each_socket("the workers know the trunks", known)


class Pbx:
    """A UDP socket that speaks SIP, at an address of its own on loopback."""

    def __init__(self, sbc: Sbc, address: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.connect(("127.0.0.1", sbc.port))
        self._socket.settimeout(20)

    def ask_raw(self, message: Request) -> bytes:
        """Send a request; return the final response as it came."""
        self._socket.send(message.serialise())
        while True:
            answer = self._socket.recv(65536)
            if not answer.startswith(b"SIP/2.0 1"):
                return answer

    def ask(self, message: Request) -> Response:
        """Send a request; return its final response."""
        answer = parse(self.ask_raw(message))
        assert isinstance(answer, Response)
        return answer

    def close(self) -> None:
        self._socket.close()


@contextmanager
def pbx_at(sbc: Sbc, address: str) -> Iterator[Pbx]:
    pbx = Pbx(sbc, address)
    try:
        yield pbx
    finally:
        pbx.close()


def claims_of(identity: str) -> dict[str, Any]:
    payload = identity.split(".")[1]
    decoded = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    claims: dict[str, Any] = json.loads(decoded)
    return claims


def test_an_invite_is_redirected_with_an_identity_that_verifies(sbc: Sbc) -> None:

    with pbx_at(sbc, OUTBOUND) as pbx, pbx_at(sbc, INBOUND) as callee:
        redirected = pbx.ask(request(branch="z9hG4bK-sign", call_id="outbound-1"))
        identity = redirected.header("Identity")
        assert identity is not None
        verdict = callee.ask(
            request(branch="z9hG4bK-verify", call_id="inbound-1", headers=(("Identity", identity),))
        )
        other = request(
            branch="z9hG4bK-other",
            call_id="inbound-2",
            to="<sip:+12155550111@sbc.example.com>",
            headers=(("Identity", identity),),
        )
        wrong = callee.ask(other)

    assert redirected.status == 302
    assert redirected.header("Contact") == "<sip:+12155550199@sbc.example.com>"
    claims = verified_claims(sbc.admin, identity)
    assert (claims["orig"], claims["dest"]) == (
        {"tn": "12155550100"},
        {"tn": ["12155550199"]},
    )
    assert verdict.status == 302
    assert verdict.header("P-Asserted-Identity") == (
        '"Alice" <sip:+12155550100;verstat=TN-Validation-Passed@pbx.example.com>'
    )
    assert verdict.header("P-Attestation-Indicator") == claims["attest"]
    assert verdict.header("P-Origination-ID") == claims["origid"]
    assert verdict.header("Reason") is None
    assert wrong.status == 302
    assert "verstat=TN-Validation-Failed" in str(wrong.header("P-Asserted-Identity"))
    assert wrong.header("Reason") == 'STIR;cause=438;text="Invalid Identity Header"'
    assert wrong.header("P-Attestation-Indicator") is None


def test_a_policy_that_rejects_ends_the_call(sbc: Sbc) -> None:

    with pbx_at(sbc, STRICT) as callee:
        missing = callee.ask(request(branch="z9hG4bK-428", call_id="strict-1"))
        headers = (("Identity", "e30.e30.e30;info=<https://sti.example.com/a.pem>"),)
        invalid = callee.ask(request(branch="z9hG4bK-438", call_id="strict-2", headers=headers))

    assert (missing.status, missing.reason) == (428, "Use Identity Header")
    assert (invalid.status, invalid.reason) == (438, "Invalid Identity Header")


def test_a_retransmitted_invite_gets_the_very_same_response(sbc: Sbc) -> None:
    invite = request(branch="z9hG4bK-again", call_id="again-1")

    with pbx_at(sbc, OUTBOUND) as pbx:
        answers = {pbx.ask_raw(invite) for _ in range(5)}

    assert len(answers) == 1


def test_strangers_are_refused_and_no_call_of_theirs_is_signed(sbc: Sbc) -> None:
    with pbx_at(sbc, "127.0.9.9") as stranger:
        refused = stranger.ask(request(branch="z9hG4bK-stranger", call_id="stranger-1"))

    assert refused.status == 403
    assert "127.0.9.9" in str(refused.header("Reason"))
    assert refused.header("Identity") is None


@pytest.mark.parametrize(
    ("method", "status"),
    [("OPTIONS", 200), ("REGISTER", 405), ("BYE", 405), ("FROBNICATE", 501)],
)
def test_what_is_no_invite_is_answered_as_the_rfc_says(sbc: Sbc, method: str, status: int) -> None:

    with pbx_at(sbc, INBOUND) as pbx:
        answer = pbx.ask(request(method, branch=f"z9hG4bK-{method}", call_id=f"{method}-1"))

    assert answer.status == status
    assert answer.header("Allow") == "INVITE, ACK, CANCEL, OPTIONS"


def test_a_call_that_was_diverted_gets_a_div_passport(sbc: Sbc) -> None:
    first = "<sip:+12155550177@pbx.example.com>"

    with pbx_at(sbc, OUTBOUND) as pbx:
        shaken = pbx.ask(request(branch="z9hG4bK-d1", call_id="div-1", to=first)).header("Identity")
    assert shaken is not None
    with pbx_at(sbc, DIVERTING) as pbx:
        headers = (("Identity", shaken), ("Diversion", f"{first};reason=unconditional"))
        diverted = pbx.ask(request(branch="z9hG4bK-d2", call_id="div-2", headers=headers))
    div = diverted.header("Identity")
    assert div is not None
    with pbx_at(sbc, INBOUND) as callee:
        both = (("Identity", shaken), ("Identity", div))
        verdict = callee.ask(request(branch="z9hG4bK-d3", call_id="div-3", headers=both))

    claims = claims_of(div)
    assert claims["div"] == {"tn": "12155550177"}
    assert claims["dest"] == {"tn": ["12155550199"]}
    assert "verstat=TN-Validation-Passed" in str(verdict.header("P-Asserted-Identity"))


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_thousands_of_calls_of_sipp_are_all_signed(
    sbc: Sbc, tmp_path: Path, transport: str
) -> None:
    program = shutil.which("sipp")
    assert program, "sipp is missing: install the Debian package sip-tester"

    ran = subprocess.run(
        [
            *(program, f"127.0.0.1:{sbc.port}", "-sf", str(SCENARIOS / "signed.xml")),
            *("-i", OUTBOUND, "-t", transport, "-m", str(CALLS), "-r", "200"),
            *("-l", str(2 * CALLS), "-nostdin", "-timeout", "60", "-timeout_error"),
            *("-trace_logs", "-log_file", str(tmp_path / "identities.log")),
            *("-trace_err", "-error_file", str(tmp_path / "errors.log")),
        ],
        cwd=tmp_path,
        env={"TERM": "dumb"},
        capture_output=True,
        check=False,
        timeout=90,
    )

    assert ran.returncode == 0, ran.stdout.decode("latin-1")[-2000:]
    lines = (tmp_path / "identities.log").read_text().splitlines()
    identities = [line for line in lines if line.count(".") >= 2]
    assert len(identities) == len(set(identities)) == CALLS
    for identity in identities:
        assert verified_claims(sbc.admin, identity.strip())["dest"] == {"tn": ["12155550199"]}
