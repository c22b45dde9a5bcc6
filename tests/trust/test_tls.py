"""SSL contexts by server name, shown by real handshakes in memory."""

import logging
import os
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from tests.clients import SERVER, client_id, handshake, tls_client, under_a_short_key
from trust.authority import Authority, Issued, self_signed
from trust.certificate import Certificate
from trust.selection import TlsCandidate, TlsIndex
from trust.tls import (
    MAX_TRIES,
    RETRY_SECONDS,
    Material,
    Presentable,
    PresentError,
    TlsContexts,
    client_spki,
)

NOW = datetime.now(UTC)
CA = Authority.create("Root", now=NOW).intermediate("Issuer", now=NOW)
OWNERS = {"a.example": "a.example", "xn--bcher-kva.example": "a.example", "old.example": "o"}


@dataclass
class Shelf:
    """A store in memory, with the rules of every TLS listener."""

    certificates: dict[str, tuple[TlsCandidate, Material]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def put(self, issued: Issued, *, tenant: str | None = None, built_in: bool = False) -> str:
        """Store a certificate, as a new one or in the place of the same leaf; return its id."""
        one = issued.certificate
        starts, ends = (int(moment.timestamp()) for moment in (one.not_before, one.not_after))
        candidate = TlsCandidate(one.fingerprint, one.names, tenant, starts, ends, built_in)
        material = Material(issued.chain_pem, issued.key_pem)
        self.certificates[candidate.id] = candidate, material
        self.versions[candidate.id] = self.versions.get(candidate.id, 0) + 1
        return candidate.id

    def take(self, certificate: str) -> None:
        """Remove a certificate."""
        del self.certificates[certificate], self.versions[certificate]

    def choose(self, server_name: str | None) -> Iterator[Presentable]:
        index = TlsIndex((candidate for candidate, _ in self.certificates.values()), OWNERS)
        for choice in index.in_turn(server_name, now=int(time.time())):
            yield Presentable(choice.candidate.id, self.versions[choice.candidate.id])

    def load(self, certificate_id: str) -> Material:
        self.loaded.append(certificate_id)
        if certificate_id in self.broken:
            raise PresentError("its key does not open")
        return self.certificates[certificate_id][1]


def server(*names: str, ends: timedelta = timedelta(days=90)) -> Issued:
    return CA.issue_server(names, now=NOW - timedelta(days=10), lifetime=ends + timedelta(days=10))


@pytest.fixture
def shelf() -> Shelf:
    made = Shelf()
    made.put(self_signed(["localhost"], now=NOW, lifetime=timedelta(days=397)), built_in=True)
    return made


@pytest.fixture
def contexts(shelf: Shelf) -> TlsContexts:
    return TlsContexts(shelf)


def presented(contexts: TlsContexts, name: str | None) -> str:
    return handshake(contexts.listener(), name=name).fingerprint


SNI = {
    "the domain certificate": ("a.example", "domain"),
    "in other letters": ("A.Example", "domain"),
    "an exact system name": ("sip.example.com", "exact"),
    "a wildcard": ("other.example.com", "wild"),
    "two labels under a wildcard": ("a.b.example.com", "default"),
    "no name": (None, "default"),
    "an unknown name": ("nobody.example.net", "default"),
    "a name with odd characters": ("a_b.example.net", "default"),
    "an internationalised name": ("b\u00fccher.example", "idna"),
    "an expired one of several": ("sip2.example.com", "valid"),
    "an expired one alone": ("old.example", "expired"),
}


@pytest.mark.parametrize("case", SNI)
def test_a_handshake_shows_what_belongs_to_the_name(
    shelf: Shelf, contexts: TlsContexts, case: str
) -> None:
    name, expected = SNI[case]
    ids = {
        "domain": shelf.put(server("a.example"), tenant="a.example"),
        "exact": shelf.put(server("sip.example.com")),
        "wild": shelf.put(server("*.example.com")),
        "idna": shelf.put(server("xn--bcher-kva.example"), tenant="a.example"),
        "default": shelf.put(server("default.example.org", ends=timedelta(days=365))),
        "valid": shelf.put(server("sip2.example.com")),
        "expired": shelf.put(server("old.example", ends=-timedelta(days=1)), tenant="o"),
    }
    shelf.put(server("sip2.example.com", ends=-timedelta(days=1)))

    assert presented(contexts, name) == ids[expected]


def test_a_chain_is_presented_whole(shelf: Shelf, contexts: TlsContexts) -> None:
    shelf.put(server("a.example"), tenant="a.example")
    client = ssl.create_default_context(cadata=CA.root_pem)

    assert handshake(contexts.listener(), client, name="a.example").client.version() == "TLSv1.3"


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_keys_of_other_kinds_are_presented(kind: str, shelf: Shelf, contexts: TlsContexts) -> None:
    key = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ed25519"
        else rsa.generate_private_key(65537, 2048)
    )
    made = client_id("a.example", key=key, usages=[SERVER])
    certificate = Certificate((made.certificate,))
    shelf.put(Issued(certificate, key))

    assert presented(contexts, "a.example") == certificate.fingerprint


