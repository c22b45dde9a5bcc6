"""Which certificates may be a root, and how lists of roots change."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from trust.authority import Authority
from trust.certificate import Certificate, CertificateRefused
from trust.roots import (
    MAX_ROOTS,
    AlreadyAdded,
    Edition,
    Plan,
    Purpose,
    Root,
    Shipper,
    plan_reset,
    plan_upgrade,
    read_root,
    read_roots,
    root_of,
    when_added,
    when_deleted,
    when_restored,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Authority.create("Lab root", now=NOW)
STI_CA = ROOT.intermediate("Lab STI-CA", now=NOW)
STI = STI_CA.issue_sti(spc="1234", now=NOW)
VECTORS = Path(__file__).parent.parent / "vectors" / "trust"
V1_ROOT = (VECTORS / "v1-root.pem").read_text()
V1_ISSUED = (VECTORS / "v1-issued.pem").read_text()


def self_signed_server() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sbc.example")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW.replace(year=2027))
    return Certificate((builder.sign(key, hashes.SHA256()),)).pem()


def unreadable_root() -> str:
    """Return a root that OpenSSL cannot read: a text of its name has a tag that texts have not."""
    der = ROOT.certificate.public_bytes(Encoding.DER)
    damaged = der.replace(b"\x0c\x08Lab root", b"\x00\x08Lab root")
    return Certificate((x509.load_der_x509_certificate(damaged),)).pem()


# What may be a root


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(ROOT.certificate_pem, id="a root"),
        pytest.param(STI_CA.certificate_pem, id="an intermediate authority"),
        pytest.param(V1_ROOT, id="a self-signed certificate of X.509 version 1"),
        pytest.param(ROOT.certificate_pem * 2, id="the same one twice"),
        pytest.param(f"Our root:\n{ROOT.certificate_pem}Regards", id="in a letter"),
    ],
)
def test_the_certificate_of_an_authority_may_be_a_root(pem: str) -> None:
    root = read_root(pem, Purpose.STI)

    assert (root.purpose, root.shipped, root.added) == (Purpose.STI, None, True)
    assert not root.disabled
    assert not root.deleted


@pytest.mark.parametrize(
    ("text", "slug", "words"),
    [
        pytest.param(
            Certificate((STI.certificate.leaf,)).pem(), "not-a-ca", "CA:TRUE", id="an STI leaf"
        ),
        pytest.param(self_signed_server(), "not-a-ca", "issued it", id="a self-signed server"),
        pytest.param(V1_ISSUED, "not-a-ca", "CA:TRUE", id="version 1, issued by another"),
        pytest.param(
            STI.chain_pem, "several-certificates", "2 certificates", id="a chain of several"
        ),
        pytest.param(
            ROOT.certificate_pem + ROOT.key_pem, "private-key", "only that", id="with its key"
        ),
        pytest.param(
            "-----BEGIN DH PARAMETERS-----\nMAYCAQUCAQI=\n-----END DH PARAMETERS-----\n",
            "no-certificate",
            "BEGIN CERTIFICATE",
            id="something else",
        ),
        pytest.param(unreadable_root(), "bad-pem", "authority anew", id="what OpenSSL cannot read"),
        pytest.param("trust me", "not-pem", "no PEM block", id="no PEM"),
    ],
)
def test_what_may_be_no_root_is_refused_with_what_to_do(text: str, slug: str, words: str) -> None:
    with pytest.raises(CertificateRefused) as refused:
        read_root(text, Purpose.TLS)

    assert refused.value.slug == slug
    assert words in refused.value.detail
    assert "PRIVATE" not in refused.value.detail


def test_a_root_says_what_its_certificate_says() -> None:
    root = root_of(ROOT.certificate, Purpose.TLS, shipped=Shipper.CERTIFI)

    assert root == Root(
        id=ROOT.certificate.fingerprint(hashes.SHA256()).hex(),
        purpose=Purpose.TLS,
        subject="CN=Lab root,O=SHAKEN lab",
        not_before=int(NOW.timestamp()) - 300,
        not_after=int(NOW.timestamp()) + 3650 * 86400,
        pem=ROOT.certificate_pem,
        shipped=Shipper.CERTIFI,
        added=False,
    )


def test_of_several_roots_each_is_read_or_refused_by_itself() -> None:
    damaged = ROOT.certificate_pem.replace("M", "?", 1)
    text = f"Ours:\n{ROOT.certificate_pem}{damaged}{STI.chain_pem}{V1_ROOT}"

    first, second, leaf, intermediate, last = read_roots(text, Purpose.STI)

    assert first == read_root(ROOT.certificate_pem, Purpose.STI)
    assert isinstance(second, CertificateRefused)
    assert second.detail.startswith("Block 2 (CERTIFICATE) is damaged")
    assert isinstance(leaf, CertificateRefused)
    assert leaf.slug == "not-a-ca"
    assert intermediate == read_root(STI_CA.certificate_pem, Purpose.STI)
    assert last == read_root(V1_ROOT, Purpose.STI)


def test_a_text_without_a_block_is_refused_as_one() -> None:
    (refused,) = read_roots("hello", Purpose.TLS)

    assert isinstance(refused, CertificateRefused)
    assert refused.slug == "not-pem"


def test_so_many_roots_are_read_at_once() -> None:
    empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"

    assert len(read_roots(empty * MAX_ROOTS, Purpose.TLS)) == MAX_ROOTS
    with pytest.raises(CertificateRefused, match="at most 300") as refused:
        read_roots(empty * (MAX_ROOTS + 1), Purpose.TLS)
    assert refused.value.slug == "too-many-blocks"


@given(
    st.lists(
        st.one_of(
            st.sampled_from([ROOT.certificate_pem, "-----BEGIN CERTIFICATE-----", STI.key_pem]),
            st.text("-BEGINDCRTFAM=\n 1", max_size=60),
        ),
        max_size=6,
    )
)
def test_whatever_is_pasted_is_read_or_refused(pieces: list[str]) -> None:
    for read in read_roots("".join(pieces), Purpose.TLS):
        assert isinstance(read, Root | CertificateRefused)


# Editions of the shipped list


@pytest.mark.parametrize(
    ("installed", "applied", "expected"),
    [
        (Edition("2026.5.20", "aa"), None, True),
        (Edition("2026.5.20", "aa"), Edition("2026.1.4", "bb"), True),
        (Edition("2026.10.5", "aa"), Edition("2026.9.30", "bb"), True),
        (Edition("2026.5.20.post1", "aa"), Edition("2026.5.20", "bb"), True),
        (Edition("2026.5.20", "aa"), Edition("2026.1.4", "aa"), True),
        (Edition("2026.5.20", "aa"), Edition("2026.5.20", "bb"), True),
        (Edition("2026.5.20", "aa"), Edition("2026.05.20", "bb"), True),
        (Edition("2026.5.20", "aa"), Edition("2026.5.20", "aa"), False),
        (Edition("2026.1.4", "bb"), Edition("2026.5.20", "aa"), False),
        (Edition("2026.5.20", "bb"), Edition("2026.5.20.post1", "aa"), False),
    ],
)
def test_a_list_follows_the_newest_edition(
    installed: Edition, applied: Edition | None, *, expected: bool
) -> None:
    assert installed.replaces(applied) is expected


# What an administrator does


def root(name: str, **facts: bool | Shipper | None) -> Root:
    plain = Root(name, Purpose.TLS, f"CN={name}", 0, 1, f"pem of {name}", None, added=False)
    return replace(plain, **facts)  # type: ignore[arg-type]


def shipped(name: str, **facts: bool) -> Root:
    return root(name, shipped=Shipper.CERTIFI, **facts)


def added(name: str, **facts: bool | Shipper) -> Root:
    return root(name, added=True, **facts)


ADDED_AND_SHIPPED = added("a", shipped=Shipper.CERTIFI)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        pytest.param(None, added("a"), id="a new one"),
        pytest.param(shipped("a"), ADDED_AND_SHIPPED, id="one that is shipped becomes his"),
        pytest.param(
            shipped("a", disabled=True), ADDED_AND_SHIPPED, id="one that is shipped and disabled"
        ),
        pytest.param(shipped("a", deleted=True), ADDED_AND_SHIPPED, id="a deleted one revives"),
        pytest.param(root("a", deleted=True), added("a"), id="one that was shipped once revives"),
    ],
)
def test_an_added_root_is_trusted(stored: Root | None, expected: Root) -> None:
    assert when_added(added("a"), stored) == expected


@pytest.mark.parametrize(
    "stored", [added("a"), added("a", disabled=True), ADDED_AND_SHIPPED], ids=repr
)
def test_a_root_is_added_once(stored: Root) -> None:
    with pytest.raises(AlreadyAdded) as refused:
        when_added(added("a"), stored)

    assert refused.value.id == "a"


@pytest.mark.parametrize(
    ("deleted", "expected"),
    [
        pytest.param(shipped("a", deleted=True), shipped("a"), id="as it was shipped"),
        pytest.param(
            root("a", deleted=True), added("a"), id="as his own where nobody ships it any more"
        ),
    ],
)
def test_a_deleted_root_is_put_back(deleted: Root, expected: Root) -> None:
    assert when_restored(deleted) == expected


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        pytest.param(added("a"), None, id="one that he added himself"),
        pytest.param(shipped("a"), shipped("a", deleted=True), id="one that is shipped"),
        pytest.param(
            shipped("a", disabled=True), shipped("a", deleted=True), id="shipped and disabled"
        ),
        pytest.param(ADDED_AND_SHIPPED, shipped("a", deleted=True), id="added and shipped"),
    ],
)
def test_a_deletion_is_remembered_where_the_root_is_shipped(
    stored: Root, kept: Root | None
) -> None:
    assert when_deleted(stored) == kept


# Plans


@dataclass(frozen=True)
class Case:
    story: str
    before: list[Root]
    after: list[Root]
    added: str = ""
    removed: str = ""
    enabled: str = ""


def check(plan: Plan, case: Case) -> None:
    assert list(plan.after) == case.after
    assert [one.id for one in plan.added] == list(case.added)
    assert [one.id for one in plan.removed] == list(case.removed)
    assert [one.id for one in plan.enabled] == list(case.enabled)


UPGRADES = [
    Case("a new store", [], [shipped("a"), shipped("b")], added="ab"),
    Case(
        "nothing is new",
        [shipped("b"), shipped("a")],
        [shipped("b"), shipped("a")],
    ),
    Case(
        "one is new, one is shipped no more",
        [shipped("a"), shipped("x")],
        [shipped("a"), shipped("b")],
        added="b",
        removed="x",
    ),
    Case(
        "a deleted one stays deleted",
        [shipped("a", deleted=True), shipped("b")],
        [shipped("a", deleted=True), shipped("b")],
    ),
    Case(
        "a deleted one is remembered while it is not shipped",
        [shipped("a"), shipped("b"), shipped("x", deleted=True)],
        [shipped("a"), shipped("b"), root("x", deleted=True)],
    ),
    Case(
        "a deleted one stays deleted when it is shipped anew",
        [root("a", deleted=True), shipped("b")],
        [shipped("a", deleted=True), shipped("b")],
    ),
    Case(
        "a disabled one stays disabled",
        [shipped("a", disabled=True), shipped("b")],
        [shipped("a", disabled=True), shipped("b")],
    ),
    Case(
        "what an admin added stays",
        [shipped("a"), shipped("b"), added("x"), added("y", disabled=True)],
        [shipped("a"), shipped("b"), added("x"), added("y", disabled=True)],
    ),
    Case(
        "what an admin added stays his when it is shipped",
        [added("a"), shipped("b")],
        [ADDED_AND_SHIPPED, shipped("b")],
    ),
    Case(
        "what an admin added stays when it is shipped no more",
        [shipped("a"), shipped("b"), added("x", shipped=Shipper.CERTIFI)],
        [shipped("a"), shipped("b"), added("x")],
    ),
]


@pytest.mark.parametrize("case", UPGRADES, ids=lambda case: case.story)
def test_an_upgrade(case: Case) -> None:
    check(plan_upgrade([shipped("a"), shipped("b")], case.before), case)


def test_another_lab_takes_the_place_of_the_one_before() -> None:
    first, second = root("a", shipped=Shipper.LAB), root("b", shipped=Shipper.LAB)

    plan = plan_upgrade([second], [first, added("x")])

    check(plan, Case("", [], [added("x"), second], added="b", removed="a"))


RESETS = [
    Case("nothing was changed", [shipped("a")], [shipped("a")]),
    Case("a deleted one comes back", [shipped("a", deleted=True)], [shipped("a")], added="a"),
    Case("a disabled one is enabled", [shipped("a", disabled=True)], [shipped("a")], enabled="a"),
    Case("one that was deleted and is shipped no more is forgotten", [root("x", deleted=True)], []),
    Case(
        "what an admin added stays as it is",
        [added("x"), added("y", disabled=True)],
        [added("x"), added("y", disabled=True)],
    ),
    Case(
        "what an admin added and is shipped is enabled, and stays his",
        [added("a", shipped=Shipper.CERTIFI, disabled=True)],
        [ADDED_AND_SHIPPED],
        enabled="a",
    ),
]


@pytest.mark.parametrize("case", RESETS, ids=lambda case: case.story)
def test_a_reset_that_keeps_what_admins_added(case: Case) -> None:
    check(plan_reset(case.before, keep_added=True), case)


FULL_RESETS = [
    Case("a deleted one comes back", [shipped("a", deleted=True)], [shipped("a")], added="a"),
    Case("what an admin added goes", [shipped("a"), added("x")], [shipped("a")], removed="x"),
    Case("what an admin added and is shipped stays", [ADDED_AND_SHIPPED], [shipped("a")]),
    Case("nothing is shipped", [added("x"), added("y", disabled=True)], [], removed="xy"),
]


@pytest.mark.parametrize("case", FULL_RESETS, ids=lambda case: case.story)
def test_a_reset_that_keeps_nothing(case: Case) -> None:
    check(plan_reset(case.before, keep_added=False), case)


NAMES = "abcdef"


@st.composite
def stored_roots(draw: st.DrawFn) -> list[Root]:
    """Whatever a list can have become: deleted ones are nobody's, the others are somebody's."""
    kinds = [
        shipped("?"),
        shipped("?", disabled=True),
        shipped("?", deleted=True),
        root("?", deleted=True),
        added("?"),
        added("?", disabled=True),
        added("?", shipped=Shipper.CERTIFI),
        added("?", shipped=Shipper.CERTIFI, disabled=True),
    ]
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    return [
        replace(draw(st.sampled_from(kinds)), id=name, subject=f"CN={name}", pem=f"pem of {name}")
        for name in names
    ]


SHIPMENTS = st.lists(st.sampled_from(NAMES), unique=True).map(
    lambda names: [shipped(name) for name in names]
)


@given(SHIPMENTS, stored_roots())
def test_an_upgrade_respects_what_admins_decided(shipment: list[Root], before: list[Root]) -> None:
    plan = plan_upgrade(shipment, before)

    after = {one.id: one for one in plan.after}
    assert len(after) == len(plan.after)
    assert plan.enabled == ()
    for one in before:
        if one.deleted:
            assert after[one.id].deleted
        if one.added:
            assert (after[one.id].added, after[one.id].disabled) == (True, one.disabled)
    offered = {one.id for one in shipment}
    assert {one.id for one in after.values() if one.shipped} == offered
    assert all(one.shipped or one.added or one.deleted for one in after.values())
    again = plan_upgrade(shipment, plan.after)
    assert (again.written, again.forgotten) == ((), ())


@given(stored_roots())
def test_a_reset_leaves_what_is_shipped_and_what_admins_added(before: list[Root]) -> None:
    kept, bare = plan_reset(before, keep_added=True), plan_reset(before, keep_added=False)

    is_shipped = {one.id for one in before if one.shipped}
    assert {one.id for one in bare.after} == is_shipped
    assert {one.id for one in kept.after} == is_shipped | {one.id for one in before if one.added}
    for one in (*kept.after, *bare.after):
        assert not one.deleted
        assert not (one.shipped and one.disabled)
    assert [one for one in kept.after if not one.shipped] == [
        one for one in before if one.added and not one.shipped
    ]
    for plan, keep_added in ((kept, True), (bare, False)):
        again = plan_reset(plan.after, keep_added=keep_added)
        assert (again.written, again.forgotten) == ((), ())


@given(SHIPMENTS, stored_roots())
def test_what_is_written_and_forgotten_makes_the_list_of_afterwards(
    shipment: list[Root], before: list[Root]
) -> None:
    for plan in (plan_upgrade(shipment, before), plan_reset(before, keep_added=False)):
        rows = {one.id: one for one in before}
        for one in plan.forgotten:
            del rows[one.id]
        rows.update({one.id: one for one in plan.written})

        assert rows == {one.id: one for one in plan.after}


def test_a_reset_says_which_roots_stay_only_because_they_are_shipped() -> None:
    before = [ADDED_AND_SHIPPED, added("b"), shipped("c")]

    assert plan_reset(before, keep_added=False).disowned == (shipped("a"),)
    assert plan_reset(before, keep_added=True).disowned == ()
