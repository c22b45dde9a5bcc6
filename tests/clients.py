"""Certificates that clients show in TLS, and handshakes without a network."""

import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trust.authority import Issued
from trust.certificate import Certificate

DAY = timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True)
class ClientId:
    """A certificate and its key, as a client has them."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key in PEM."""
        plain = NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, plain).decode()

    @property
    def spki(self) -> str:
        """The SHA-256 of the SubjectPublicKeyInfo, in hex."""
        public = self.key.public_key()
        return sha256(
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()

    def context(self) -> ssl.SSLContext:
        """Return a TLS client that shows the certificate when it is asked."""
        context = tls_client()
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self.key_pem + self.pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def client_id(
    name: str = "pbx",
    *,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (CLIENT,),
    extensions: Sequence[x509.ExtensionType] = (),
    ends: timedelta = 30 * DAY,
    issuer: ClientId | None = None,
) -> ClientId:
    """Make a client certificate, signed by itself unless there is an issuer."""
    key, now = key or ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + ends)
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    signer = issuer.key if issuer else key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return ClientId(builder.sign(signer, algorithm), key)


def authority(name: str = "Trunk CA") -> ClientId:
    """Make an authority that issues client certificates."""
    return client_id(
        name, usages=(), extensions=(x509.BasicConstraints(ca=True, path_length=None),)
    )


def under_a_short_key(name: str) -> Issued:
    """Make a server certificate that OpenSSL refuses to present: its intermediate has RSA-1024."""
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is weak is the point
    root, alternative = authority("Root"), x509.SubjectAlternativeName([x509.DNSName(name)])
    may_issue = x509.BasicConstraints(ca=True, path_length=None)
    issuer = client_id(
        "Short CA", key=short, usages=(), extensions=[may_issue], ends=400 * DAY, issuer=root
    )
    made = client_id(name, usages=[SERVER], extensions=[alternative], ends=365 * DAY, issuer=issuer)
    return Issued(Certificate((made.certificate, issuer.certificate)), made.key)


def tls_client() -> ssl.SSLContext:
    """Return a TLS client that takes any server certificate and shows none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class Handshake:
    """Both ends of a TLS connection in memory."""

    server: ssl.SSLObject
    client: ssl.SSLObject

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate that the server presented, in hex."""
        der = self.client.getpeercert(binary_form=True)
        assert der is not None
        return sha256(der).hexdigest()


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext | None = None, *, name: str | None = None
) -> Handshake:
    """Let a client that asks for a name meet a server. Raises ssl.SSLError of either."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = server.wrap_bio(to_server, to_client, server_side=True)
    there = (client or tls_client()).wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for end in (there, here):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    # In TLS 1.3 the client learns what is thought of its certificate when it reads.
    with suppress(ssl.SSLWantReadError):
        there.read(1)
    return Handshake(here, there)
