"""A private certification authority for tests, demos and labs.

It issues what real ones do: STI certificates by ATIS-1000080 and RFC 8226, and TLS server
certificates, under a root of its own or an intermediate:

    authority = Authority.create("Lab root", now=now).intermediate("Lab STI-CA", now=now)
    issued = authority.issue_sti(spc="1234", now=now)
    issued.chain_pem, issued.key_pem

Nobody but whoever adds `root_pem` to the trusted roots trusts it, and it keeps no record of what
it issued: it is no CA for production.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trust.certificate import Certificate
from trust.claim_constraints import ClaimConstraints
from trust.tnauthlist import TN_AUTH_LIST_OID, TnAuthList, TnRange

SHAKEN_POLICY_OID = x509.ObjectIdentifier("2.16.840.1.114569.1.1.1")
"""The SHAKEN certificate policy (ATIS-1000080): arc …114569.1.1, version 1."""

ORGANIZATION = "SHAKEN lab"
"""The `O` of every subject, so that nobody takes a lab certificate for a real one."""

BACKDATING = timedelta(minutes=5)
"""How long before `now` a certificate becomes valid: peers' clocks run a little late."""

ROOT_LIFETIME = timedelta(days=3650)
INTERMEDIATE_LIFETIME = timedelta(days=1825)
STI_LIFETIME = timedelta(days=365)
SERVER_LIFETIME = timedelta(days=90)

_Extensions: TypeAlias = Sequence[tuple[x509.ExtensionType, bool]]
"""Extensions to put into a certificate, each with its criticality."""


@dataclass(frozen=True)
class Issued:
    """What an authority issued: the chain without the root, and the leaf's key."""

    certificate: Certificate
    key: CertificateIssuerPrivateKeyTypes = field(repr=False)

    @property
    def private_key(self) -> ec.EllipticCurvePrivateKey:
        """The leaf's key; TypeError when the certificate was asked for over another kind."""
        if not isinstance(self.key, ec.EllipticCurvePrivateKey):
            raise TypeError("this certificate was issued over a key that is no elliptic curve key")
        return self.key

    @property
    def chain_pem(self) -> str:
        """The leaf, then the intermediates, in PEM."""
        return self.certificate.pem()

    @property
    def key_pem(self) -> str:
        """The key in PEM, PKCS#8, unencrypted."""
        return _key_pem(self.key)


