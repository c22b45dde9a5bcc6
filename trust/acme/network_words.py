"""Why a request got no answer, in words: what urllib3 and requests wrap many times over."""

import socket
import ssl
from collections.abc import Iterator

import requests

from trust.acme.problems import clean
from trust.acme.transport import AnswerTooLong


def words_of(error: requests.exceptions.RequestException) -> str:
    """Say what went wrong on the way to an authority, and what to look at."""
    host = _host(error)
    if isinstance(error, AnswerTooLong):
        return f"{host}: {error}"
    known = (_words_of_cause(cause, host) for cause in _causes(error))
    words = next((words for words in known if words is not None), None)
    if words is not None:
        return words
    if isinstance(error, requests.exceptions.Timeout):
        return f"{host} does not answer in time"
    return f"{host} cannot be reached: {clean(str(error))}"


def _words_of_cause(cause: BaseException, host: str) -> str | None:
    match cause:
        case ssl.SSLCertVerificationError():
            return (
                f"the TLS certificate of {host} is not trusted ({clean(cause.verify_message)}):"
                " add the root it leads to, with purpose tls"
            )
        case ssl.SSLError():
            return f"TLS with {host} fails: {clean(str(cause.reason or cause))}"
        case socket.gaierror():
            return f"the name {host} does not resolve: {clean(str(cause.strerror))}"
        case ConnectionRefusedError():
            return f"{host} refuses connections"
        case ConnectionError():
            return f"{host} broke off the connection"
        case _:
            return None


def _host(error: requests.exceptions.RequestException) -> str:
    url = getattr(error.request, "url", None)
    return clean(str(url)).split("/")[2] if url and "://" in url else "the authority"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk down to the first cause; urllib3 keeps some of it in `reason`."""
    at: BaseException | None = error
    seen: set[int] = set()
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        reason = getattr(at, "reason", None)
        inner = reason if isinstance(reason, BaseException) else None
        at = inner or at.__cause__ or at.__context__
