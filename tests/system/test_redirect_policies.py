"""SIP redirect of the real service: what its trunks say, slow fetches, workers that end."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.ports import free_port
from tests.system.caller import Caller
from tests.system.inbound import LAB, Carrier, identity, trust
from tests.system.independent import verified_claims
from tests.system.pbx import DEST, ORIG, Pbx, over_tcp, over_udp, request, sipp
from tests.system.process import Service, read_demo, running, until, until_each_socket

CALLS = 100
WORKERS = 2
PASSED = "TN-Validation-Passed"


@dataclass(frozen=True)
class Redirecting:
    """A service with its SIP port, the same for UDP and TCP, and who administers it."""

    service: Service
    port: int
    admin: Caller

    def trunk(self, name: str, *, attest: str = "A", **settings: object) -> None:
        """Make a trunk of the demo's tenant, known to every worker when this returns."""
        self._change("POST", "/api/v1/trunks", name, attest, settings)

    def change(self, name: str, *, attest: str = "A", **settings: object) -> None:
        """Replace its settings."""
        self._change("PUT", f"/api/v1/trunks/{name}", name, attest, settings)

    def _change(
        self, method: str, path: str, name: str, attest: str, settings: dict[str, object]
    ) -> None:
        body = {"attest": attest, "tenant": "pbx.example.com", **settings}
        answer = self.admin.call(method, path, {"name": name, **body} if method == "POST" else body)
        assert answer.status in {200, 201}, answer.body

    def calls(self, call_id: str) -> list[dict[str, Any]]:
        """List the records of a call, when there is one."""
        for _ in until("the call is on record"):
            items = self.admin.get("/api/v1/calls?limit=500").json()["items"]
            found = [item for item in items if item["request_id"] == call_id]
            if found:
                break
        return found