@dataclass(frozen=True)
class Authority:
    """A certification authority: its certificate, its key, and the authorities above it.

    `superiors` starts with the issuer of `certificate` and ends with the root; it is empty when
    the authority is the root. All `now` are aware UTC.
    """

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)
    superiors: tuple[x509.Certificate, ...] = ()

    @classmethod
    def create(
        cls, common_name: str, *, now: datetime, lifetime: timedelta = ROOT_LIFETIME
    ) -> Authority:
        """Make a root: a new P-256 key and a certificate signed with it."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(common_name)
        certificate = _sign(
            subject=name,
            public_key=key.public_key(),
            issuer=name,
            issuer_key=key,
            validity=(now - BACKDATING, now + lifetime),
            extensions=(
                (x509.BasicConstraints(ca=True, path_length=None), True),
                (_key_usage(certificates=True), True),
            ),
        )
        return cls(certificate, key)

    def intermediate(
        self,
        common_name: str,
        *,
        now: datetime,
        lifetime: timedelta = INTERMEDIATE_LIFETIME,
        path_length: int | None = None,
        tn_auth_list: TnAuthList | None = None,
        constraints: ClaimConstraints | None = None,
        crl_url: str | None = None,
        crl_issuer: x509.Name | None = None,
    ) -> Authority:
        """Make a subordinate authority, whose issued chains show its certificate too.

        `path_length` bounds how many authorities may follow below it. With a `tn_auth_list` it
        is one that delegates (RFC 9060 §4). `constraints` and the list of revoked ones as for
        `issue_sti`.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = (
            (x509.BasicConstraints(ca=True, path_length=path_length), True),
            (_key_usage(certificates=True), True),
            *self._sti_extensions(tn_auth_list, constraints, crl_url, crl_issuer),
        )
        validity = (now - BACKDATING, now + lifetime)
        certificate = self._issue(_name(common_name), key.public_key(), validity, extensions)
        return Authority(certificate, key, (self.certificate, *self.superiors))

    def issue_sti(
        self,
        *,
        now: datetime,
        spc: str | None = None,
        numbers: Iterable[str] = (),
        ranges: Iterable[TnRange] = (),
        lifetime: timedelta = STI_LIFETIME,
        not_before: datetime | None = None,
        common_name: str | None = None,
        key: CertificateIssuerPrivateKeyTypes | None = None,
        constraints: ClaimConstraints | None = None,
        crl_url: str | None = None,
        crl_issuer: x509.Name | None = None,
    ) -> Issued:
        """Issue an STI certificate (ATIS-1000080 §6.4.1, RFC 8226).

        `spc` is the provider code, `numbers` and `ranges` the telephone numbers of its
        TNAuthList; with none of them there is no TNAuthList, which verifiers must refuse. `key`
        replaces the new P-256 key, `not_before` the back-dated start; the end is `now` plus
        `lifetime`. `constraints` bound the claims it signs (RFC 8226 §8, RFC 9118). `crl_url`
        names a revocation list, signed by `crl_issuer` or else by the root, as
        the STI-PA signs its own. Raises TnAuthListError for a code or number RFC 8226 does not
        allow.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        extensions: list[tuple[x509.ExtensionType, bool]] = [*_STI_EXTENSIONS]
        spcs, numbers, ranges = [spc] if spc else [], tuple(numbers), tuple(ranges)
        named = spcs or numbers or ranges
        tn_auth_list = TnAuthList.of(spcs=spcs, numbers=numbers, ranges=ranges) if named else None
        extensions += self._sti_extensions(tn_auth_list, constraints, crl_url, crl_issuer)
        name = _name(common_name or " ".join(["SHAKEN", *spcs]))
        validity = (not_before or now - BACKDATING, now + lifetime)
        leaf = self._issue(name, key.public_key(), validity, extensions)
        return Issued(self._chain(leaf), key)

    def issue_server(
        self, names: Sequence[str], *, now: datetime, lifetime: timedelta = SERVER_LIFETIME
    ) -> Issued:
        """Issue a TLS server certificate for DNS names (wildcards too) and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        validity = (now - BACKDATING, now + lifetime)
        extensions = _server_extensions(names)
        leaf = self._issue(_name("TLS server"), key.public_key(), validity, extensions)
        return Issued(self._chain(leaf), key)

    def certify(
        self,
        request: x509.CertificateSigningRequest,
        *,
        now: datetime,
        instead: Iterable[x509.ExtensionType] | None = None,
        lifetime: timedelta = SERVER_LIFETIME,
    ) -> Certificate:
        """Issue what a request asks for over its key: an STI certificate if it has a TNAuthList.

        `instead` are extensions that take the place of those it asks for, as of a CA that knows
        better.
        """
        asked = [each.value for each in request.extensions] if instead is None else [*instead]
        is_sti = any(each.oid == TN_AUTH_LIST_OID for each in asked)
        own = _STI_EXTENSIONS if is_sti else _SERVER_EXTENSIONS
        extensions = (*own, *((each, False) for each in asked))
        validity = (now - BACKDATING, now + lifetime)
        leaf = self._issue(request.subject, request.public_key(), validity, extensions)
        return self._chain(leaf)

    @property
    def root(self) -> x509.Certificate:
        """The root at the top."""
        return (self.certificate, *self.superiors)[-1]

    @property
    def root_pem(self) -> str:
        """The root in PEM: what a verifier adds to its trusted roots."""
        return Certificate((self.root,)).pem()

    @property
    def certificate_pem(self) -> str:
        """The authority's own certificate in PEM."""
        return Certificate((self.certificate,)).pem()

    @property
    def key_pem(self) -> str:
        """The authority's key in PEM, PKCS#8, unencrypted."""
        return _key_pem(self.private_key)

    def _issue(
        self,
        subject: x509.Name,
        public_key: CertificatePublicKeyTypes,
        validity: tuple[datetime, datetime],
        extensions: _Extensions,
    ) -> x509.Certificate:
        return _sign(
            subject=subject,
            public_key=public_key,
            issuer=self.certificate.subject,
            issuer_key=self.private_key,
            validity=validity,
            extensions=extensions,
        )

    def _chain(self, leaf: x509.Certificate) -> Certificate:
        return Certificate((leaf, *(self.certificate, *self.superiors)[:-1]))

    def _sti_extensions(
        self,
        tn_auth_list: TnAuthList | None,
        constraints: ClaimConstraints | None,
        crl_url: str | None,
        crl_issuer: x509.Name | None,
    ) -> Iterator[tuple[x509.ExtensionType, bool]]:
        if tn_auth_list:
            yield x509.UnrecognizedExtension(TN_AUTH_LIST_OID, tn_auth_list.encode()), False
        if constraints:
            yield x509.UnrecognizedExtension(constraints.oid, constraints.encode()), False
        if crl_url:
            yield self._crl_distribution_points(crl_url, crl_issuer or self.root.subject), False

    def _crl_distribution_points(self, url: str, signer: x509.Name) -> x509.CRLDistributionPoints:
        # RFC 5280 §4.2.1.13: cRLIssuer names the list's signer only when that is not the issuer.
        indirect = [x509.DirectoryName(signer)] if signer != self.certificate.subject else None
        point = x509.DistributionPoint(
            full_name=[x509.UniformResourceIdentifier(url)],
            relative_name=None,
            reasons=None,
            crl_issuer=indirect,
        )
        return x509.CRLDistributionPoints([point])


