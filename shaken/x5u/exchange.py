"""A fetch as values: what is asked, what comes back, or why nothing did.

No type of an HTTP library is here, so that whoever asks does not know which one answers.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from shaken.addresses import AddressRefused, UrlPolicy, check_url


class Reason(StrEnum):
    """Why a fetch failed. The slugs are stable."""

    URL = "url"
    """The URL is none that is fetched from."""
    DNS = "dns"
    """The host's name has no address."""
    REFUSED_ADDRESS = "refused-address"
    """The host is at addresses only that are not connected to."""
    CONNECTION = "connection"
    """No connection, or it broke."""
    TIMEOUT = "timeout"
    """There was no whole answer in time, of the host or of its name server."""
    TLS = "tls"
    """The host proves its name by no certificate of a trusted root."""
    STATUS = "status"
    """The answer's status is none of success."""
    REDIRECT = "redirect"
    """A redirection leads to where is not fetched from, or too far."""
    TOO_LARGE = "too-large"
    ENCODED = "encoded"
    """The answer is compressed though nobody asked for that."""
    NOT_CERTIFICATES = "not-certificates"
    """There is no certificate in the answer, or something beside certificates."""
    NOT_A_CRL = "not-a-crl"
    """The answer is no revocation list."""
    PRIVATE_KEY = "private-key"
    """There is a private key in the answer: whoever fetches it can sign."""
    SLOW = "slow"
    """The host hangs, or is being asked for as much as is good: it was not asked."""
    BUSY = "busy"
    """More is being fetched than is good: this was not, or not to its end."""


_FINAL = frozenset({Reason.URL, Reason.PRIVATE_KEY})
_UNTRIED = frozenset({Reason.SLOW, Reason.BUSY})
_PASSING_STATUS = frozenset({408, 425, 429})
"""Those of 4xx that speak of the moment, not of the file."""


class FetchError(Exception):
    """Nothing that can be used was fetched: a slug for programs, a sentence for people.

    `detail` holds nothing of a fetched file; `status` is that of its answer, if that
    was what failed.
    """

    def __init__(self, reason: Reason, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.status = status

    @property
    def transient(self) -> bool:
        """Whether what was fetched before still stands: the repository is down, or in disorder.

        It does not when the repository says that there is nothing any more (a status of 4xx), or
        shows the private key.
        """
        if self.reason is Reason.STATUS and self.status is not None:
            return not 400 <= self.status < 500 or self.status in _PASSING_STATUS
        return self.reason not in _FINAL

    @property
    def tried(self) -> bool:
        """Whether it says something of the file: that was asked for."""
        return self.reason not in _UNTRIED

    def again(self) -> "FetchError":
        """Return the same error to be raised once more, without the way that this one went."""
        return FetchError(self.reason, self.detail, status=self.status)


@dataclass(frozen=True, slots=True)
class Validators:
    """What a repository named a state of its file by (RFC 9110 §8.8)."""

    etag: str | None = None
    last_modified: str | None = None


NOTHING_KNOWN = Validators()


@dataclass(frozen=True, slots=True)
class Request:
    """A file to fetch: at most `limit` bytes, and only if it is another than `known`."""

    url: str
    policy: UrlPolicy
    limit: int
    accept: str
    known: Validators = NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class Response:
    """What a repository answered; `body` None: its file is still the one that is known.

    `headers` holds those of `FRESHNESS_HEADERS` that came, in lower case.
    """

    body: bytes | None
    headers: Mapping[str, str]


FRESHNESS_HEADERS = ("age", "cache-control", "date", "etag", "expires", "last-modified")
"""Headers that say how long a file may be kept, and what its state is named by."""

Fetch: TypeAlias = Callable[[Request], Awaitable[Response]]
"""Fetches a file. Raises FetchError."""


def check_fetchable(url: str, policy: UrlPolicy) -> None:
    """Raise FetchError for a URL that is not fetched from: `url`, `refused-address`."""
    try:
        check_url(url, policy)
    except AddressRefused as error:
        raise FetchError(Reason.REFUSED_ADDRESS, str(error)) from error
    except ValueError as error:
        raise FetchError(Reason.URL, str(error)) from error
