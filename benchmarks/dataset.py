"""Stores of any size, written as the service writes them."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from shaken.attestation import Attest, AttestPolicy, ForeignAttest, parse_number_rule
from shaken.audit import SYSTEM, Action, AuditedChange, changing
from shaken.config import load_config
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.importing import Importer, Upload
from shaken.redirection import Redirection
from shaken.service import prepare
from shaken.store.credentials import add_credential
from shaken.store.tenants import add_tenant, add_trunk
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from trust.authority import Authority
from trust.certificate import CertificateKind, Source
from trust.roots import Purpose, read_root
from trust.selection import Fallback
from trust.store import roots


def trunk_address(index: int) -> str:
    """Return the address on loopback that a trunk calls from by SIP."""
    return f"127.{16 + (index >> 16)}.{index >> 8 & 255}.{index & 255}"


NUMBERS = ("+12155550100", "+12155550200-+12155550299", "+1215777*")


@dataclass(frozen=True)
class Dataset:
    """A data folder, the signers' secrets, one a tenant, and that of a verifier."""

    folder: Path
    secrets: list[str]
    verifier: str = ""


def make_dataset(folder: Path, *, tenants: int) -> Dataset:
    """Write a store in which each tenant has numbers, a trunk, a signer and a certificate."""
    prepared = prepare(load_config(None, {}), folder)
    moment = datetime.now(UTC)
    authority = Authority.create("Benchmark Root", now=moment).intermediate("Issuer", now=moment)
    importer = Importer(prepared.master, lab=False)
    database = prepared.open_database()
    with changing(database, SYSTEM, now=int(time.time())) as change:
        secrets = [_add_tenant(change, importer, authority, index) for index in range(tenants)]
        verifier = new_secret()
        credential = Credential("verifier", Role.VERIFIER, digest_of(verifier), None, None, ())
        add_credential(change, credential, now=change.at)
        roots.add(change, read_root(authority.root_pem, Purpose.STI))
        change.audit(Action.ROOT_ADD, "benchmark", tenant=None)
    database.close()
    return Dataset(folder, secrets, verifier)


def _add_tenant(change: AuditedChange, importer: Importer, authority: Authority, index: int) -> str:
    address, trunk, secret = f"pbx{index}.example.com", f"trunk{index}", new_secret()
    numbers = tuple(parse_number_rule(text) for text in NUMBERS)
    add_tenant(change, Tenant(address, (), numbers, Fallback.FIRST))
    policy = AttestPolicy(Attest.A, ForeignAttest.B)
    add_trunk(
        change,
        Trunk(
            trunk,
            address,
            policy,
            str(uuid4()),
            Direction.SIGN,
            (),
            None,
            AnswerForm.BOTH,
            sip=Redirection(sources=(trunk_address(index),)),
        ),
    )
    credential = Credential(f"signer{index}", Role.SIGNER, digest_of(secret), address, trunk, ())
    add_credential(change, credential, now=change.at)
    issued = authority.issue_sti(spc="1234", now=datetime.fromtimestamp(change.at, UTC))
    upload = Upload(
        kind=CertificateKind.STI,
        certificate=issued.chain_pem,
        private_key=issued.key_pem,
        tenant=address,
        source=Source.LAB,
    )
    importer.add(change, importer.read(upload, now=change.at), scope=None, now=change.at)
    return secret