def self_signed(names: Sequence[str], *, now: datetime, lifetime: timedelta) -> Issued:
    """Make a TLS server certificate that signs itself, for hosts that have none yet.

    The first of the names (DNS names and IP addresses) is the common name too.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = _sign(
        subject=name,
        public_key=key.public_key(),
        issuer=name,
        issuer_key=key,
        validity=(now - BACKDATING, now + lifetime),
        extensions=_server_extensions(names),
    )
    return Issued(Certificate((certificate,)), key)


def _server_extensions(names: Sequence[str]) -> _Extensions:
    alternatives = x509.SubjectAlternativeName([general_name(name) for name in names])
    return (*_SERVER_EXTENSIONS, (alternatives, False))


def _sign(
    *,
    subject: x509.Name,
    public_key: CertificatePublicKeyTypes,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    validity: tuple[datetime, datetime],
    extensions: _Extensions,
) -> x509.Certificate:
    not_before, not_after = validity
    issuer_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(issuer_key_id, critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def general_name(name: str) -> x509.GeneralName:
    """Return an IP address or a DNS name as an X.509 general name."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, digital_signature: bool = False, certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


_CA_EXTENSIONS: _Extensions = (
    (x509.BasicConstraints(ca=True, path_length=None), True),
    (_key_usage(certificates=True), True),
)


_LEAF_EXTENSIONS: _Extensions = (
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (_key_usage(digital_signature=True), True),
)
_STI_EXTENSIONS: _Extensions = (
    *_LEAF_EXTENSIONS,
    (x509.CertificatePolicies([x509.PolicyInformation(SHAKEN_POLICY_OID, None)]), False),
)
_SERVER_EXTENSIONS: _Extensions = (
    *_LEAF_EXTENSIONS,
    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
)


def _key_pem(key: CertificateIssuerPrivateKeyTypes) -> str:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode("ascii")
