"""Demo mode: all that a first call on an empty machine needs.

That is a tenant, a trunk, a lab certificate with its root among the trusted ones, and credentials.

Every step looks first whether it was done: a second start, or one after a kill, remakes nothing
that is whole. The lab authority's own keys are not kept.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography import x509
from msgspec.structs import replace

from shaken.attestation import Attest, AttestPolicy, ForeignAttest
from shaken.audit import SYSTEM, Action, Unchanged, changing
from shaken.certificates import Status, status_of
from shaken.client import Client, ClientError
from shaken.config import Config
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.facts import credential_record, plan_facts, tenant_record, trunk_record
from shaken.importing import Upload, import_certificate
from shaken.passport import Passport, decode
from shaken.service import Prepared
from shaken.snapshot import Snapshot, take_snapshot
from shaken.store.credentials import add_credential, get_credential, remove_credential
from shaken.store.tenants import add_tenant, add_trunk
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from shaken.whole_files import write_private
from sip.identity import parse_identities
from trust.authority import Authority
from trust.certificate import CertificateKind, CertificateRefused, Source
from trust.roots import Purpose, Root, Shipper, root_of
from trust.selection import Fallback
from trust.store import roots
from trust.store.database import Database

TENANT = "pbx.example.com"
TRUNK = "demo"
SPC = "1234"
CREDENTIALS = {
    "admin": Role.ADMIN,
    "signer": Role.SIGNER,
    "verifier": Role.VERIFIER,
    "listener": Role.LISTENER,
}
"""Members of `demo.json`, and the role of each one's credential."""


@dataclass(frozen=True)
class Demo:
    """What `demo.json` holds."""

    document: dict[str, Any]
    file: Path


def demo_config(config: Config) -> Config:
    """Return settings fit for a demo: signatures name this very service, by plain http."""
    return replace(
        config,
        signing=replace(config.signing, lab_urls=True),
        public_url=config.public_url or f"http://{config.http.address}",
    )


def prepare_demo(prepared: Prepared, data_dir: Path, *, now: int) -> Demo:
    """Make what is missing of the demo, and write `demo.json`. Raises StoreError, OSError."""
    database = prepared.open_database()
    try:
        _ensure_trunk(database, now=now)
        root = _ensure_certificate(prepared, database, data_dir / "lab" / "sti-root.pem", now=now)
        _ensure_root(database, root, now=now)
        file = data_dir / "demo.json"
        secrets = _known_secrets(file, take_snapshot(database))
        if secrets is None:
            secrets = _new_secrets(database, now=now)
        document = {
            "url": f"http://{prepared.config.http.address}",
            "tenant": TENANT,
            "trunk": TRUNK,
            **secrets,
            "sti_root": root.pem,
        }
        write_private(file, json.dumps(document, indent=2) + "\n")
        return Demo(document, file)
    finally:
        database.close()


def sign_demo_call(demo: Demo) -> Iterator[str]:
    """Sign one call and verify it, as clients would; tell about it line by line.

    Raises ClientError.
    """
    url, signer = demo.document["url"], demo.document["signer"]
    request = {"signingRequest": {"orig": {"tn": "+12155550100"}, "dest": {"tn": ["+12155550199"]}}}
    answer = Client(url, signer["secret"]).send("POST", "/stir/v1/signing", request)
    if answer.status != 200:
        raise ClientError(f"the demo call was not signed: {answer.body.decode()}")
    identity = answer.json()["signingResponse"]["identity"]
    certificate, _, chosen = answer.headers["X-Certificate"].partition("; chosen=")
    passport = decode(parse_identities(identity)[0].token)
    why = {
        "tenant": f"it belongs to the tenant, {TENANT}",
        "first": f"{TENANT} has none of its own; it is the first one available",
    }
    yield "Identity header"
    yield f"  {identity}"
    yield "PASSporT header"
    yield f"  {json.dumps(passport.header, sort_keys=True)}"
    yield "PASSporT claims"
    yield f"  {json.dumps(passport.claims, sort_keys=True)}"
    yield "Certificate"
    yield f"  {certificate}, chosen because {why[chosen]}"
    yield from _verify_demo_call(demo, identity, passport)
    yield "Sign a call yourself"
    yield _curl(f"{url}/stir/v1/signing", signer["secret"], request)
    yield "List the certificates"
    yield _curl(f"{url}/api/v1/certificates", demo.document["admin"]["secret"], None)
    admin = demo.document["admin"]
    yield "Admin pages"
    yield f"  {url}/admin: sign in as {admin['name']} with {admin['secret']}"
    yield f"Credentials for scripts: {demo.file}"


