"""SIP redirect in TLS: what is presented by name, and whom a client certificate leads to."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from sip.message import Response
from tests.clients import ClientId, client_id, tls_client
from tests.ports import free_port
from tests.system.caller import Caller
from tests.system.pbx import Pbx, over_tls, request
from tests.system.process import Service, read_demo, run_program, running, until
from trust.authority import Authority

BROKEN = "Identity: nonsense"


@dataclass(frozen=True)
class Secure:
    """A service that speaks SIP in TLS, and who administers it."""

    service: Service
    port: int
    admin: Caller

    def ask(self, client: ClientId, data: bytes) -> Response:
        """Send a request over a connection that shows a certificate."""
        with over_tls(self.port, None, client.context()) as (pbx, _):
            return pbx.ask(data)

    def register(self, name: str, role: str, trunk: str, client: ClientId) -> None:
        """Bind a credential to a certificate; every worker knows it when this returns."""
        body = {"name": name, "role": role, "trunk": trunk, "client_certificate": client.pem}
        made = self.admin.post("/api/v1/credentials", body)
        assert made.status == 201, made.body
        self.until_each_worker(
            client.context(), None, lambda pbx, _: pbx.ask(request("OPTIONS")).status == 200
        )

    def until_each_worker(
        self,
        context: ssl.SSLContext,
        name: str | None,
        is_right: Callable[[Pbx, ssl.SSLSocket], bool],
    ) -> None:
        """Ask over connections until each worker has answered rightly on one."""
        right: set[int] = set()
        for _ in until("each worker answers rightly"):
            # In TLS 1.3 a client that is turned away learns it when it reads.
            with (
                suppress(ssl.SSLError, ConnectionError),
                over_tls(self.port, name, context) as (pbx, sock),
            ):
                worker = self.service.worker_of(sock)
                if is_right(pbx, sock):
                    right.add(worker)
            if right >= self.service.workers():
                return

    def trunk(self, name: str, direction: str) -> None:
        """Make a trunk of the demo's tenant that no address leads to."""
        body = {"name": name, "tenant": "pbx.example.com", "direction": direction}
        assert self.admin.post("/api/v1/trunks", body).status == 201


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    port = free_port()
    settings = {
        "SHAKEN_SIP__TLS": f"127.0.0.1:{port}",
        "SHAKEN_SIP__CLIENT_CERTIFICATES": "optional",
    }
    folder = tmp_path_factory.mktemp("secure")
    with running(folder, "--demo", "--workers", "2", settings=settings) as service:
        yield Secure(service, port, Caller(service.url, read_demo(service.data)["admin"]["secret"]))


def fingerprint(port: int, name: str | None) -> str:
    with over_tls(port, name, tls_client()) as (_, sock):
        return fingerprint_of(sock)


def fingerprint_of(sock: ssl.SSLSocket) -> str:
    der = sock.getpeercert(binary_form=True)
    assert der is not None
    return sha256(der).hexdigest()


def test_what_is_presented_goes_by_the_name_that_is_asked_for(
    secure: Secure, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    authority = Authority.create("Root", now=now).intermediate("Issuer", now=now)
    before = fingerprint(secure.port, "sip.example.com")
    issued = authority.issue_server(["sip.example.com"], now=now)
    (tmp_path / "root.pem").write_text(authority.root_pem)
    body = {"kind": "system", "certificate": issued.chain_pem, "private_key": issued.key_pem}

    shown = secure.admin.post("/api/v1/certificates", body).json()["id"]

    secure.until_each_worker(
        tls_client(), "sip.example.com", lambda _, sock: fingerprint_of(sock) == shown
    )
    said = run_program(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{secure.port}", "-verify_return_error"),
        *("-servername", "sip.example.com", "-CAfile", tmp_path / "root.pem"),
    )
    assert before != shown
    assert "Verify return code: 0 (ok)" in said


def test_a_client_without_a_certificate_is_known_by_its_address_only(secure: Secure) -> None:
    with over_tls(secure.port, None, tls_client()) as (pbx, _):
        before = pbx.ask(request())
        sip = {"sources": ["127.0.0.1"]}
        body = {"name": "addressed", "tenant": "pbx.example.com", "sip": sip}
        assert secure.admin.post("/api/v1/trunks", body).status == 201
        after = until_known(pbx)

    assert (before.status, after.status) == (403, 302)
    assert after.header("Identity") is not None
    assert secure.admin.delete("/api/v1/trunks/addressed").status == 204


def until_known(pbx: Pbx) -> Response:
    for _ in until("the worker knows the trunk"):
        answer = pbx.ask(request())
        if answer.status != 403:
            break
    return answer


def test_a_certificate_leads_to_its_trunk_and_does_what_its_role_is_for(secure: Secure) -> None:
    signer, verifier = client_id("signer"), client_id("verifier")
    secure.trunk("both", "auto")
    secure.register("signs", "signer", "both", signer)
    secure.register("verifies", "verifier", "both", verifier)

    signed = secure.ask(signer, request())
    checked = secure.ask(verifier, request(more=(BROKEN,)))
    unsigned = secure.ask(verifier, request())
    unchecked = secure.ask(signer, request(more=(BROKEN,)))

    assert (signed.status, signed.header("P-Asserted-Identity")) == (302, None)
    assert signed.header("Identity") is not None
    assert (checked.status, checked.header("Identity")) == (302, None)
    assert "TN-Validation-Failed" in str(checked.header("P-Asserted-Identity"))
    assert (unsigned.status, unchecked.status) == (403, 403)


def test_a_certificate_of_two_credentials_does_what_both_are_for(secure: Secure) -> None:
    client = client_id("pbx")
    secure.trunk("whole", "auto")
    secure.register("whole-signs", "signer", "whole", client)
    secure.register("whole-verifies", "verifier", "whole", client)

    def does_both(pbx: Pbx, _: ssl.SSLSocket) -> bool:
        signed, verified = pbx.ask(request()), pbx.ask(request(more=(BROKEN,)))
        if 403 in (signed.status, verified.status):
            return False
        assert signed.header("Identity")
        assert "Failed" in str(verified.header("P-Asserted-Identity"))
        return True

    secure.until_each_worker(client.context(), None, does_both)


def test_a_certificate_that_nobody_registered_is_refused_in_the_handshake(secure: Secure) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secure.ask(client_id("stranger"), request())
