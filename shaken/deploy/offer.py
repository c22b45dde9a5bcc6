"""What the service offers for a server name: asked for, checked, and seen with a client's eyes.

Decoding and judging are functions of values; `Source` asks the service through `shaken.client`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

import msgspec

from shaken.client import Client, ClientError, Response
from trust.certificate import Certificate, CertificateRefused
from trust.chain import assemble
from trust.keys import private_key_pem
from trust.pem import read_pem

MAX_ETAG = 256
"""Characters of an ETag that is sent back; the service's own have some 40."""

ANSWER_SECONDS = 15
"""How long the service may take to answer, beyond what it was asked to wait."""

_HINTS = {
    401: "give the secret of a credential of the role listener, as SHAKEN_TOKEN or --token-file",
    403: "make a credential of the role listener and use its secret",
    404: "a listener that is bound to a tenant gets that tenant's certificates only",
}
"""What to do about an answer, beside what the service says itself."""


class OfferError(Exception):
    """The service offers nothing that can be used; the message is for a person, one line."""


class _Answer(msgspec.Struct, frozen=True):
    certificate: str
    private_key: str
    fingerprint: str
    chosen: str


@dataclass(frozen=True)
class Offer:
    """A chain with the key of its leaf, and why the service chose it.

    `chain` and `key` are PEM: leaf, then intermediates; PKCS#8.
    """

    certificate: Certificate
    key: str = field(repr=False)
    chosen: str

    @property
    def chain(self) -> str:
        """The chain in PEM, leaf first."""
        return self.certificate.pem()

    def described(self) -> str:
        """Name the certificate in a few words."""
        return (
            f"{self.chosen} certificate {self.certificate.fingerprint[:16]}…,"
            f" ends {self.certificate.not_after:%Y-%m-%d %H:%M} UTC"
        )


def read_offer(body: bytes) -> Offer:
    """Read the answer of `GET /api/v1/listeners/certificate`.

    Raises OfferError when it is none, or chain and key do not belong together.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OfferError("what answers is not this service; is --url right?") from error
    try:
        assembled = assemble(
            read_pem(answer.certificate), read_pem(answer.private_key, field="private_key")
        )
    except CertificateRefused as refused:
        raise OfferError(f"the service offers what cannot be used: {refused.detail}") from refused
    if assembled.private_key is None or assembled.certificate.fingerprint != answer.fingerprint:
        raise OfferError("the service offers what cannot be used: certificate and key differ")
    key = private_key_pem(assembled.private_key)
    return Offer(assembled.certificate, key, ascii(answer.chosen)[1:-1])


def doubts(certificate: Certificate, name: str, *, now: datetime) -> tuple[str, ...]:
    """Say in sentences why clients that ask for `name` will not accept this certificate.

    `name` is in the spelling of `trust.names.dns_name`, `now` aware UTC.
    """
    found = []
    if not {name, f"*.{name.partition('.')[2]}"} & set(certificate.names):
        names = ", ".join(certificate.names[:3]) or "no name"
        found.append(f"the service has none for {name}; this certificate is for {names}")
    if certificate.not_after < now:
        found.append("it has expired")
    if now < certificate.not_before:
        found.append(f"it is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC")
    return tuple(found)


@dataclass(frozen=True)
class News:
    """An offer, and the ETag by which the service knows it again."""

    offer: Offer
    etag: str | None


@dataclass(frozen=True)
class Source:
    """Asks the service."""

    client: Client

    def ask(self, name: str, *, known: str | None = None, wait: int = 0) -> News | None:
        """Ask what is presented for a name; None: it is what the ETag `known` stands for.

        The service holds an answer without news for `wait` seconds. Raises OfferError.
        """
        path = f"/api/v1/listeners/certificate?{urlencode({'server_name': name})}"
        headers = {"If-None-Match": known, "Prefer": f"wait={wait}"} if known else {}
        try:
            answer = self.client.send("GET", path, headers=headers, seconds=wait + ANSWER_SECONDS)
        except ClientError as error:
            raise OfferError(str(error)) from error
        etag = _etag(answer)
        if known is not None and (answer.status == 304 or (answer.status, etag) == (200, known)):
            return None
        if answer.status != 200:
            raise OfferError("; ".join(filter(None, (answer.words(), _HINTS.get(answer.status)))))
        return News(read_offer(answer.body), etag)


def _etag(answer: Response) -> str | None:
    found = {name.lower(): text for name, text in answer.headers.items()}.get("etag")
    usable = found and len(found) <= MAX_ETAG and found.isascii() and found.isprintable()
    return found if usable else None
