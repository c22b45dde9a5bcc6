"""The certificates an administrator keeps: imported whole or not at all."""

import base64
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from shaken.api.certificates import CertificateImport
from shaken.api.stir import StirRequest
from shaken.assignment import UnknownTenant
from shaken.audit import SYSTEM
from shaken.certificates import EXPIRING_SECONDS, Status, status_of
from shaken.importing import Imported, Upload, import_certificate
from shaken.snapshot import take_snapshot
from shaken.tenants import Tenant
from trust.authority import Authority, Issued
from trust.certificate import Certificate, CertificateKind, CertificateRefused, Source
from trust.keys import MasterKey, unseal_private_key
from trust.store.certificates import AlreadyStored, StoredCertificate, chain_pem
from trust.store.database import Database

DAY = timedelta(days=1)


@pytest.fixture
def issued(lab_ca: Authority, now: int) -> Issued:
    """An STI certificate that no store has."""
    return lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))


@pytest.fixture
def upload(issued: Issued) -> Upload:
    """What an administrator hands in who does everything right."""
    return Upload(
        kind=CertificateKind.STI,
        certificate=issued.chain_pem,
        private_key=issued.key_pem,
        passphrase=None,
        tenant=None,
        x5u=None,
    )


@pytest.fixture
def store(database: Database, master: MasterKey, now: int) -> Callable[..., Imported]:
    """Import an upload into the store."""

    def import_upload(made: Upload, *, lab: bool = False) -> Imported:
        return import_certificate(database, master, made, actor=SYSTEM, now=now, lab=lab)

    return import_upload


Store = Callable[..., Imported]


def encrypted(issued: Issued) -> str:
    return issued.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption("sésame".encode())
    ).decode()


# What is stored


def test_what_holds_a_key_does_not_show_it_by_accident() -> None:
    upload = Upload(
        CertificateKind.STI, certificate="-key-", private_key="-key-", passphrase="-key-"
    )
    sent = CertificateImport(CertificateKind.STI, certificate="-key-", passphrase="-key-")
    request = StirRequest("POST", "/", "", {"Authorization": "-key-"}, b"-key-")

    assert "-key-" not in repr((upload, sent, request))


def test_an_import_is_stored_with_all_that_the_certificate_says(
    store: Store, upload: Upload, issued: Issued, database: Database, *, tenant: Tenant, now: int
) -> None:
    imported = store(replace(upload, tenant=tenant.address, x5u="https://sti.example.com/a.pem"))

    authorised = issued.certificate.tn_auth_list
    assert authorised is not None
    row = imported.row
    assert row == StoredCertificate(
        id=issued.certificate.fingerprint,
        kind=CertificateKind.STI,
        names=(),
        subject="CN=SHAKEN 1234,O=SHAKEN lab",
        issuer="CN=Lab STI-CA,O=SHAKEN lab",
        serial=f"{issued.certificate.leaf.serial_number:x}",
        not_before=now - 300,
        not_after=now + 365 * 86_400,
        tenant=tenant.address,
        tn_auth_list=authorised.encode(),
        x5u="https://sti.example.com/a.pem",
        source=Source.UPLOADED,
        sealed_key=row.sealed_key,
        stored_at=now,
    )
    assert imported.notes == ()
    assert take_snapshot(database).certificates == {row.id: replace(row, sequence=1)}
    with database.reading() as connection:
        assert chain_pem(connection, row.id) == issued.chain_pem


def test_the_key_opens_under_the_master_key_for_its_certificate(
    store: Store, upload: Upload, issued: Issued, master: MasterKey
) -> None:
    row = store(upload).row

    assert row.sealed_key is not None
    opened = unseal_private_key(master, row.sealed_key, record=row.id)
    assert opened.public_key() == issued.private_key.public_key()


@pytest.mark.parametrize("address", ["pbx.example.com", "sip.example.com"])
def test_a_tenant_may_be_named_by_any_of_its_addresses(
    store: Store, upload: Upload, tenant: Tenant, address: str
) -> None:
    assert store(replace(upload, tenant=address)).row.tenant == tenant.address


