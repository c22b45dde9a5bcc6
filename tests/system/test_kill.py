"""A service killed at any moment: what it said it keeps is there, whole, and nothing is half."""

import http.client
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from shaken.credentials import Role
from tests.ports import free_port
from tests.system.caller import Caller
from tests.system.process import Service, read_demo, running, seed_credential, start, until
from trust.authority import Authority, Issued
from trust.keyring import read_master_keys
from trust.keys import unseal_private_key
from trust.tnauthlist import TnAuthList

ROUNDS = 12
UPLOADERS = 3

ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"

LONGEST_SECONDS = 0.4
"""A kill comes at most so long after the first upload; by then some hundred are through."""


@pytest.fixture(scope="module")
def sti_ca() -> Authority:
    now = datetime.now(UTC)
    return Authority.create("Lab root", now=now).intermediate("Lab STI-CA", now=now)


@dataclass
class Uploads:
    """Certificates on their way into a service: all that were sent, and those answered 201."""

    authority: Authority
    admin: Caller
    sent: dict[str, Issued] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    _serial: Iterator[int] = field(default_factory=count)

    def until_it_dies(self) -> None:
        """Upload one certificate after the other until the service does not answer any more."""
        while True:
            issued = self.authority.issue_sti(
                spc="1234",
                common_name=f"pbx{next(self._serial)}.example.com",
                now=datetime.now(UTC),
            )
            body = {
                "kind": "sti",
                "certificate": issued.chain_pem,
                "private_key": issued.key_pem,
            }
            self.sent[issued.certificate.fingerprint] = issued
            try:
                answer = self.admin.post("/api/v1/certificates", body)
            except (OSError, http.client.HTTPException):
                return
            if answer.status == 201:
                self.accepted.add(answer.json()["id"])
            else:
                self.refused.append(answer.body.decode())


def upload_and_kill(service: Service, uploads: Uploads, *, after: float) -> None:
    threads = [threading.Thread(target=uploads.until_it_dies) for _ in range(UPLOADERS)]
    for thread in threads:
        thread.start()
    time.sleep(after)
    service.kill()
    for thread in threads:
        thread.join()


def check_whole(database: Path, master_key: Path, sent: dict[str, Issued]) -> set[str]:
    """Check each row of the store against what was sent; return the ids."""
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = connection.execute(
            "SELECT id, chain, sealed_key, tn_auth_list, not_after, revision FROM certificates"
            " WHERE kind = 'sti'"
        ).fetchall()
        (revision,) = connection.execute("SELECT number FROM revision").fetchone()
    connection.close()
    (master,) = read_master_keys(master_key)
    for identity, chain, sealed, authorised, not_after, written in rows:
        issued = sent[identity]
        assert chain == issued.chain_pem
        assert len(x509.load_pem_x509_certificates(chain.encode())) == 2
        key = unseal_private_key(master, sealed, record=identity)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.public_key() == issued.certificate.leaf.public_key()
        assert TnAuthList.decode(authorised) == issued.certificate.tn_auth_list
        assert not_after == int(issued.certificate.not_after.timestamp())
        assert written <= revision
    # Each change raises the revision once, so no two certificates came with the same one.
    assert len({row[-1] for row in rows}) == len(rows)
    return {row[0] for row in rows}


def test_every_certificate_that_was_accepted_signs_after_a_kill(
    tmp_path: Path, sti_ca: Authority
) -> None:
    data, port = tmp_path / "data", free_port()
    admin = Caller(f"http://127.0.0.1:{port}", seed_credential(data, role=Role.ADMIN))
    settings = {"SHAKEN_PUBLIC_URL": "https://sti.example.com", "SHAKEN_LOG__LEVEL": "WARNING"}
    uploads = Uploads(sti_ca, admin)
    stored: set[str] = set()

    for number in range(ROUNDS):
        service = start(tmp_path, "--workers", "2", port=port, settings=settings)
        service.wait_until_ready()
        moment = random.uniform(0, LONGEST_SECONDS)  # noqa: S311 - no secret
        upload_and_kill(service, uploads, after=moment)

        stored = check_whole(data / "shaken.sqlite", data / "master.key", uploads.sent)
        assert uploads.accepted <= stored, f"killed after {moment} s"
        assert uploads.refused == []
        # An upload that was not answered may have been carried out, one for each uploader.
        assert len(stored - uploads.accepted) <= (number + 1) * UPLOADERS

    with running(tmp_path, "--workers", "2", port=port, settings=settings):
        assert {record["id"] for record in admin.items("/api/v1/certificates?kind=sti")} == stored
        assert len(stored) > ROUNDS
        made = admin.post("/api/v1/credentials", {"name": "signer", "role": "signer"})
        signer = admin.having(made.json()["secret"])
        for identity in stored:
            (address,) = uploads.sent[identity].certificate.names
            assert admin.post("/api/v1/tenants", {"address": address}).status == 201
            assert signs_with(signer, address) == f"{identity}; chosen=tenant"


def signs_with(signer: Caller, address: str) -> str:
    """Sign for a tenant that one worker may not know yet; return the certificate and why."""
    for _ in until(f"{address} is known to the worker"):
        answer = signer.sign(tenant=address, attest="A", origid=ORIGID)
        if answer.status == 200:
            break
    return answer.headers["x-certificate"]


def test_a_first_start_that_is_killed_is_made_good_by_the_next(tmp_path: Path) -> None:
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        killed = start(folder, "--demo")
        for _ in until("the first start begins to make things"):
            if killed.data.exists():
                break
        time.sleep(random.uniform(0, LONGEST_SECONDS))  # noqa: S311 - no secret
        killed.kill()

        with running(folder, "--demo", port=killed.port) as service:
            demo = read_demo(service.data)
            admin = Caller(service.url, demo["admin"]["secret"])
            assert admin.having(demo["signer"]["secret"]).sign().status == 200
            assert len(admin.items("/api/v1/certificates?kind=sti")) == 1