def _verify_demo_call(demo: Demo, identity: str, passport: Passport) -> Iterator[str]:
    """Verify the call that was signed, as who receives it would. Raises ClientError."""
    url, verifier = demo.document["url"], demo.document["verifier"]
    call = {
        "from": {"tn": "+12155550100"},
        "to": {"tn": ["+12155550199"]},
        "time": passport.claims["iat"],
        "identity": identity,
        # The same call may be verified again without being taken for a replay.
        "callId": passport.claims["origid"],
    }
    request = {"verificationRequest": call}
    answer = Client(url, verifier["secret"]).send("POST", "/stir/v1/verification", request)
    if answer.status != 200:
        raise ClientError(f"the demo call was not verified: {answer.body.decode()}")
    found = answer.json()["verificationResponse"]
    yield "Verdict"
    yield f"  {found['verstat']}"
    for name in ("reasoncode", "reasontext", "reasondesc", "attest", "origid", "x5u"):
        if name in found:
            yield f"  {name:<11} {found[name]}"
    if "signer" in found:
        signer = found["signer"]
        yield f"  signer      {signer['subject']}, provider {', '.join(signer['spc'])}"
        yield f"  issuer      {signer['issuer']}"
    yield "Verify this call yourself, within a minute: then it is stale"
    yield _curl(f"{url}/stir/v1/verification", verifier["secret"], request)


def _curl(url: str, secret: str, body: object) -> str:
    data = "" if body is None else f" \\\n    --json '{json.dumps(body)}'"
    return f"  curl -sS -H 'Authorization: Bearer {secret}' {url}{data}"


def _ensure_trunk(database: Database, *, now: int) -> None:
    snapshot = take_snapshot(database)
    if TENANT not in snapshot.tenants:
        tenant = Tenant(TENANT, (), (), Fallback.FIRST)
        with changing(database, SYSTEM, now=now) as change:
            add_tenant(change, tenant)
            shown = tenant_record(tenant)
            change.audit(Action.TENANT_CREATE, TENANT, tenant=TENANT, after=shown)
    if TRUNK not in snapshot.trunks:
        trunk = Trunk(
            name=TRUNK,
            tenant=TENANT,
            attest=AttestPolicy(Attest.A, ForeignAttest.B),
            origid=str(uuid4()),
            direction=Direction.AUTO,
            networks=(),
            country=None,
            answer=AnswerForm.BOTH,
        )
        with changing(database, SYSTEM, now=now) as change:
            add_trunk(change, trunk)
            change.audit(Action.TRUNK_CREATE, TRUNK, tenant=TENANT, after=trunk_record(trunk))


def _ensure_certificate(prepared: Prepared, database: Database, file: Path, *, now: int) -> Root:
    """Return the lab root of a certificate that signs for the tenant, made if need be."""
    signing = [
        row
        for row in take_snapshot(database).certificates.values()
        if row.source is Source.LAB and status_of(row, now=now) is not Status.EXPIRED
    ]
    known = _known_root(file)
    if signing and known is not None:
        return known
    moment = datetime.fromtimestamp(now, UTC)
    root = Authority.create("Lab STI Root", now=moment)
    issued = root.intermediate("Lab STI Intermediate", now=moment).issue_sti(spc=SPC, now=moment)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    # The root comes first: a kill in between leaves a root without a certificate, made anew.
    write_private(file, root.root_pem)
    upload = Upload(
        kind=CertificateKind.STI,
        certificate=issued.chain_pem,
        private_key=issued.key_pem,
        passphrase=None,
        tenant=TENANT,
        x5u=None,
        source=Source.LAB,
    )
    import_certificate(database, prepared.master, upload, actor=SYSTEM, now=now, lab=True)
    return root_of(root.root, Purpose.STI, shipped=Shipper.LAB)


def _known_root(file: Path) -> Root | None:
    """Read the root of an earlier start, if it is still whole."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        return root_of(certificate, Purpose.STI, shipped=Shipper.LAB)
    except (OSError, ValueError, CertificateRefused):
        return None


def _ensure_root(database: Database, root: Root, *, now: int) -> None:
    """Trust the lab's root for STI certificates, in the place of an earlier lab's."""
    with changing(database, SYSTEM, now=now) as change:
        plan = roots.follow(change, Purpose.STI, [root])
        if not plan.written and not plan.forgotten:
            raise Unchanged
        facts = plan_facts(plan)
        change.audit(Action.ROOTS_FOLLOW, Purpose.STI.value, tenant=None, after=facts)


def _known_secrets(file: Path, snapshot: Snapshot) -> dict[str, dict[str, str]] | None:
    """Read the credentials of an earlier start, if they are still all good."""
    try:
        document = json.loads(file.read_text("utf-8"))
        secrets = {member: dict(document[member]) for member in CREDENTIALS}
        stored = [snapshot.credential_rows.rows[entry["name"]] for entry in secrets.values()]
        digests = [digest_of(entry["secret"]) for entry in secrets.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return secrets if [entry.digest for entry in stored] == digests else None


def _new_secrets(database: Database, *, now: int) -> dict[str, dict[str, str]]:
    made = {}
    with changing(database, SYSTEM, now=now) as change:
        for member, role in CREDENTIALS.items():
            name, secret = f"demo-{member}", new_secret()
            trunk = TRUNK if role in {Role.SIGNER, Role.VERIFIER} else None
            tenant = None if trunk is None else TENANT
            old = get_credential(change.connection, name)
            if old is not None:
                remove_credential(change, name)
                before = credential_record(old)
                change.audit(Action.CREDENTIAL_REVOKE, name, tenant=old.tenant, before=before)
            credential = Credential(name, role, digest_of(secret), tenant, trunk, ())
            add_credential(change, credential, now=now)
            after = credential_record(credential)
            change.audit(Action.CREDENTIAL_CREATE, name, tenant=tenant, after=after)
            made[member] = {"name": name, "secret": secret}
    return made