def test_chain_and_key_may_come_in_one_text(store: Store, upload: Upload, issued: Issued) -> None:
    together = replace(upload, certificate=issued.key_pem + issued.chain_pem, private_key=None)

    assert store(together).row.id == issued.certificate.fingerprint


def test_an_encrypted_key_comes_with_its_passphrase(
    store: Store, upload: Upload, issued: Issued
) -> None:
    made = replace(upload, private_key=encrypted(issued), passphrase="sésame")

    assert store(made).row.id == issued.certificate.fingerprint


def test_what_was_put_right_is_said(
    store: Store, upload: Upload, issued: Issued, lab_ca: Authority, database: Database
) -> None:
    leaf, intermediate = (Certificate((one,)).pem() for one in issued.certificate.chain)

    imported = store(replace(upload, certificate=lab_ca.root_pem + intermediate + leaf))

    assert len(imported.notes) == 2
    assert "put in order" in imported.notes[0]
    assert 'The root "CN=Lab root,O=SHAKEN lab" was left out' in imported.notes[1]
    with database.reading() as connection:
        assert chain_pem(connection, imported.row.id) == issued.chain_pem


def test_a_certificate_of_the_future_is_stored_ahead_of_its_time(
    store: Store, upload: Upload, lab_ca: Authority, now: int
) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    future = lab_ca.issue_sti(spc="1234", now=moment, not_before=moment + DAY)
    made = replace(upload, certificate=future.chain_pem, private_key=future.key_pem)

    assert store(made).row.not_before == now + 86_400


@pytest.mark.parametrize(
    ("common_name", "names"),
    [
        ("PBX.Example.COM", ("pbx.example.com",)),
        ("bücher.example", ("xn--bcher-kva.example",)),
        ("*.example.com", ("*.example.com",)),
        ("SHAKEN 1234", ()),
    ],
)
def test_names_are_kept_in_the_spelling_of_tenants_addresses(
    store: Store,
    upload: Upload,
    lab_ca: Authority,
    now: int,
    *,
    common_name: str,
    names: tuple[str, ...],
) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    named = lab_ca.issue_sti(spc="1234", common_name=common_name, now=moment)
    made = replace(upload, certificate=named.chain_pem, private_key=named.key_pem)

    assert store(made).row.names == names


def test_where_it_comes_from_is_kept(store: Store, upload: Upload) -> None:
    assert store(replace(upload, source=Source.LAB)).row.source == "lab"


@pytest.mark.parametrize("x5u", ["http://127.0.0.1:8080/a.pem", "https://sti.example.com:9/a.pem"])
def test_a_lab_may_publish_anywhere(store: Store, upload: Upload, x5u: str) -> None:
    assert store(replace(upload, x5u=x5u), lab=True).row.x5u == x5u


# What is refused


@dataclass(frozen=True)
class Forger:
    """Makes uploads that have one thing wrong."""

    lab_ca: Authority
    issued: Issued
    good: Upload
    moment: datetime

    def issue(self, **changes: Any) -> Upload:
        """Hand in another certificate of the lab."""
        return self.upload(self.lab_ca.issue_sti(**{"spc": "1234", "now": self.moment, **changes}))

    def upload(self, issued: Issued) -> Upload:
        return replace(self.good, certificate=issued.chain_pem, private_key=issued.key_pem)

    def authority(self) -> Upload:
        return replace(
            self.good, certificate=self.lab_ca.certificate_pem, private_key=self.lab_ca.key_pem
        )

    def stranger(self) -> Authority:
        return Authority.create("Stranger", now=self.moment)

    def with_more(self, pem: str) -> Upload:
        return replace(self.good, certificate=self.good.certificate + pem)


