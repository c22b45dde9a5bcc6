"""The settings of examples/kamailio in a real Kamailio, between sipp as PBX and sipp as carrier."""

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey

from tests.ports import free_port
from tests.system.caller import Caller
from tests.system.listener import example, upload
from tests.system.process import Service, read_demo, running
from tests.system.site import CARRIER_HOST, ORIG, Site
from tests.system.telephony import PLAIN, kamailio
from trust.authority import Authority

MANY, RATE = 1500, 150
"""Calls of a run, and how many begin in a second."""


@contextmanager
def asking(
    service: Service, site: Site, *, url: str | None = None, **places: str
) -> Iterator[Path]:
    """Run Kamailio with the settings for HTTP; the URL is that of the service if it has another."""
    demo = read_demo(service.data)
    connection = {
        "http://127.0.0.1:8080": url or service.url,
        "kamailio-signer": demo["signer"]["name"],
        "shk_SECRET_OF_THE_SIGNER": demo["signer"]["secret"],
        "kamailio-verifier": demo["verifier"]["name"],
        "shk_SECRET_OF_THE_VERIFIER": demo["verifier"]["secret"],
    }
    if url is None:
        # A machine that is busy with other tests is no service that hangs.
        connection |= {"timeout = 2": "timeout = 30", "timeout = 4": "timeout = 30"}
    file = site.folder / "shaken-http.cfg"
    file.write_text(example("kamailio/shaken-http.cfg", places=connection))
    places["/etc/kamailio/shaken-http.cfg"] = str(file)
    with kamailio(site.writes("kamailio.cfg", **places), site.port) as log:
        yield log


@dataclass(frozen=True)
class Judge:
    """Verifies Identity headers with a JOSE library that knows nothing of the service."""

    key: ECKey
    x5u: str

    @classmethod
    def of(cls, service: Service) -> "Judge":
        """Take the certificate that the demo signs with, from where everybody gets it."""
        admin = Caller(service.url, read_demo(service.data)["admin"]["secret"])
        (certificate,) = admin.items("/api/v1/certificates?kind=sti")
        path = f"/certificates/{certificate['id']}.pem"
        leaf = x509.load_pem_x509_certificates(Caller(service.url).get(path).body)[0]
        return cls(ECKey.import_key(_public_pem(leaf)), service.url + path)

    def claims(self, identity: str) -> dict[str, Any]:
        """Return the claims of a header, whose signature must fit."""
        token, *parameters = identity.split(";")
        assert parameters == [f"info=<{self.x5u}>", "alg=ES256", "ppt=shaken"]
        registry = jws.JWSRegistry(strict_check_header=False)
        found = jws.deserialize_compact(token, self.key, registry=registry)
        header = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": self.x5u}
        assert found.headers() == header
        claims: dict[str, Any] = json.loads(found.payload)
        return claims


def _public_pem(leaf: x509.Certificate) -> bytes:
    return leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def dialled(count: int) -> list[str]:
    """Return numbers, each another."""
    return [f"+1215556{number:04}" for number in range(count)]


def number_in(header: str) -> str:
    """Take the number out of a From or To."""
    found = re.search(r"sip:\+?([0-9]+)@", header)
    assert found, header
    return found[1]


def tampered(identity: str) -> str:
    """Raise a header's attestation."""
    head, payload, signature = identity.split(".", 2)
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["origid"] = "00000000-0000-4000-8000-000000000000"
    text = json.dumps(claims, separators=(",", ":"), sort_keys=True).encode()
    return f"{head}.{base64.urlsafe_b64encode(text).decode().rstrip('=')}.{signature}"


def test_thousands_of_calls_are_signed_and_verified_and_none_fails(
    service: Service, site: Site
) -> None:
    judge = Judge.of(service)
    with asking(service, site) as log:
        sent = site.calls_out([f"{ORIG};{called};{PLAIN}" for called in dialled(MANY)], rate=RATE)

        assert len(sent) == MANY
        assert {number_in(call.called) for call in sent} == {one[1:] for one in dialled(MANY)}
        for call in sent:
            claims = judge.claims(call.identity)
            assert claims["orig"] == {"tn": number_in(call.caller)} == {"tn": ORIG[1:]}
            assert claims["dest"] == {"tn": [number_in(call.called)]}
            assert claims["attest"] == "A"

        came = site.calls_in(
            [f"{ORIG};+{number_in(one.called)};Identity: {one.identity}" for one in sent], rate=RATE
        )

        assert len(came) == MANY
        uri = f"<sip:{ORIG}@{CARRIER_HOST};user=phone;verstat=TN-Validation-Passed>"
        assert {(call.asserted, call.attest, call.reason) for call in came} == {(uri, "A", "")}
        assert "unsigned" not in log.read_text()
        assert "unverified" not in log.read_text()


