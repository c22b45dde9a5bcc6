"""Why a call is not signed: what is wrong with it, or what an administrator has to change."""


class SigningError(Exception):
    """A call that is not signed; the message says why and what to do."""


class MissingClaim(SigningError):  # noqa: N818 - named for what is wrong with the call
    """The call leaves out what no trunk fills in; `claim` names it."""

    def __init__(self, claim: str) -> None:
        super().__init__(
            f"send {claim!r}, or use a credential of a trunk, whose settings fill it in"
        )
        self.claim = claim


class InvalidClaim(SigningError):  # noqa: N818 - named for what is wrong with the call
    """The call says what must not be signed; `claim` names it."""

    def __init__(self, claim: str, detail: str) -> None:
        super().__init__(detail)
        self.claim = claim


class NotAllowed(SigningError):  # noqa: N818 - named for what is wrong with the call
    """This call is refused, by the trunk's policy or since the certificate may not sign it."""


class BeyondCertificate(NotAllowed):
    """The certificate does not let its holder sign this call; verifiers would refuse it."""

    def __init__(self, certificate: str, objection: str) -> None:
        super().__init__(
            f"certificate {certificate} may not sign this call: {objection} Send a call that it"
            " may sign, or import a certificate for the tenant that may sign it"
        )


class NotConfigured(SigningError):  # noqa: N818 - named for what is wrong with the service
    """Nothing can sign this call until an administrator changes something."""