@pytest.fixture
def forger(lab_ca: Authority, issued: Issued, upload: Upload, now: int) -> Forger:
    return Forger(lab_ca, issued, upload, datetime.fromtimestamp(now, UTC))


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P384_KEY = ec.generate_private_key(ec.SECP384R1())
Forge = Callable[[Forger], Upload]
FORGERIES: dict[str, tuple[Forge, str, str]] = {
    "RSA": (lambda f: f.issue(key=RSA_KEY), "not-p256", "certificate"),
    "P-384": (lambda f: f.issue(key=P384_KEY), "not-p256", "certificate"),
    "expired": (
        lambda f: f.issue(lifetime=-timedelta(seconds=1)),
        "expired",
        "certificate",
    ),
    "for nobody": (lambda f: f.issue(spc=None), "no-tn-auth-list", "certificate"),
    "for TLS": (
        lambda f: f.upload(f.lab_ca.issue_server(["pbx.example.com"], now=f.moment)),
        "no-tn-auth-list",
        "certificate",
    ),
    "of an authority": (lambda f: f.authority(), "is-a-ca", "certificate"),
    "with a foreign certificate": (
        lambda f: f.with_more(f.stranger().root_pem),
        "foreign-certificate",
        "certificate",
    ),
    "with another's key": (
        lambda f: replace(f.good, private_key=f.stranger().key_pem),
        "key-mismatch",
        "private_key",
    ),
    "with two keys": (
        lambda f: f.with_more(f.stranger().key_pem),
        "several-keys",
        "private_key",
    ),
    "without the passphrase": (
        lambda f: replace(f.good, private_key=encrypted(f.issued)),
        "encrypted-key",
        "passphrase",
    ),
    "with a wrong passphrase": (
        lambda f: replace(f.good, private_key=encrypted(f.issued), passphrase="wrong"),
        "wrong-passphrase",
        "passphrase",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_certificate_that_cannot_sign_is_refused(
    name: str, store: Store, forger: Forger, database: Database
) -> None:
    forge, slug, field = FORGERIES[name]
    bad = forge(forger)

    with pytest.raises(CertificateRefused) as refused:
        store(bad)

    assert (refused.value.slug, refused.value.field) == (slug, field)
    assert_nothing_is_stored(database)
    for line in (bad.private_key or "").splitlines()[1:-1]:
        assert line not in refused.value.detail


@pytest.mark.parametrize(
    ("changes", "slug", "field"),
    [
        ({"certificate": ""}, "no-certificate", "certificate"),
        ({"certificate": "hello"}, "not-pem", "certificate"),
        ({"private_key": "hello"}, "not-pem", "private_key"),
        ({"private_key": None}, "no-key", "private_key"),
        ({"private_key": ""}, "no-key", "private_key"),
        ({"x5u": ""}, "bad-x5u", "x5u"),
        ({"x5u": "http://sti.example.com/a.pem"}, "bad-x5u", "x5u"),
        ({"x5u": "https://sti.example.com:9/a.pem"}, "bad-x5u", "x5u"),
        ({"x5u": "https://sti.example.com/{id}.pem"}, "bad-x5u", "x5u"),
        ({"x5u": "https://sti.example.com/\ud800"}, "bad-x5u", "x5u"),
        ({"kind": CertificateKind.DOMAIN}, "no-tenant", "certificate"),
    ],
)
def test_an_upload_with_a_mistake_is_refused(
    store: Store,
    upload: Upload,
    database: Database,
    *,
    changes: dict[str, Any],
    slug: str,
    field: str,
) -> None:
    with pytest.raises(CertificateRefused) as refused:
        store(replace(upload, **changes))

    assert (refused.value.slug, refused.value.field) == (slug, field)
    assert_nothing_is_stored(database)


def assert_nothing_is_stored(database: Database) -> None:
    snapshot = take_snapshot(database)
    assert (snapshot.revision, snapshot.certificates) == (0, {})


def test_a_key_without_its_certificate_is_refused(
    store: Store, upload: Upload, issued: Issued, database: Database
) -> None:
    with pytest.raises(CertificateRefused) as refused:
        store(replace(upload, certificate=issued.key_pem))

    assert refused.value.slug == "no-certificate"
    assert_nothing_is_stored(database)


def test_the_refusal_of_an_encrypted_key_shows_the_command_that_decrypts_it(
    store: Store, upload: Upload, issued: Issued
) -> None:
    with pytest.raises(
        CertificateRefused, match=r"`openssl pkey -in key\.pem -out decrypted\.pem`"
    ):
        store(replace(upload, private_key=encrypted(issued)))


@pytest.mark.parametrize("address", ["other.example.com", "", "PBX.example.com"])
def test_a_tenant_nobody_knows_is_refused(
    store: Store, upload: Upload, database: Database, tenant: Tenant, address: str
) -> None:
    assert tenant

    with pytest.raises(UnknownTenant):
        store(replace(upload, tenant=address))

    assert take_snapshot(database).certificates == {}
    assert database.revision() == 1


def test_the_same_certificate_is_stored_once(
    store: Store, upload: Upload, issued: Issued, database: Database
) -> None:
    first = store(upload).row

    with pytest.raises(AlreadyStored) as refused:
        store(replace(upload, x5u="https://sti.example.com/b.pem"))

    assert refused.value.id == first.id == issued.certificate.fingerprint
    assert take_snapshot(database).certificates == {first.id: replace(first, sequence=1)}
    assert database.revision() == 1


# The key at rest


def test_no_form_of_the_key_is_in_the_store(
    store: Store, upload: Upload, issued: Issued, database: Database, tmp_path: Path
) -> None:
    store(upload)
    database.close()

    files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    assert issued.certificate.fingerprint.encode() in b"".join(files.values())
    for name, content in files.items():
        for form in forms_of(issued.private_key):
            assert form not in content, name
            assert form.lower() not in content.lower(), name


def forms_of(key: ec.EllipticCurvePrivateKey) -> list[bytes]:
    """Write a private key in every way that somebody might look for it."""
    scalar = key.private_numbers().private_value.to_bytes(32)
    ders = [
        key.private_bytes(Encoding.DER, form, NoEncryption())
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
    ]
    pems = [
        key.private_bytes(Encoding.PEM, form, NoEncryption())
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
    ]
    lines = [line for pem in pems for line in pem.splitlines() if b"-----" not in line]
    encoded = [base64.b64encode(der) for der in ders] + [der.hex().encode() for der in ders]
    return [
        b"PRIVATE KEY",
        scalar,
        scalar[::-1],
        scalar.hex().encode(),
        base64.b64encode(scalar).rstrip(b"=")[:-1],
        base64.urlsafe_b64encode(scalar).rstrip(b"=")[:-1],
        str(key.private_numbers().private_value).encode(),
        *ders,
        *pems,
        *lines[:1],  # the lines after it hold the public key, which the certificate shows
        *encoded,
    ]


def test_the_forms_of_a_key_are_those_that_openssl_writes(issued: Issued, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(issued.key_pem)

    run = subprocess.run(
        ["openssl", "pkey", "-in", "key.pem", "-noout", "-text"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    digits = "".join(run.stdout.partition("priv:")[2].partition("pub:")[0].split()).replace(":", "")
    assert digits.encode() in forms_of(issued.private_key)


# Where a certificate is in its life


@pytest.mark.parametrize(
    ("lifetime", "second", "status"),
    [
        (365 * 86_400, -1, Status.NOT_YET_VALID),
        (365 * 86_400, 0, Status.VALID),
        (365 * 86_400, 335 * 86_400, Status.VALID),
        (365 * 86_400, 335 * 86_400 + 1, Status.EXPIRING),
        (365 * 86_400, 365 * 86_400, Status.EXPIRING),
        (365 * 86_400, 365 * 86_400 + 1, Status.EXPIRED),
        # A certificate of a few days says so in its last third only.
        (9 * 86_400, 6 * 86_400, Status.VALID),
        (9 * 86_400, 6 * 86_400 + 1, Status.EXPIRING),
        (90 * 86_400, 60 * 86_400, Status.VALID),
        (90 * 86_400, 60 * 86_400 + 1, Status.EXPIRING),
    ],
)
def test_a_certificate_is(
    certificate: StoredCertificate, lifetime: int, second: int, status: Status
) -> None:
    row = replace(certificate, not_before=1_000, not_after=1_000 + lifetime)

    assert status_of(row, now=1_000 + second) is status


def test_thirty_days_are_enough_warning() -> None:
    assert EXPIRING_SECONDS == 30 * 86_400
