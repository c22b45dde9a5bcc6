"""A call becomes an Identity header."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from shaken.attestation import Attest, AttestPolicy, ForeignAttest
from shaken.audit import SYSTEM
from shaken.importing import Upload, import_certificate
from shaken.passport import Parties, Party, decode, signature_fits
from shaken.pens import RETRY_SECONDS, Pens
from shaken.signing import OutboundCall, Signed, Signer
from shaken.signing_errors import InvalidClaim, MissingClaim, NotAllowed, NotConfigured
from shaken.snapshot import take_snapshot
from shaken.store.tenants import replace_tenant
from shaken.tenants import Tenant, Trunk
from sip.identity import parse_identities
from sip.stages import at_once
from tests.signing import pens_with, signed_by, signer_with
from trust.authority import Authority
from trust.certificate import CertificateKind
from trust.claim_constraints import ClaimConstraints, PermittedValues
from trust.keys import MasterKey
from trust.selection import Chosen, Fallback
from trust.store import certificates as certificate_store
from trust.store.certificates import StoredCertificate, chain_pem
from trust.store.database import Database
from trust.store.tables import certificates as certificate_table

ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"
AddCertificate = Callable[..., StoredCertificate]


def call(**changes: Any) -> OutboundCall:
    """A call of one of the tenant's numbers that leaves out all it may."""
    made = OutboundCall(orig=Party(tn="12155550100"), dest=Parties(tn=("12155559999",)))
    return msgspec.structs.replace(made, **changes)


def complete_call(**changes: Any) -> OutboundCall:
    """A call that leaves out nothing, as one without a trunk must be."""
    return call(attest=Attest.A, origid=ORIGID, **changes)


@pytest.fixture
def sign(
    signer: Signer, database: Database, tenant: Tenant, trunk: Trunk, now: int
) -> Callable[..., Signed]:
    """Sign a call for the tenant over its trunk, unless told otherwise."""

    def sign_call(made: OutboundCall, **changes: Any) -> Signed:
        settings = {"tenant": tenant, "trunk": trunk, "now": now, **changes}
        return signed_by(signer, made, snapshot=take_snapshot(database), **settings)

    return sign_call


Sign = Callable[..., Signed]


# What comes out