@pytest.fixture(scope="module")
def redirecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redirecting]:
    """Two workers; trunk `out` of 127.0.0.1 tells by Identity what is to be done."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    settings = {"SHAKEN_SIP__UDP": address, "SHAKEN_SIP__TCP": address}
    folder = tmp_path_factory.mktemp("redirect")
    with running(folder, "--demo", "--workers", str(WORKERS), settings=settings) as service:
        admin = Caller(service.url, read_demo(service.data)["admin"]["secret"])
        made = Redirecting(service, port, admin)
        made.trunk("out", sip={"sources": ["127.0.0.1"]})
        settle(made, "127.0.0.1")
        yield made


def settle(redirecting: Redirecting, source: str) -> None:
    """Ask until each worker knows a source; many ports meet them all."""

    def is_known() -> bool:
        with over_udp(redirecting.port, source=source) as pbx:
            return pbx.ask(request("OPTIONS")).status == 200

    until_each_socket("every worker knows the source", is_known)


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_calls_of_sipp_go_out_signed_and_come_in_verified(
    redirecting: Redirecting, tmp_path: Path, transport: str
) -> None:
    port = redirecting.port
    log = sipp("signed", port, tmp_path / "out", calls=CALLS, transport=transport)
    identities = [line.strip() for line in log if line.count(".") >= 2]
    fields = "\n".join(identities)
    sipp("inbound", port, tmp_path / "in", calls=CALLS, transport=transport, inject=fields)

    assert len(set(identities)) == CALLS
    for each in identities:
        claims = verified_claims(redirecting.admin, each)
        assert (claims["orig"], claims["dest"]) == ({"tn": ORIG[1:]}, {"tn": [DEST[1:]]})
        assert claims["attest"] == "A"


@pytest.mark.parametrize("over", [over_udp, over_tcp])
def test_an_invite_that_comes_again_gets_the_very_same_bytes(
    redirecting: Redirecting, over: Callable[[int], AbstractContextManager[Pbx]]
) -> None:
    invite = request()
    call_id = request_id(invite)

    with over(redirecting.port) as pbx:
        first, again = pbx.raw(invite), pbx.raw(invite)
        other = pbx.raw(request())

    assert first == again
    assert b"SIP/2.0 302 Moved Temporarily" in first
    assert first.partition(b"Identity: ")[2] != other.partition(b"Identity: ")[2]
    (record,) = redirecting.calls(call_id)
    assert (record["kind"], record["trunk"]) == ("signed", "out")
    assert record["credential"] == "sip:127.0.0.1"


def request_id(invite: bytes) -> str:
    """Return the Call-ID."""
    return invite.partition(b"Call-ID: ")[2].partition(b"\r\n")[0].decode()


def test_nothing_is_answered_to_an_ack_or_to_an_answer(redirecting: Redirecting) -> None:
    answer = b"SIP/2.0 200 OK\r\n" + request().partition(b"\r\n")[2]

    with over_udp(redirecting.port) as pbx:
        pbx.send(request("ACK"))
        pbx.send(answer)
        options = request("OPTIONS")
        came = pbx.ask(options)

    assert came.call_id == request_id(options)


def test_a_call_that_fails_goes_on_with_a_reason_or_ends_by_the_policy(
    redirecting: Redirecting,
) -> None:
    source = "127.0.0.3"
    trunk: dict[str, Any] = {"direction": "verify", "sip": {"sources": [source]}}
    redirecting.trunk("in", **trunk)
    settle(redirecting, source)
    broken = ("Identity: nonsense",)
    with over_udp(redirecting.port, source=source) as pbx:
        flagged = pbx.ask(request(more=broken))
        bare = pbx.ask(request())
        required = {"invalid": "reject", "unreachable": "reject", "identity_required": True}
        redirecting.change("in", **trunk, verification=required)
        for _ in until("the worker knows the policy"):
            rejected = pbx.ask(request(more=broken))
            if rejected.status != 302:
                break
        missing = pbx.ask(request())

    assert flagged.status == 302
    assert flagged.header("Reason") == 'STIR;cause=436;text="Bad Identity Info"'
    assert flagged.header("P-Asserted-Identity") == (
        f"<sip:{ORIG};verstat=TN-Validation-Failed@pbx.example.com;user=phone>"
    )
    assert (bare.status, bare.header("Reason")) == (302, None)
    assert "No-TN-Validation" in str(bare.header("P-Asserted-Identity"))
    assert (rejected.status, rejected.reason) == (436, "Bad Identity Info")
    assert (missing.status, missing.reason) == (428, "Use Identity Header")


def test_a_trunk_says_in_which_form_it_is_redirected(redirecting: Redirecting) -> None:
    source = "127.0.0.4"
    sip = {
        "sources": [source],
        "status": 300,
        "form": "contact",
        "contact": "carrier.example.com:5080",
    }
    redirecting.trunk("formed", sip=sip)
    settle(redirecting, source)

    with over_udp(redirecting.port, source=source) as pbx:
        answer = pbx.ask(request(more=("P-Attestation-Indicator: B",)))

    assert (answer.status, answer.header("Identity")) == (300, None)
    (contact,) = answer.addresses("Contact")
    target, _, escaped = contact.uri.partition("?Identity=")
    assert target == f"sip:{DEST}@carrier.example.com:5080;user=phone"
    unescaped = unquote(escaped)
    assert verified_claims(redirecting.admin, unescaped)["attest"] == "B"


def test_a_host_names_a_trunk_only_where_that_is_allowed(redirecting: Redirecting) -> None:
    source, host = "127.0.0.66", "pbx.example.com"
    with over_udp(redirecting.port, source=source) as pbx:
        before = pbx.ask(request(host=host))
        redirecting.trunk("open", networks=[f"{source}/32"], sip={"by_host": True})
        for _ in until("the worker knows the host"):
            allowed = pbx.ask(request(host=host))
            if allowed.status == 302:
                break
        other_host = pbx.ask(request(host="other.example.com"))
    with over_udp(redirecting.port, source="127.0.0.67") as pbx:
        elsewhere = pbx.ask(request(host=host))

    assert (before.status, allowed.status) == (403, 302)
    assert (other_host.status, elsewhere.status) == (403, 403)
    assert redirecting.admin.delete("/api/v1/trunks/open").status == 204


def test_a_fetch_that_takes_a_while_gets_a_100_and_then_the_verdict(
    tmp_path: Path, own_carrier: Carrier
) -> None:
    port = free_port()
    settings = {**LAB, "SHAKEN_SIP__UDP": f"127.0.0.1:{port}", "SHAKEN_VERIFICATION__SECONDS": "9"}
    folder = tmp_path / "service"
    folder.mkdir()
    with running(folder, "--demo", settings=settings) as service:
        admin = Caller(service.url, read_demo(service.data)["admin"]["secret"])
        trust(admin, own_carrier.root, "sti", "tls")
        redirecting = Redirecting(service, port, admin)
        redirecting.trunk("in", direction="verify", sip={"sources": ["127.0.0.1"]})
        settle(redirecting, "127.0.0.1")
        chain = own_carrier.issued.chain_pem
        header = identity(own_carrier.issued, own_carrier.repository.hangs("/slow.pem", chain))
        with over_udp(port) as pbx:
            pbx.send(request(more=(f"Identity: {header}",)))
            trying = pbx.receive()
            own_carrier.repository.release()
            final = pbx.receive()

    assert trying.status == 100
    assert (final.status, final.header("P-Attestation-Indicator")) == (302, "A")
    assert PASSED in str(final.header("P-Asserted-Identity"))


def test_a_worker_that_is_killed_leaves_no_port_unanswered(tmp_path: Path) -> None:
    port = free_port()
    settings = {"SHAKEN_SIP__UDP": f"127.0.0.1:{port}"}
    with running(tmp_path, "--demo", "--workers", "2", settings=settings) as service:
        admin = Caller(service.url, read_demo(service.data)["admin"]["secret"])
        redirecting = Redirecting(service, port, admin)
        redirecting.trunk("out", sip={"sources": ["127.0.0.1"]})
        settle(redirecting, "127.0.0.1")
        killed = min(service.workers())

        os.kill(killed, signal.SIGKILL)

        for _ in range(16):  # ports of both workers: what comes meanwhile waits for the new one
            with over_udp(port) as pbx:
                assert pbx.ask(request()).status == 302
        assert killed not in service.workers()