def test_what_came_with_a_call_decides_what_the_pbx_is_told(service: Service, site: Site) -> None:
    with asking(service, site):
        numbers = dialled(5)
        sent = site.calls_out([f"{ORIG};{called};{PLAIN}" for called in numbers], rate=10)
        identities = {f"+{number_in(one.called)}": one.identity for one in sent}
        good, altered, foreign, none, strange = numbers
        rows = [
            f"{ORIG};{good};Identity: {identities[good]}",
            f"{ORIG};{altered};Identity: {tampered(identities[altered])}",
            f"+12155550101;{foreign};Identity: {identities[foreign]}",
            f"+1215555010012345;{strange};Identity: {identities[strange]}",
            f"{ORIG};{none};P-Asserted-Identity: <sip:{ORIG}@a;verstat=TN-Validation-Passed>;a;b;c",
        ]

        came = site.calls_in(rows, rate=10)

    told = {
        number_in(call.called): (call.asserted.partition("verstat=")[2], call.attest, call.reason)
        for call in came
    }
    invalid = 'STIR;cause=438;text="Invalid Identity Header"'
    assert told == {
        good[1:]: ("TN-Validation-Passed>", "A", ""),
        altered[1:]: ("TN-Validation-Failed>", "", invalid),
        foreign[1:]: ("TN-Validation-Failed>", "", invalid),
        none[1:]: ("No-TN-Validation>", "", ""),
        strange[1:]: ("TN-Validation-Failed>", "", invalid),
    }


def test_while_the_service_is_down_calls_go_on_and_the_log_says_so(
    service: Service, site: Site
) -> None:
    numbers = dialled(20)
    with asking(service, site) as log:
        service.end()

        sent = site.calls_out([f"{ORIG};{called};{PLAIN}" for called in numbers], rate=10)
        came = site.calls_in([f"{ORIG};{called};{PLAIN}" for called in numbers], rate=10)

        said = log.read_text()
    assert [call.identity for call in sent] == [""] * len(numbers)
    assert all("verstat=No-TN-Validation>" in call.asserted for call in came)
    assert said.count("unsigned: ") == said.count("unverified: ") == len(numbers)
    assert f"from {ORIG}: the service cannot be reached, libcurl's error 7" in said


@contextmanager
def hanging() -> Iterator[str]:
    """Listen like a service that never answers; return its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_service_that_hangs_holds_up_few_calls_and_not_for_long(
    service: Service, site: Site
) -> None:
    with hanging() as url, asking(service, site, url=url) as log:
        begin = time.monotonic()
        sent = site.calls_out([f"{ORIG};{called};{PLAIN}" for called in dialled(200)], rate=200)
        took = time.monotonic() - begin

        said = log.read_text()
    assert [call.identity for call in sent] == [""] * 200
    assert took < 20
    assert said.count("unsigned: ") == 200
    assert "libcurl's error 28" in said


def test_a_call_that_is_cancelled_while_the_service_is_asked_reaches_nobody(
    service: Service, site: Site
) -> None:
    rows = [f"{ORIG};{called};{PLAIN}" for called in dialled(5)]
    with hanging() as url, asking(service, site, url=url), site.carrier.answering() as answers:
        site.pbx.call(site.port, rows, rate=100, scenario="canceller")

        assert answers.all() == []


def test_a_call_that_is_not_signed_is_refused_where_the_policy_says_so(
    service: Service, site: Site
) -> None:
    admin = Caller(service.url, read_demo(service.data)["admin"]["secret"])
    with asking(service, site, **{"##!define REFUSE_UNSIGNED": "#!define REFUSE_UNSIGNED"}) as log:
        site.calls_out([f"{ORIG};+12155560000;{PLAIN}"], rate=1)
        assert admin.delete("/api/v1/credentials/demo-signer").status == 204
        with pytest.raises(AssertionError, match="503 Call Cannot Be Signed"):
            site.pbx.call(site.port, [f"{ORIG};+12155560000;{PLAIN}"], rate=1)
        assert "the service answered 401: " in log.read_text()


def test_the_service_is_asked_over_https(tmp_path: Path, site: Site) -> None:
    port = free_port()
    now = datetime.now(UTC)
    authority = Authority.create("Root", now=now)
    (tmp_path / "root.pem").write_text(authority.root_pem)
    https = {
        "##!define HTTPS": "#!define HTTPS",
        "/etc/ssl/certs/ca-certificates.crt": str(tmp_path / "root.pem"),
    }
    settings = {"SHAKEN_HTTPS__ADDRESS": f"127.0.0.1:{port}"}
    with running(tmp_path, "--demo", settings=settings) as service:
        admin = Caller(service.url, read_demo(service.data)["admin"]["secret"])
        upload(admin, authority.issue_server(["localhost"], now=now), kind="system")
        with asking(service, site, url=f"https://localhost:{port}", **https) as log:
            (sent,) = site.calls_out([f"{ORIG};+12155560000;{PLAIN}"], rate=1)
            (came,) = site.calls_in([f"{ORIG};+12155560000;Identity: {sent.identity}"], rate=1)

            assert "verstat=TN-Validation-Passed>" in came.asserted
            assert "unsigned" not in log.read_text()