def test_a_call_is_signed_with_the_tenants_own_certificate(
    sign: Sign, certificate: StoredCertificate, database: Database, now: int
) -> None:
    signed = sign(call())

    (identity,) = parse_identities(signed.identity)
    passport = decode(identity.token)
    x5u = f"https://sti.example.com/certificates/{certificate.id}.pem"
    assert (signed.certificate, signed.chosen) == (certificate.id, Chosen.TENANT)
    assert signed.identity == f"{identity.token};info=<{x5u}>;alg=ES256;ppt=shaken"
    assert passport.header == {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": x5u}
    assert passport.claims == {
        "attest": "A",
        "dest": {"tn": ["12155559999"]},
        "iat": now,
        "orig": {"tn": "12155550100"},
        "origid": "6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55",
    }
    assert msgspec.to_builtins(signed.claims) == {
        **passport.claims,
        "dest": {"tn": ("12155559999",)},
    }
    assert signature_fits(passport, public_key(database, certificate.id))


def public_key(database: Database, certificate_id: str) -> ec.EllipticCurvePublicKey:
    with database.reading() as connection:
        pem = chain_pem(connection, certificate_id)
    assert pem is not None
    key = x509.load_pem_x509_certificates(pem.encode())[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def test_uris_and_several_destinations_are_signed(
    sign: Sign, certificate: StoredCertificate
) -> None:
    assert certificate
    made = complete_call(
        orig=Party(uri="sip:alice@example.com"),
        dest=Parties(tn=("12155559999", "442071838750"), uri=("sip:bob@example.com",)),
    )

    claims = decode(parse_identities(sign(made).identity)[0].token).claims

    assert claims["orig"] == {"uri": "sip:alice@example.com"}
    assert claims["dest"] == {
        "tn": ["12155559999", "442071838750"],
        "uri": ["sip:bob@example.com"],
    }


def test_each_signature_is_another_one(sign: Sign, certificate: StoredCertificate) -> None:
    assert certificate

    assert len({sign(call()).identity for _ in range(5)}) == 5


# The attestation and the origid


@pytest.mark.parametrize(
    ("orig", "wanted", "foreign", "attest"),
    [
        ("12155550100", None, ForeignAttest.B, "A"),
        ("12155550100", Attest.C, ForeignAttest.B, "C"),
        ("12125550100", None, ForeignAttest.B, "B"),
        ("12125550100", Attest.A, ForeignAttest.B, "B"),
        ("12125550100", Attest.A, ForeignAttest.C, "C"),
        ("12125550100", Attest.A, ForeignAttest.A, "A"),
        ("12155550100", Attest.A, ForeignAttest.REFUSE, "A"),
    ],
)
def test_a_trunk_attests(
    sign: Sign,
    certificate: StoredCertificate,
    trunk: Trunk,
    *,
    orig: str,
    wanted: Attest | None,
    foreign: ForeignAttest,
    attest: str,
) -> None:
    assert certificate
    line = replace(trunk, attest=AttestPolicy(Attest.A, foreign))

    signed = sign(call(orig=Party(tn=orig), attest=wanted), trunk=line)

    assert signed.claims.attest == attest


@pytest.mark.parametrize("orig", [Party(tn="12125550100"), Party(uri="sip:alice@example.com")])
def test_a_trunk_may_refuse_foreign_callers(
    sign: Sign, certificate: StoredCertificate, trunk: Trunk, orig: Party
) -> None:
    assert certificate
    line = replace(trunk, attest=AttestPolicy(Attest.A, ForeignAttest.REFUSE))

    with pytest.raises(NotAllowed, match=f"{orig} is none of the tenant's numbers"):
        sign(call(orig=orig), trunk=line)


def test_the_calls_own_origid_wins_over_the_trunks(
    sign: Sign, certificate: StoredCertificate
) -> None:
    assert certificate

    assert sign(call(origid=ORIGID)).claims.origid == ORIGID


@pytest.mark.parametrize("origid", [ORIGID, ORIGID.upper(), "00000000-0000-0000-0000-000000000000"])
def test_an_origid_is_signed_as_it_was_sent(
    sign: Sign, certificate: StoredCertificate, origid: str
) -> None:
    assert certificate

    assert sign(call(origid=origid)).claims.origid == origid


@pytest.mark.parametrize(
    "origid",
    ["", "1", ORIGID[:-1], ORIGID + "0", ORIGID + "\n", f"{{{ORIGID}}}", "g" * 36, "\ud800"],
)
def test_an_origid_that_is_no_uuid_is_refused(sign: Sign, origid: str) -> None:
    with pytest.raises(InvalidClaim, match="a UUID is expected") as refused:
        sign(call(origid=origid))

    assert refused.value.claim == "origid"


@pytest.mark.parametrize(
    ("made", "claim"),
    [
        (call(origid=ORIGID), "attest"),
        (call(attest=Attest.A), "origid"),
        (call(), "attest"),
    ],
)
def test_without_a_trunk_nothing_is_filled_in(sign: Sign, made: OutboundCall, claim: str) -> None:
    with pytest.raises(
        MissingClaim, match=f"send '{claim}', or use a credential of a trunk"
    ) as refused:
        sign(made, trunk=None)

    assert refused.value.claim == claim


@pytest.mark.parametrize(
    ("orig", "wanted", "attest"),
    [
        ("12155550100", Attest.A, "A"),
        ("12155550100", Attest.C, "C"),
        ("12125550100", Attest.A, "B"),
        ("12125550100", Attest.C, "C"),
    ],
)
def test_without_a_trunk_foreign_numbers_get_partial_attestation_at_most(
    sign: Sign, certificate: StoredCertificate, orig: str, wanted: Attest, attest: str
) -> None:
    assert certificate
    made = call(orig=Party(tn=orig), attest=wanted, origid=ORIGID)

    assert sign(made, trunk=None).claims.attest == attest


def test_nobodys_call_is_signed_as_it_says(sign: Sign, certificate: StoredCertificate) -> None:
    assert certificate

    claims = sign(complete_call(), trunk=None, tenant=None).claims

    assert (claims.attest, claims.origid) == ("A", ORIGID)


# The time


@pytest.mark.parametrize(
    ("seconds", "fresh"), [(-61, False), (-60, True), (0, True), (15, True), (16, False)]
)
def test_an_iat_is_signed_while_it_is_fresh(
    sign: Sign, certificate: StoredCertificate, now: int, *, seconds: int, fresh: bool
) -> None:
    assert certificate
    made = call(iat=now + seconds)

    if fresh:
        assert sign(made).claims.iat == now + seconds
        return
    with pytest.raises(InvalidClaim) as refused:
        sign(made)
    assert refused.value.claim == "iat"
    assert str(refused.value) == (
        f"{now + seconds} is not within 60 s before and 15 s after now, which is {now}"
    )


@pytest.mark.parametrize("iat", [0, -1, -(10**19), 10**19])
def test_an_iat_of_another_age_of_the_world_is_refused(sign: Sign, iat: int) -> None:
    with pytest.raises(InvalidClaim):
        sign(call(iat=iat))


# The certificate


def test_of_two_certificates_the_one_valid_since_later_signs(
    sign: Sign, tenant: Tenant, add_certificate: AddCertificate, now: int
) -> None:
    newer = add_certificate(tenant=tenant.address, not_before=now - 60)
    add_certificate(tenant=tenant.address, not_before=now - 3600)

    assert sign(call()).certificate == newer.id


def test_a_certificate_takes_over_at_the_second_it_becomes_valid(
    sign: Sign,
    tenant: Tenant,
    certificate: StoredCertificate,
    add_certificate: AddCertificate,
    now: int,
) -> None:
    renewed = add_certificate(tenant=tenant.address, not_before=now + 10)

    assert sign(call(), now=now + 9).certificate == certificate.id
    assert sign(call(), now=now + 10).certificate == renewed.id


def test_within_one_snapshot_certificates_come_and_go_at_their_seconds_in_any_order_of_time(
    signer: Signer,
    database: Database,
    tenant: Tenant,
    certificate: StoredCertificate,
    add_certificate: AddCertificate,
    *,
    now: int,
) -> None:
    renewed = add_certificate(tenant=tenant.address, not_before=now + 10)
    snapshot = take_snapshot(database)

    def signing(at: int) -> str:
        made = signed_by(
            signer, complete_call(), snapshot=snapshot, tenant=tenant, trunk=None, now=at
        )
        return made.certificate

    assert [signing(now + late) for late in (9, 10, 9)] == [
        certificate.id,
        renewed.id,
        certificate.id,
    ]


def test_a_tenant_without_a_certificate_signs_with_the_first_one_available(
    sign: Sign, add_certificate: AddCertificate
) -> None:
    first = add_certificate()
    add_certificate()

    signed = sign(call())

    assert (signed.certificate, signed.chosen) == (first.id, Chosen.FIRST)


def test_nobodys_call_signs_with_the_first_one_available(
    sign: Sign, certificate: StoredCertificate
) -> None:
    signed = sign(complete_call(), tenant=None, trunk=None)

    assert (signed.certificate, signed.chosen) == (certificate.id, Chosen.FIRST)


def test_the_fallback_can_be_turned_off_for_one_tenant(
    sign: Sign, database: Database, tenant: Tenant, add_certificate: AddCertificate
) -> None:
    add_certificate()
    with database.changing() as change:
        assert replace_tenant(change, replace(tenant, fallback=Fallback.NONE))

    with pytest.raises(NotConfigured) as refused:
        sign(call())

    assert str(refused.value) == (
        "no STI certificate with a key is valid now for pbx.example.com and the fallback to others"
        " is off; import one"
    )


def test_the_fallback_can_be_turned_off_for_all(
    master: MasterKey, database: Database, add_certificate: AddCertificate, tenant: Tenant, now: int
) -> None:
    add_certificate()
    strict = signer_with(pens_with(master, fallback=Fallback.NONE))
    snapshot = take_snapshot(database)

    for who in (tenant, None):
        with pytest.raises(NotConfigured, match="the fallback to others is off"):
            signed_by(strict, complete_call(), snapshot=snapshot, tenant=who, trunk=None, now=now)


@pytest.mark.parametrize("known", [True, False])
def test_without_any_certificate_nothing_is_signed(sign: Sign, *, known: bool) -> None:
    changes = {} if known else {"tenant": None, "trunk": None}

    with pytest.raises(NotConfigured) as refused:
        sign(complete_call(), **changes)

    who = "pbx.example.com" if known else "this call"
    assert str(refused.value) == f"no STI certificate with a key is valid now for {who}; import one"


def test_an_expired_certificate_signs_no_more(sign: Sign, certificate: StoredCertificate) -> None:
    assert sign(call(), now=certificate.not_after).certificate == certificate.id
    with pytest.raises(NotConfigured):
        sign(call(), now=certificate.not_after + 1)


# What the certificate may sign


PERMITS_B = ClaimConstraints(permitted_values=(PermittedValues("attest", ("B",)),))
NUMBERS = ("12155550100", "12155550101")


@pytest.mark.parametrize(
    ("speaks_for", "made"),
    [
        ({"numbers": NUMBERS}, call()),
        ({"numbers": ["13125550000"], "spc": "1234"}, call()),
        ({"spc": "1234", "constraints": PERMITS_B}, call(attest=Attest.B)),
        ({"spc": "1234"}, call(orig=Party(uri="sip:alice@example.com"))),
    ],
    ids=["its number", "a provider", "what it permits", "a URI, by a provider"],
)
def test_a_certificate_signs_what_it_may(
    sign: Sign,
    tenant: Tenant,
    add_certificate: AddCertificate,
    speaks_for: dict[str, Any],
    made: OutboundCall,
) -> None:
    own = add_certificate(tenant=tenant.address, **speaks_for)

    assert sign(made).certificate == own.id


@pytest.mark.parametrize(
    ("speaks_for", "made", "words"),
    [
        (
            {"numbers": NUMBERS},
            call(orig=Party(tn="12155550102")),
            'The TNAuthList of "CN=SHAKEN,O=SHAKEN lab" does not cover 12155550102.',
        ),
        (
            {"numbers": NUMBERS},
            call(orig=Party(uri="sip:alice@example.com")),
            "does not cover a URI, for which only a provider may speak.",
        ),
        (
            {"spc": "1234", "constraints": PERMITS_B},
            call(),
            "constrains what is signed: the claim 'attest' is 'A'; the certificate permits 'B'.",
        ),
        (
            {"spc": "1234", "constraints": ClaimConstraints(must_include=("rcd",))},
            call(),
            "the claim 'rcd' is missing, which the certificate demands.",
        ),
        (
            {"spc": "1234", "constraints": ClaimConstraints(must_exclude=("origid",))},
            call(),
            "the claim 'origid' is present, which the certificate forbids.",
        ),
    ],
    ids=["another number", "a URI", "another attest", "a claim missing", "a claim too many"],
)
def test_what_every_verifier_would_refuse_is_not_signed(
    sign: Sign,
    tenant: Tenant,
    add_certificate: AddCertificate,
    *,
    speaks_for: dict[str, Any],
    made: OutboundCall,
    words: str,
) -> None:
    own = add_certificate(tenant=tenant.address, **speaks_for)

    with pytest.raises(NotAllowed) as refused:
        sign(made)

    said = str(refused.value)
    assert said.startswith(f"certificate {own.id} may not sign this call: ")
    assert words in said
    assert said.endswith("import a certificate for the tenant that may sign it")


def test_a_diversion_is_signed_by_whom_the_certificate_covers(
    signer: Signer, database: Database, add_certificate: AddCertificate, now: int
) -> None:
    """Whose call it is that is diverted is no matter."""
    add_certificate(numbers=NUMBERS)

    def divert(diverted: str) -> str:
        orig, dest = Party(tn="442071838750"), Parties(tn=("12155559999",))
        signing = signer.sign_diversion_in_stages(
            orig,
            Party(tn=diverted),
            dest,
            iat=None,
            snapshot=take_snapshot(database),
            tenant=None,
            now=now,
        )
        return at_once(signing).identity

    assert divert(NUMBERS[0])
    with pytest.raises(NotAllowed, match="does not cover 442071838750"):
        divert("442071838750")


# The URL of the certificate


def test_an_x5u_given_with_the_certificate_wins_over_the_public_url(
    sign: Sign, tenant: Tenant, add_certificate: AddCertificate
) -> None:
    add_certificate(tenant=tenant.address, x5u="https://cert.example.org:8443/passport.cer")

    (identity,) = parse_identities(sign(call()).identity)

    assert identity.info == "https://cert.example.org:8443/passport.cer"
    assert decode(identity.token).x5u == identity.info


def test_without_any_url_nothing_is_signed_and_the_setting_is_named(
    master: MasterKey,
    database: Database,
    certificate: StoredCertificate,
    *,
    tenant: Tenant,
    now: int,
) -> None:
    pens = pens_with(master, public_url="")
    signer, snapshot = signer_with(pens), take_snapshot(database)

    assert pens.x5u_of(certificate) is None
    with pytest.raises(NotConfigured, match="set public_url"):
        signed_by(signer, complete_call(), snapshot=snapshot, tenant=tenant, trunk=None, now=now)
    assert "set public_url" in str(pens.why_not_ready(snapshot, now=now))


# Keys


@dataclass
class CountingKeys:
    """Master keys that open nothing, and know how often they were asked."""

    current: MasterKey = field(default_factory=MasterKey.generate)
    tried: int = 0

    def opening(self, sealed: bytes, *, record: str) -> MasterKey:
        return self.current.opening(sealed, record=record)

    def unseal(self, sealed: bytes, *, record: str) -> bytes:
        self.tried += 1
        return self.current.unseal(sealed, record=record)


def test_a_key_of_another_master_key_is_named_by_its_certificate(
    database: Database,
    certificate: StoredCertificate,
    tenant: Tenant,
    now: int,
) -> None:
    stranger = signer_with(pens_with(MasterKey.generate()))

    with pytest.raises(NotConfigured, match=f"the key of certificate {certificate.id} cannot be"):
        signed_by(
            stranger,
            complete_call(),
            snapshot=take_snapshot(database),
            tenant=tenant,
            trunk=None,
            now=now,
        )


def test_what_cannot_sign_is_tried_and_logged_once_in_a_while(
    database: Database,
    certificate: StoredCertificate,
    *,
    tenant: Tenant,
    now: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = CountingKeys()
    stranger = signer_with(pens_with(keys))
    snapshot = take_snapshot(database)

    for later in (0, 0, RETRY_SECONDS - 1):
        with pytest.raises(NotConfigured, match=f"the key of certificate {certificate.id} cannot"):
            signed_by(
                stranger,
                complete_call(),
                snapshot=snapshot,
                tenant=tenant,
                trunk=None,
                now=now + later,
            )
    assert keys.tried == 1
    assert len(caplog.messages) == 1

    with pytest.raises(NotConfigured):
        signed_by(
            stranger,
            complete_call(),
            snapshot=snapshot,
            tenant=tenant,
            trunk=None,
            now=now + RETRY_SECONDS,
        )
    assert keys.tried == 2
    assert len(caplog.messages) == 2


def test_a_certificate_that_lost_its_key_is_said_to_have_none(
    signer: Signer, database: Database, certificate: StoredCertificate, *, tenant: Tenant, now: int
) -> None:
    snapshot = take_snapshot(database)
    chosen = snapshot.sti
    keyless = replace(certificate, sealed_key=None)
    rows = replace(snapshot.certificate_rows, rows={keyless.id: keyless})
    broken = replace(snapshot, certificate_rows=rows)
    vars(broken)["sti"] = chosen

    with pytest.raises(NotConfigured, match=f"certificate {keyless.id} has no private key"):
        signed_by(signer, complete_call(), snapshot=broken, tenant=tenant, trunk=None, now=now)


def test_a_key_moved_to_another_certificate_does_not_open(
    sign: Sign, database: Database, tenant: Tenant, add_certificate: AddCertificate
) -> None:
    thief, victim = add_certificate(tenant=tenant.address), add_certificate()
    with database.changing() as change:
        change.connection.execute(
            certificate_table.update()
            .where(certificate_table.c.id == thief.id)
            .values(sealed_key=victim.sealed_key, revision=change.revision)
        )

    with pytest.raises(NotConfigured, match=f"certificate {thief.id} cannot be opened"):
        sign(call())


def test_a_key_is_opened_once(
    pens: Pens, database: Database, certificate: StoredCertificate, tenant: Tenant, now: int
) -> None:
    signer, snapshot = signer_with(pens), take_snapshot(database)

    def sign_once() -> Signed:
        return signed_by(
            signer, complete_call(), snapshot=snapshot, tenant=tenant, trunk=None, now=now
        )

    sign_once()
    # From now on the sealed key is of no use, and is not needed.
    object.__setattr__(snapshot.certificates[certificate.id], "sealed_key", b"")

    assert sign_once().certificate == certificate.id
    pens.forget_all_but(snapshot.certificates)
    assert sign_once().certificate == certificate.id
    pens.forget_all_but(())
    with pytest.raises(NotConfigured):
        sign_once()


def test_a_deleted_certificate_signs_no_more(
    sign: Sign, database: Database, certificate: StoredCertificate, add_certificate: AddCertificate
) -> None:
    other = add_certificate()
    assert sign(call()).certificate == certificate.id

    with database.changing() as change:
        certificate_store.remove(change, certificate.id)

    assert sign(call()).certificate == other.id


def test_a_certificate_that_was_deleted_and_imported_with_another_url_is_used_as_it_is_now(
    sign: Sign,
    database: Database,
    master: MasterKey,
    lab_ca: Authority,
    *,
    tenant: Tenant,
    now: int,
) -> None:
    issued = lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))

    def import_with(x5u: str) -> str:
        upload = Upload(
            kind=CertificateKind.STI,
            certificate=issued.chain_pem,
            private_key=issued.key_pem,
            passphrase=None,
            tenant=tenant.address,
            x5u=x5u,
        )
        return import_certificate(database, master, upload, actor=SYSTEM, now=now, lab=False).row.id

    first = import_with("https://old.example.com/a.pem")
    assert "info=<https://old.example.com/a.pem>" in sign(call()).identity
    with database.changing() as change:
        certificate_store.remove(change, first)

    assert import_with("https://new.example.com/a.pem") == first
    assert "info=<https://new.example.com/a.pem>" in sign(call()).identity


def test_a_tenant_that_changes_its_alias_is_signed_for_as_it_is_now(
    sign: Sign, database: Database, tenant: Tenant, add_certificate: AddCertificate, trunk: Trunk
) -> None:
    first = add_certificate()
    named = copy_named(database, add_certificate(x5u="https://c.example/a.pem"), "new.example.com")
    assert sign(call()).certificate == first.id
    changed = replace(tenant, aliases=("new.example.com",))
    with database.changing() as change:
        replace_tenant(change, changed)

    signed = sign(call(), tenant=take_snapshot(database).tenants[trunk.tenant])

    assert (signed.certificate, signed.chosen) == (named, Chosen.TENANT)


def copy_named(database: Database, row: StoredCertificate, name: str) -> str:
    """Write a DNS name into a stored certificate."""
    with database.changing() as change:
        change.connection.execute(
            certificate_table.update()
            .where(certificate_table.c.id == row.id)
            .values(names=[name], revision=change.revision)
        )
    return row.id
