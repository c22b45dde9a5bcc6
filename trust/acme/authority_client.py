"""An ACME authority, as orders and accounts see it (RFC 8555, RFC 9773): plain values, one error.

A thin adapter over the acme library, whose messages and signed requests it uses; it keeps the
library's types and exceptions from everybody else. It places an order without fetching its
authorizations, so that the order's URL can be kept before anything else happens, and adds what the
library has no call for: `replaces`, a window of renewal information, a new account key.

Every method raises AuthorityRefused or AuthorityFailed.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import requests
from acme import errors, jws, messages
from acme.client import ClientV2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import JSONObjectWithFields, field
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC
from requests.utils import parse_header_links

from trust.acme.authorizations import Authorization, Challenge, read_authorization
from trust.acme.network_words import words_of
from trust.acme.problem_documents import from_document
from trust.acme.problems import (
    AuthorityFailed,
    AuthorityRefused,
    Problem,
    clean,
    read_retry_after,
)
from trust.acme.renewal_information import RenewalInformation, certificate_id, read_information
from trust.acme.settings import Binding
from trust.acme.transport import Network

AGENT = "shaken (https://pypi.org/project/shaken)"
"""How requests name this program (RFC 8555 §6.1)."""

MAX_ALTERNATES = 10
"""Chains of one certificate that are looked at."""

_log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
"""The time, in UTC."""

AccountKey = ec.EllipticCurvePrivateKey
"""A P-256 key: every authority takes ES256 (RFC 8555 §6.2)."""


@dataclass(frozen=True)
class PlacedOrder:
    """An order as the authority has it; `status` is that of RFC 8555 §7.1.6."""

    url: str
    status: str
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None
    problem: Problem | None
    retry_after: datetime | None


class _NewOrder(messages.NewOrder):
    replaces: str | None = field("replaces", omitempty=True)
    """Which certificate the new one takes the place of (RFC 9773 §5)."""


class _NewKey(JSONObjectWithFields):
    account: str = field("account")
    old_key: JWK = field("oldKey")


class AuthorityClient:
    """One authority, spoken to with one account key, from one thread."""

    def __init__(self, directory_url: str, key: AccountKey, *, roots: str, clock: Clock) -> None:
        """Fetch the directory. `roots` is a PEM bundle: what the authority's TLS leads to."""
        self._key = _jwk(key)
        self._clock = clock
        self._net = Network(self._key, ES256, roots=roots, agent=AGENT)
        try:
            with self._asking():
                self._acme = ClientV2(ClientV2.get_directory(directory_url, self._net), self._net)
                self._new_nonce = self._acme.directory["newNonce"]
        except BaseException:
            self._net.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._net.close()

    @property
    def external_account_required(self) -> bool:
        """Whether the directory asks for an external account."""
        with self._asking():
            return bool(self._acme.directory["meta"].external_account_required)

    def use_account(self, url: str) -> None:
        """Speak as this account from now on."""
        self._net.account = messages.RegistrationResource(body=messages.Registration(), uri=url)

    def register(
        self, contact: Sequence[str], *, terms_agreed: bool, binding: Binding | None
    ) -> str:
        """Make the key's account, or find it; return its URL."""
        self._net.account = None
        with self._asking():
            external = None
            if binding is not None:
                external = messages.ExternalAccountBinding.from_data(
                    self._key.public_key(), binding.kid, binding.hmac_key, self._acme.directory
                )
            body = messages.NewRegistration.from_data(
                contact=tuple(contact),
                terms_of_service_agreed=terms_agreed,
                external_account_binding=external,
            )
            try:
                url = self._acme.new_account(body).uri
            except errors.ConflictError as known:
                url = known.location
        self.use_account(url)
        return url

    def find_account(self) -> str | None:
        """Return the URL of the key's account; None: the authority knows none."""
        nothing = messages.RegistrationResource(body=messages.Registration(), uri="")
        try:
            with self._asking():
                url = self._acme.query_registration(nothing).uri
        except AuthorityRefused as error:
            self._net.account = None
            if error.problem.type == "accountDoesNotExist":
                return None
            raise
        self.use_account(url)
        return url

    def update_contact(self, contact: Sequence[str]) -> None:
        """Replace the account's contacts (`mailto:` URLs)."""
        self._post(self._account_url, messages.UpdateRegistration(contact=tuple(contact)))

    def roll_over(self, new: AccountKey) -> None:
        """Give the account a new key (RFC 8555 §7.3.5); this client goes on with it."""
        with self._asking():
            url = self._acme.directory["keyChange"]
            change = _NewKey(account=self._account_url, old_key=self._key.public_key())
            signed = jws.JWS.sign(
                change.json_dumps().encode(), key=_jwk(new), alg=ES256, nonce=None, url=url
            )
        self._post(url, signed)
        self._key = self._net.key = _jwk(new)

    def deactivate(self) -> None:
        """Deactivate the account, for ever (RFC 8555 §7.3.6)."""
        gone = messages.UpdateRegistration(status=messages.STATUS_DEACTIVATED)
        self._post(self._account_url, gone)

    def place_order(
        self, names: Sequence[str], *, profile: str | None, replaces: x509.Certificate | None
    ) -> PlacedOrder:
        """Order a certificate for DNS names and wildcards."""
        wanted = {
            "identifiers": [
                messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names
            ],
            "profile": profile,
            "replaces": certificate_id(replaces) if replaces and self._replaces else None,
        }
        with self._asking():
            url = self._acme.directory["newOrder"]
        response = self._post(url, _NewOrder(**wanted))
        return self._order(response, response.headers.get("Location"))

    def order_at(self, url: str) -> PlacedOrder:
        """Return how an order stands."""
        return self._order(self._post(url, None), url)

    def authorization_at(self, url: str) -> Authorization:
        """Return how an authorization stands, and its challenges."""
        response = self._post(url, None)
        with self._asking():
            body = messages.Authorization.from_json(response.json())
            return read_authorization(body, key=self._key, retry_after=self._retry_after)

    def answer(self, challenge: Challenge) -> None:
        """Tell the authority that it can look for a challenge now."""
        with self._asking():
            self._acme.answer_challenge(challenge.body, challenge.body.chall.response(self._key))

    def finalize(self, order: PlacedOrder, csr: x509.CertificateSigningRequest) -> PlacedOrder:
        """Hand in the request; return how the order stands then."""
        response = self._post(order.finalize, messages.CertificateRequest(csr=csr))
        return self._order(response, order.url)

    def chains_at(self, url: str, *, alternates: bool) -> tuple[str, ...]:
        """Return the certificate's chain in PEM, and after it the alternate ones that can be had.

        The first is the authority's own choice.
        """
        response = self._post(url, None)
        if not alternates:
            return (response.text,)
        links = parse_header_links(response.headers.get("Link", ""))
        others = [each["url"] for each in links if each.get("rel") == "alternate"]
        found = (self._alternate(url, other) for other in others[:MAX_ALTERNATES])
        return response.text, *(each for each in found if each is not None)

    def _alternate(self, url: str, link: str) -> str | None:
        """Return an alternate chain; None: it cannot be had, which does no harm to the others."""
        try:
            with self._asking():
                target = urljoin(url, link)
            return self._post(target, None).text
        except (AuthorityRefused, AuthorityFailed) as error:
            _log.warning("the alternate chain at %s cannot be had: %s", clean(link), error)
            return None

    def revoke(self, certificate: x509.Certificate, *, reason: int) -> None:
        """Revoke a certificate for a reason of RFC 5280 §5.3.1; one that is revoked stays so."""
        try:
            with self._asking():
                self._acme.revoke(certificate, reason)
        except AuthorityRefused as error:
            if error.problem.type != "alreadyRevoked":
                raise

    def renewal_information(self, certificate: x509.Certificate) -> RenewalInformation | None:
        """Ask when a certificate is best renewed; None: the authority does not say."""
        name = certificate_id(certificate)
        if not self._directory_has("renewalInfo") or name is None:
            return None
        with self._asking():
            base = self._acme.directory["renewalInfo"].rstrip("/")
            answer = self._net.get(f"{base}/{name}").json()
            return read_information(answer, retry_after=self._retry_after)

    @property
    def _account_url(self) -> str:
        return str(self._net.account["uri"]) if self._net.account is not None else ""

    @property
    def _replaces(self) -> bool:
        # An authority that has no renewal information need not know the member.
        return self._directory_has("renewalInfo")

    @property
    def _retry_after(self) -> datetime | None:
        return read_retry_after(self._net.retry_after, now=self._clock())

    def _directory_has(self, name: str) -> bool:
        try:
            return bool(self._acme.directory[name])
        except KeyError:
            return False

    def _post(self, url: str, body: JSONDeSerializable | None) -> requests.Response:
        with self._asking():
            return self._net.post(url, body, new_nonce_url=self._new_nonce)

    def _order(self, response: requests.Response, url: str | None) -> PlacedOrder:
        with self._asking():
            body = messages.Order.from_json(response.json())
            if not (url and body.status and body.authorizations and body.finalize):
                raise errors.ClientError("it left out members of an order")
            return PlacedOrder(
                url=url,
                status=str(body.status.name),
                authorizations=tuple(body.authorizations),
                finalize=body.finalize,
                certificate=body.certificate,
                problem=None if body.error is None else from_document(body.error),
                retry_after=self._retry_after,
            )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Translate the library's errors."""
        self._net.status, self._net.retry_after = None, None
        try:
            yield
        except messages.Error as error:
            raise AuthorityRefused(
                from_document(error, status=self._net.status, retry_after=self._retry_after)
            ) from error
        except requests.exceptions.RequestException as error:
            raise AuthorityFailed(self._failure("unreachable", words_of(error))) from error
        except (errors.Error, JoseError, LookupError, ValueError, TypeError) as error:
            words = f"the authority gave an answer that cannot be used ({self._said(error)})"
            raise AuthorityFailed(self._failure("unusable-answer", words)) from error

    def _said(self, error: Exception) -> str:
        if self._net.status is not None and self._net.status >= 400:
            return f"HTTP {self._net.status} without saying why"
        return clean(f"HTTP {self._net.status}, {type(error).__name__} {error}")

    def _failure(self, kind: str, words: str) -> Problem:
        return Problem(kind, words, retry_after=self._retry_after, status=self._net.status)


def _jwk(key: AccountKey) -> JWK:
    return JWKEC(key=key)


def new_account_key() -> AccountKey:
    """Make an account key."""
    return ec.generate_private_key(ec.SECP256R1())
