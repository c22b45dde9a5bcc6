"""Calls that come in: signed by others, with other tools, and those who ask for the verdict."""

import base64
import json
import select
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey

from tests.lab_crl import issue_indirect_crl
from tests.system.caller import Answer, Caller
from tests.system.process import Service, read_demo, run_program
from tests.system.repository import Published
from trust.authority import Authority, Issued

ORIG, DEST = "12155550100", "12155550199"
PATH = "/stir/v1/verification"

LAB = {"SHAKEN_FETCH__ALLOW_PRIVATE": "true", "SHAKEN_FETCH__ALLOW_ANY_PORT": "true"}
BRISK = {**LAB, "SHAKEN_FETCH__SECONDS": "2"}
"""Settings of a service that fetches from this machine; the second waits for nobody long."""

Sign = Callable[[bytes, bytes, Issued, Path], str]
"""Signs header and claims (JSON) with a key; makes a token."""


def base64url(blob: bytes) -> str:
    """Write bytes as tokens have them."""
    return base64.urlsafe_b64encode(blob).decode().rstrip("=")


def with_jose(header: bytes, claims: bytes, issued: Issued, _: Path) -> str:
    """Sign with a JOSE library that knows nothing of the service."""
    key = ECKey.import_key(issued.key_pem)
    members = jws.JWSRegistry(strict_check_header=False)
    return jws.serialize_compact(json.loads(header), claims, key, registry=members)


def with_openssl(header: bytes, claims: bytes, issued: Issued, folder: Path) -> str:
    """Sign with OpenSSL's command; the signature is as RFC 7518 §3.4 has it."""
    (folder / "signer.key").write_text(issued.key_pem)
    (folder / "input").write_text(f"{base64url(header)}.{base64url(claims)}")
    sign = ("openssl", "dgst", "-sha256", "-sign", folder / "signer.key")
    run_program(*sign, "-out", folder / "signature", folder / "input")
    halves = decode_dss_signature((folder / "signature").read_bytes())
    signature = b"".join(half.to_bytes(32, "big") for half in halves)
    return f"{(folder / 'input').read_text()}.{base64url(signature)}"


def identity(
    issued: Issued, url: str, folder: Path = Path(), *, sign: Sign = with_jose, **claims: object
) -> str:
    """Make the Identity header of the usual call, some claims set or replaced."""
    header = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": url}
    body = {
        "attest": "A",
        "dest": {"tn": [DEST]},
        "iat": int(time.time()),
        "orig": {"tn": ORIG},
        "origid": str(uuid4()),
        **claims,
    }
    token = sign(json.dumps(header).encode(), json.dumps(body).encode(), issued, folder)
    return f"{token};info=<{url}>;alg=ES256;ppt=shaken"


def request(header: str | None, **members: object) -> dict[str, Any]:
    """Write the request about the usual call in the form of ATIS."""
    call: dict[str, Any] = {"from": {"tn": ORIG}, "to": {"tn": [DEST]}, "time": int(time.time())}
    told = {} if header is None else {"identity": header}
    return {"verificationRequest": {**call, **told, **members}}


def verdict(answer: Answer) -> dict[str, Any]:
    """Take the verdict of an answer, which must be one."""
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json()["verificationResponse"]
    return found


def ask(verifier: Caller, header: str | None, **members: object) -> dict[str, Any]:
    """Ask for the verdict on the usual call."""
    return verdict(verifier.post(PATH, request(header, **members)))


def trust(admin: Caller, authority: Authority, *purposes: str) -> None:
    """Have the service trust an authority's root."""
    for purpose in purposes:
        added = admin.post("/api/v1/roots", {"purpose": purpose, "certificate": authority.root_pem})
        assert added.status == 201, added.body


@dataclass(frozen=True)
class Carrier:
    """Another provider: what it signs with, and where it publishes that."""

    root: Authority
    authority: Authority
    issued: Issued
    repository: Published

    def publish(self, path: str = "/a.pem", **headers: str) -> str:
        """Publish the chain; return its URL."""
        return self.repository.holds(path, self.issued.chain_pem, **headers)

    def revoked(self, name: str) -> tuple[Issued, str, str]:
        """Publish a signer and a list that revokes it; return the URLs of both."""
        now = datetime.now(UTC)
        crl_url = f"{self.repository.url}/{name}.crl"
        issued = self.authority.issue_sti(spc="6666", now=now, crl_url=crl_url)
        listed = issue_indirect_crl(self.root, [issued.certificate.leaf], now=now)
        self.repository.holds(f"/{name}.crl", listed)
        return issued, self.repository.holds(f"/{name}.pem", issued.chain_pem), crl_url


@dataclass(frozen=True)
class Callee:
    """A service of ours, who administers it, and who asks it."""

    service: Service
    admin: Caller
    verifier: Caller

    @property
    def log(self) -> str:
        """What it said."""
        return self.service.stderr.read_text()


def callee_of(service: Service, authority: Authority, *, known: bool = False) -> Callee:
    """Take a demo service; unless it is known there, have it trust an authority."""
    demo = read_demo(service.data)
    admin = Caller(service.url, demo["admin"]["secret"])
    if not known:
        trust(admin, authority, "sti", "tls")
    return Callee(service, admin, Caller(service.url, demo["verifier"]["secret"]))


class Pending:
    """A request that is sent in one piece, and whose answer is read later."""

    def __init__(self, verifier: Caller, header: str, *, slow_way: bool = False) -> None:
        """Send it; the slow way over a connection that the HTTP library has taken over."""
        self._connection = verifier.connect()
        self._connection.connect()
        if slow_way:
            self._connection.request("GET", "/healthz")
            self._connection.getresponse().read()
        body = json.dumps(request(header))
        self._connection.sock.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {verifier.secret}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            f"{body}".encode()
        )

    def is_answered(self) -> bool:
        """Say whether anything came back, without waiting."""
        readable, _, _ = select.select([self._connection.sock], [], [], 0)
        return bool(readable)

    def answer(self) -> dict[str, Any]:
        """Wait for the answer, which must be a verdict."""
        with closing(self._connection), HTTPResponse(self._connection.sock) as came:
            came.begin()
            return verdict(Answer(came.status, {}, came.read()))


def fetched(service: Service) -> dict[str, float]:
    """Read which URLs the service keeps the files of, and until when they are fresh."""
    database = f"file:{service.data / 'shaken.sqlite'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True)) as connection:
        return dict(connection.execute("SELECT url, expires_at FROM fetched_certificates"))
