"""What our own roots say of chains that are kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from tests.vectors.certificates.making import alternative, issue, published_at
from tests.vectors.certificates.making import authority as made_authority
from trust.authority import Authority, self_signed
from trust.certificate import Certificate
from trust.roots import Purpose, Root, read_root
from trust.standing import MAX_QUOTED, REMEMBERED_SECONDS, Standing

MOMENT = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW = int(MOMENT.timestamp())
DAY = timedelta(days=1)
AUTHORITY = Authority.create("Own root", now=MOMENT)
CA = AUTHORITY.intermediate("Own CA", now=MOMENT)
ISSUED = CA.issue_server(["pbx.example.com"], now=MOMENT)
STRANGER = Authority.create("Another root", now=MOMENT).intermediate("Another CA", now=MOMENT)


def root(authority: Authority = AUTHORITY, purpose: Purpose = Purpose.TLS) -> Root:
    return read_root(authority.root_pem, purpose)


def slugs(
    *roots: Root, chain: str = ISSUED.chain_pem, purpose: Purpose = Purpose.TLS, now: int = NOW
) -> list[str]:
    return [found.slug for found in Standing(roots).findings(chain, purpose, now=now)]


def test_a_chain_to_a_trusted_root_is_fine() -> None:
    assert slugs(root()) == []
    assert slugs(root(STRANGER), root()) == []


@pytest.mark.parametrize(
    "roots",
    [
        (),
        (root(STRANGER),),
        (replace(root(), disabled=True),),
        (replace(root(), deleted=True),),
        (root(purpose=Purpose.STI),),
    ],
    ids=["none", "another", "disabled", "deleted", "for another purpose"],
)
def test_a_chain_without_its_root_is_incomplete_and_not_trusted(roots: tuple[Root, ...]) -> None:
    assert slugs(*roots) == ["chain-incomplete", "untrusted"]


def test_a_root_is_looked_for_among_those_of_the_purpose() -> None:
    assert slugs(root(purpose=Purpose.STI), purpose=Purpose.STI) == []


def test_the_issuer_that_is_looked_for_is_named() -> None:
    leaf = Certificate(ISSUED.certificate.chain[:1]).pem()

    incomplete, untrusted = Standing([root()]).findings(leaf, Purpose.TLS, now=NOW)

    assert incomplete.slug == "chain-incomplete"
    assert '"CN=Own CA,O=SHAKEN lab"' in incomplete.detail
    assert "?replace=true" in incomplete.detail
    assert untrusted.slug == "untrusted"


@pytest.mark.parametrize(
    "url", ["http://ca.example.net/ca.cer", "http://ca.example.net/" + "a" * 5000]
)
def test_the_place_of_the_issuer_is_named_where_the_certificate_tells_it(url: str) -> None:
    ca = made_authority(None, "A CA")
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (alternative("a.example.net"), False),
        (published_at(url), False),
    ]

    incomplete, _ = Standing(()).findings(
        issue(ca, "a.example.net", extensions).pem, Purpose.TLS, now=NOW
    )

    assert f"at {url[:MAX_QUOTED]})" in incomplete.detail


def test_an_intermediate_that_is_trusted_ends_a_chain() -> None:
    assert slugs(read_root(CA.certificate_pem, Purpose.TLS)) == []


def test_a_certificate_that_signs_itself_is_not_incomplete() -> None:
    own = self_signed(["a.example.net"], now=MOMENT, lifetime=90 * DAY)

    assert slugs(root(), chain=own.chain_pem) == ["untrusted"]


@pytest.mark.parametrize("days", [-400, 400])
def test_a_leaf_out_of_its_time_has_the_path_it_had_within(days: int) -> None:
    assert slugs(root(), now=NOW + days * 86_400) == []


def test_a_root_that_has_expired_is_trusted_no_more() -> None:
    short = Authority.create("Short root", now=MOMENT, lifetime=10 * DAY)
    issued = short.issue_server(["a.example.net"], now=MOMENT)
    standing = Standing([root(short)])

    before = standing.findings(issued.chain_pem, Purpose.TLS, now=NOW)
    after = standing.findings(issued.chain_pem, Purpose.TLS, now=NOW + 20 * REMEMBERED_SECONDS)

    assert (before, [found.slug for found in after]) == ((), ["untrusted"])
    assert "expired" in after[0].detail


def test_what_was_found_is_remembered_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    standing, seen = Standing([root()]), []

    def counted(text: str) -> Certificate:
        seen.append(text)
        return Certificate(tuple(x509.load_pem_x509_certificates(text.encode())))

    monkeypatch.setattr(Certificate, "of_pem", counted)
    for _ in range(3):
        standing.findings(ISSUED.chain_pem, Purpose.TLS, now=NOW)
    assert len(seen) == 1
    standing.findings(ISSUED.chain_pem, Purpose.TLS, now=NOW + REMEMBERED_SECONDS)
    assert len(seen) == 2


def test_no_more_is_remembered_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trust.standing.MAX_REMEMBERED", 2)
    standing = Standing([root()])
    for _ in range(5):
        chain = CA.issue_server(["a.example.net"], now=MOMENT).chain_pem
        assert standing.findings(chain, Purpose.TLS, now=NOW) == ()
    assert len(standing._remembered) <= 2