def test_a_renewed_certificate_is_shown_by_the_next_handshake(
    shelf: Shelf, contexts: TlsContexts
) -> None:
    listener = contexts.listener()
    old = shelf.put(server("a.example"), tenant="a.example")
    assert handshake(listener, name="a.example").fingerprint == old

    new = shelf.put(server("a.example", ends=timedelta(days=200)), tenant="a.example")

    assert handshake(listener, name="a.example").fingerprint == new
    contexts.keep(shelf.versions)
    shelf.take(new)
    assert handshake(listener, name="a.example").fingerprint == old


def test_a_better_chain_of_the_same_leaf_is_shown(shelf: Shelf, contexts: TlsContexts) -> None:
    issued = server("a.example")
    leaf_only = Issued(Certificate((issued.certificate.leaf,)), issued.key)
    client = ssl.create_default_context(cadata=CA.root_pem)
    shelf.put(leaf_only, tenant="a.example")
    with pytest.raises(ssl.SSLError, match="unable to get local issuer"):
        handshake(contexts.listener(), client, name="a.example")

    shelf.put(issued, tenant="a.example")

    handshake(contexts.listener(), client, name="a.example")


def test_certificates_are_loaded_when_they_are_first_asked_for_and_then_kept(
    shelf: Shelf, contexts: TlsContexts
) -> None:
    own = shelf.put(server("a.example"), tenant="a.example")
    shelf.put(server("unused.example.com"))
    contexts.keep(shelf.versions)
    before = [*shelf.loaded]

    for _ in range(5):
        presented(contexts, "a.example")

    assert len(before) == 1  # the default one, which stands in for others
    assert shelf.loaded == [*before, own]


def test_what_is_gone_or_replaced_is_forgotten(shelf: Shelf, contexts: TlsContexts) -> None:
    replaced, gone, kept = (server(f"{word}.example.com") for word in ("a", "b", "c"))
    for issued in (replaced, gone, kept):
        shelf.put(issued)
    for word in ("a", "b", "c"):
        presented(contexts, f"{word}.example.com")
    assert len(contexts) == 3

    shelf.put(replaced)
    shelf.take(gone.certificate.fingerprint)
    contexts.keep({**shelf.versions})

    presented(contexts, "c.example.com")
    assert shelf.loaded.count(kept.certificate.fingerprint) == 1
    assert len(contexts) <= 2


def test_no_more_contexts_are_kept_than_the_limit(shelf: Shelf) -> None:
    contexts = TlsContexts(shelf, limit=3)
    ids = [shelf.put(server(f"{number}.example.com")) for number in range(5)]
    for number in (0, 1, 2, 0, 3, 0, 4):
        presented(contexts, f"{number}.example.com")
        assert len(contexts) <= 3

    assert shelf.loaded == ids  # 0 was used meanwhile, and stayed


