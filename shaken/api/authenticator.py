"""Who calls: the same answer for the administration and for the STIR routes.

A source that presents wrong credentials too often is told to wait. A right credential passes at
once, also from there, and costs nothing more. A request without any credential is no attempt:
clients that send theirs only when asked (RFC 9110 §11.6.1) begin each time with such a one.
"""

import logging

from shaken.credentials import Credential, CredentialIndex
from shaken.throttle import FailureThrottle

_log = logging.getLogger(__name__)


class Stranger(Exception):  # noqa: N818 - an outcome the caller expects
    """Nobody known calls; the message says what to do about it.

    `retry_after`: seconds to wait, where the source failed too often.
    """

    def __init__(self, advice: str, retry_after: int | None = None) -> None:
        super().__init__(advice)
        self.retry_after = retry_after


_MISSING = "send a credential: Authorization: Bearer <secret>, or Basic"
_WRONG = (
    "this credential is not known, is revoked, or may not be used from here: send another one as"
    " Authorization: Bearer <secret>, or Basic"
)
_SLOWED = (
    "too many wrong credentials came from this address: correct the credential, then try again in"
    " {} s; a right one passes at once"
)


class Authenticator:
    """Finds who calls, and slows down sources that fail. One for all routes of a worker."""

    def __init__(self, throttle: FailureThrottle) -> None:
        """Take what counts failures."""
        self._throttle = throttle

    def authenticate(
        self,
        credentials: CredentialIndex,
        authorization: str | None,
        *,
        peer: str,
        client_spki: str | None = None,
        now: int,
    ) -> Credential:
        """Find who presents this Authorization header from this address. Raises Stranger.

        `client_spki` is the key of the certificate that the client showed in TLS, if any.
        """
        who = credentials.authenticate(authorization, peer=peer, client_spki=client_spki)
        if who is not None:
            return who
        if authorization is None:
            raise Stranger(_MISSING)
        slowed = self._throttle.failed(peer, now=now)
        if slowed is None:
            raise Stranger(_WRONG)
        if slowed.begins:
            _log.warning(
                "too many failed authentications from %s: more of them are answered 429 for the"
                " next %d s; right credentials pass",
                slowed.source,
                slowed.seconds,
            )
        raise Stranger(_SLOWED.format(slowed.seconds), slowed.seconds)
