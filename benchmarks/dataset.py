"""Stores of any size, written as the service writes them."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec

from shaken.attestation import Attest, AttestPolicy, ForeignAttest, parse_number_rule
from shaken.config import load_config
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.service import Prepared, prepare
from shaken.store.credentials import add_credential
from shaken.store.tenants import add_tenant, add_trunk
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from trust.authority import Authority
from trust.certificate import Certificate, CertificateKind
from trust.keys import MasterKey, seal_private_key
from trust.selection import Fallback
from trust.store import certificates, master_key
from trust.store.certificates import StoredCertificate
from trust.store.database import Change

NUMBERS = ("+12155550100", "+12155550200-+12155550299", "+1215777*")


@dataclass(frozen=True)
class Dataset:
    """A data folder, and the signers' secrets, one a tenant."""

    folder: Path
    secrets: list[str]


def make_dataset(folder: Path, *, tenants: int) -> Dataset:
    """Write a store in which each tenant has numbers, a trunk, a signer and a certificate."""
    prepared = prepare(load_config(None, {}), folder)
    moment = datetime.now(UTC)
    authority = Authority.create("Benchmark Root", now=moment).intermediate("Issuer", now=moment)
    database = prepared.open_database()
    with database.changing() as change:
        secrets = [_add_tenant(change, prepared, authority, index) for index in range(tenants)]
    database.close()
    return Dataset(folder, secrets)


def _add_tenant(change: Change, prepared: Prepared, authority: Authority, index: int) -> str:
    address, trunk, secret = f"pbx{index}.example.com", f"trunk{index}", new_secret()
    numbers = tuple(parse_number_rule(text) for text in NUMBERS)
    add_tenant(change, Tenant(address, (), numbers, Fallback.FIRST))
    policy = AttestPolicy(Attest.A, ForeignAttest.B)
    add_trunk(
        change,
        Trunk(trunk, address, policy, uuid4(), Direction.SIGN, (), None, AnswerForm.BOTH),
    )
    now = int(time.time())
    credential = Credential(f"signer{index}", Role.SIGNER, digest_of(secret), address, trunk, ())
    add_credential(change, credential, now=now)
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue_sti(spc="1234", now=datetime.now(UTC), key=key)
    certificates.add(
        change,
        _row(
            master_key.bound_to(change.connection, prepared.master),
            issued.certificate,
            key,
            address,
            now,
        ),
        chain=issued.chain_pem,
    )
    return secret


def _row(
    master: MasterKey,
    certificate: Certificate,
    key: ec.EllipticCurvePrivateKey,
    address: str,
    now: int,
) -> StoredCertificate:
    authorised = certificate.tn_auth_list
    return StoredCertificate(
        id=certificate.fingerprint,
        kind=CertificateKind.STI,
        names=certificate.names,
        subject=certificate.subject,
        issuer=certificate.issuer,
        serial=certificate.serial,
        not_before=int(certificate.not_before.timestamp()),
        not_after=int(certificate.not_after.timestamp()),
        tenant=address,
        tn_auth_list=None if authorised is None else authorised.encode(),
        x5u=None,
        source="lab",
        sealed_key=seal_private_key(master, key, record=certificate.fingerprint),
        stored_at=now,
    )