def test_one_that_fails_gives_way_to_the_default_and_is_said_once(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [100.0]
    contexts = TlsContexts(shelf, clock=lambda: clock[0])
    own = shelf.put(server("a.example"), tenant="a.example")
    default = shelf.put(server("default.example.org"))
    shelf.broken.add(own)

    shown = [presented(contexts, "a.example") for _ in range(5)]

    assert shown == [default] * 5
    (line,) = caplog.messages
    assert line == f"the certificate {own} cannot be presented: its key does not open"
    shelf.broken.clear()
    assert presented(contexts, "a.example") == default
    clock[0] += RETRY_SECONDS
    assert presented(contexts, "a.example") == own


def test_a_key_that_does_not_fit_gives_way_to_the_default(
    shelf: Shelf, contexts: TlsContexts, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = server("a.example"), server("a.example")
    own = shelf.put(one, tenant="a.example")
    candidate, _ = shelf.certificates[own]
    shelf.certificates[own] = candidate, Material(one.chain_pem, other.key_pem)
    default = shelf.put(server("default.example.org"))

    with caplog.at_level(logging.ERROR):
        assert presented(contexts, "a.example") == default

    assert len(caplog.messages) == 1
    assert "PRIVATE" not in caplog.text


@pytest.mark.parametrize("name", ["sip.example.com", "other.example.com", None])
def test_presents_the_next_best_certificate_when_openssl_refuses_the_best(
    shelf: Shelf, contexts: TlsContexts, caplog: pytest.LogCaptureFixture, name: str | None
) -> None:
    good = shelf.put(server("sip.example.com"))
    refused = shelf.put(under_a_short_key("sip.example.com"))

    shown = [presented(contexts, name) for _ in range(3)]

    assert shown == [good] * 3
    (line,) = caplog.messages
    assert f"{refused} cannot be presented" in line
    assert "CA_KEY_TOO_SMALL" in line


def test_presents_the_built_in_certificate_when_no_other_can_be_loaded(
    shelf: Shelf, contexts: TlsContexts
) -> None:
    (built_in,) = shelf.certificates
    shelf.broken |= {shelf.put(server(f"{number}.example.com")) for number in range(5)}
    shelf.broken.add(shelf.put(server("a.example"), tenant="a.example"))

    assert presented(contexts, "a.example") == built_in
    assert presented(contexts, None) == built_in


def test_a_tenants_other_certificate_stands_in_before_the_default(
    shelf: Shelf, contexts: TlsContexts
) -> None:
    shelf.put(server("default.example.org"))
    other = shelf.put(server("a.example"), tenant="a.example")
    shelf.broken.add(shelf.put(server("a.example", ends=timedelta(days=365)), tenant="a.example"))

    assert presented(contexts, "a.example") == other


def test_a_handshake_tries_no_more_certificates_than_it_has_time_for(shelf: Shelf) -> None:
    contexts = TlsContexts(shelf, clock=lambda: 100.0)
    (built_in,) = shelf.certificates
    bad = {shelf.put(server(f"{number}.example.com")) for number in range(MAX_TRIES + 1)}
    shelf.broken |= bad

    with pytest.raises(ssl.SSLError):
        presented(contexts, None)
    tried = len(shelf.loaded)
    shown = [presented(contexts, None) for _ in range(3)]

    assert tried == MAX_TRIES
    assert shown == [built_in] * 3
    assert sorted(shelf.loaded) == sorted({*bad, built_in})


def test_without_any_certificate_the_handshake_is_refused_and_the_next_is_not() -> None:
    shelf = Shelf()
    contexts = TlsContexts(shelf)
    listener = contexts.listener()
    with pytest.raises(ssl.SSLError):
        handshake(listener, name="a.example")

    only = shelf.put(server("a.example"))

    assert handshake(listener, name="a.example").fingerprint == only


def tls_of(version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    context = tls_client()
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(contexts: TlsContexts, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(contexts.listener(), tls_of(version), name="a.example")


@pytest.mark.parametrize(
    "cipher",
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
     "ECDHE-ECDSA-CHACHA20-POLY1305"],
)  # fmt: skip
def test_tls_1_2_has_modern_ciphers(contexts: TlsContexts, cipher: str) -> None:
    done = handshake(contexts.listener(), tls_of(ssl.TLSVersion.TLSv1_2, cipher))

    used = done.client.cipher()
    assert used is not None
    assert (used[0], done.client.version()) == (cipher, "TLSv1.2")


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256"]
)
def test_tls_1_2_has_no_others(contexts: TlsContexts, cipher: str) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(contexts.listener(), tls_of(ssl.TLSVersion.TLSv1_2, cipher))


def test_http_1_1_is_agreed_on_by_clients_that_ask(contexts: TlsContexts) -> None:
    client = tls_client()
    client.set_alpn_protocols(["h2", "http/1.1"])

    done = handshake(contexts.listener(), client, name="a.example")

    assert done.client.selected_alpn_protocol() == "http/1.1"


def test_no_key_touches_a_disk(
    shelf: Shelf, contexts: TlsContexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shelf.put(server("a.example"))
    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of the process, not of a folder

    presented(contexts, "a.example")

    assert [*tmp_path.iterdir()] == []
    assert len(os.listdir("/proc/self/fd")) == open_before  # noqa: PTH208


# Client certificates


@pytest.fixture
def anchors(tmp_path: Path) -> Path:
    folder = tmp_path / "clients"
    folder.mkdir()
    return folder


def test_clients_are_not_asked_for_a_certificate_unless_it_is_wanted(
    contexts: TlsContexts,
) -> None:
    done = handshake(contexts.listener(), client_id().context())

    assert client_spki(done.server) is None


def test_a_client_without_certificate_is_served(shelf: Shelf, anchors: Path) -> None:
    contexts = TlsContexts(shelf, client_roots=anchors)

    assert client_spki(handshake(contexts.listener()).server) is None


def test_a_client_with_a_certificate_that_nobody_registered_is_refused(
    shelf: Shelf, anchors: Path
) -> None:
    contexts = TlsContexts(shelf, client_roots=anchors)

    with pytest.raises(ssl.SSLError):
        handshake(contexts.listener(), client_id().context(), name="localhost")
