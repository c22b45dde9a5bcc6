"""Client certificates: which may be registered, and which handshakes they open."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.clients import CLIENT, DAY, SERVER, ClientId, authority, client_id, handshake
from tests.trust.test_tls import Shelf
from trust.authority import self_signed
from trust.certificate import CertificateRefused
from trust.clients import MAX_CERTIFICATES, ClientRoots, read_client_certificate
from trust.tls import TlsContexts, client_spki

NOW = datetime.now(UTC)
KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def test_a_certificate_is_known_by_its_key() -> None:
    one = client_id()

    read = read_client_certificate(one.pem, now=NOW)

    assert (read.spki, read.pem, read.authorities) == (one.spki, one.pem, ())


@pytest.mark.parametrize("order", ["leaf first", "authority first"])
def test_authorities_may_stand_with_it_in_any_order(order: str) -> None:
    above = authority()
    one = client_id(issuer=above)
    text = one.pem + above.pem if order == "leaf first" else above.pem + one.pem

    read = read_client_certificate(text, now=NOW)

    assert (read.spki, read.authorities) == (one.spki, (above.certificate,))
    assert read.pem == one.pem + above.pem


GOOD: dict[str, Callable[[], ClientId]] = {
    "for clients": client_id,
    "for both": lambda: client_id(usages=[SERVER, CLIENT]),
    "for anything": lambda: client_id(usages=[]),
    "RSA": lambda: client_id(key=rsa.generate_private_key(65537, 2048)),
    "P-384": lambda: client_id(key=ec.generate_private_key(ec.SECP384R1())),
    "Ed25519": lambda: client_id(key=ed25519.Ed25519PrivateKey.generate()),
    "as openssl req -x509 makes it": lambda: client_id(
        usages=[],
        extensions=[x509.BasicConstraints(ca=True, path_length=None)],
    ),
}

BAD: dict[str, tuple[str, Callable[[], str]]] = {
    "no PEM": ("not-pem", lambda: "a certificate"),
    "with its key": ("private-key", lambda: client_id().pem + client_id().key_pem),
    "for servers": ("key-usage", lambda: client_id(usages=[SERVER]).pem),
    "not for signatures": ("key-usage", lambda: client_id(extensions=[KEY_USAGE]).pem),
    "expired": ("expired", lambda: client_id(ends=-DAY).pem),
    "short key": ("weak-key", lambda: client_id(key=rsa.generate_private_key(65537, 1024)).pem),  # noqa: S505 - that it is weak is the point
    "odd curve": (
        "unsupported-key",
        lambda: client_id(key=ec.generate_private_key(ec.SECP256K1())).pem,
    ),
    "of an authority": (
        "is-a-ca",
        lambda: (
            client_id(
                issuer=authority(), extensions=[x509.BasicConstraints(ca=True, path_length=None)]
            ).pem
        ),
    ),
    "two clients": ("foreign-certificate", lambda: client_id("a").pem + client_id("b").pem),
    "too many": (
        "too-many-certificates",
        lambda: "".join(client_id(str(n)).pem for n in range(MAX_CERTIFICATES + 1)),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_clients_could_not_use_is_refused(case: str) -> None:
    slug, make = BAD[case]

    with pytest.raises(CertificateRefused) as refused:
        read_client_certificate(make(), now=NOW)

    assert refused.value.slug == slug
    assert "PRIVATE KEY" not in refused.value.detail


class Listener:
    """A listener that knows registered clients."""

    def __init__(self, folder: Path) -> None:
        shelf = Shelf()
        shelf.put(self_signed(["localhost"], now=NOW, lifetime=timedelta(days=9)))
        self.roots = ClientRoots(folder)
        self.contexts = TlsContexts(shelf, client_roots=folder)

    def register(self, text: str) -> None:
        self.roots.hold(read_client_certificate(text, now=NOW).pem)
        self.contexts.forget()

    def sees(self, client: ClientId, *, version: ssl.TLSVersion | None = None) -> str | None:
        context = client.context()
        if version is not None:
            context.maximum_version = version
        done = handshake(self.contexts.listener(), context, name="localhost")
        return client_spki(done.server)


@pytest.fixture
def listener(tmp_path: Path) -> Listener:
    return Listener(tmp_path / "clients")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("case", GOOD)
def test_what_is_registered_opens_handshakes(
    listener: Listener, case: str, version: ssl.TLSVersion
) -> None:
    one = GOOD[case]()

    listener.register(one.pem)

    assert listener.sees(one, version=version) == one.spki


def test_a_certificate_of_an_authority_is_known_without_the_authority(listener: Listener) -> None:
    one = client_id(issuer=authority())

    listener.register(one.pem)

    assert listener.sees(one) == one.spki


def test_clients_of_one_name_are_told_apart(listener: Listener) -> None:
    clients = [client_id("localhost") for _ in range(3)]
    for one in clients:
        with pytest.raises(ssl.SSLError):
            listener.sees(one)
        listener.register(one.pem)
        assert listener.sees(one) == one.spki

    assert [listener.sees(one) for one in clients] == [one.spki for one in clients]


def test_a_renewed_certificate_is_known_where_its_authority_is(listener: Listener) -> None:
    above = authority()
    one = client_id(issuer=above)
    renewed = client_id(issuer=above, key=one.key)
    listener.register(one.pem)
    with pytest.raises(ssl.SSLError):
        listener.sees(renewed)

    listener.register(one.pem + above.pem)

    assert listener.sees(renewed) == one.spki
    stranger = client_id(issuer=above)
    assert listener.sees(stranger) == stranger.spki != one.spki


def test_an_expired_certificate_opens_no_handshake(listener: Listener) -> None:
    one = client_id(ends=-DAY)
    listener.roots.hold(one.pem)

    with pytest.raises(ssl.SSLError):
        listener.sees(one)


def test_processes_that_share_a_folder_add_to_it_without_losing_any(tmp_path: Path) -> None:
    here, there = ClientRoots(tmp_path / "clients"), ClientRoots(tmp_path / "clients")
    clients = [client_id("localhost") for _ in range(6)]

    for number, one in enumerate(clients):
        (here, there)[number % 2].hold(one.pem)
    for one in clients:
        here.hold(one.pem)
        there.hold(one.pem)

    files = sorted((tmp_path / "clients").iterdir())
    assert {file.read_text() for file in files} == {one.pem for one in clients}
    assert len(files) == len(clients)
