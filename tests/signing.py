"""The STIR routes without a service around them."""

from collections.abc import Awaitable, Callable
from typing import Any

from shaken.api.authenticator import Authenticator
from shaken.api.stir import SIGNING_PATH, VERIFICATION_PATH, StirAnswer, StirApi
from shaken.api.stir_signing import Signing
from shaken.api.stir_verification import Verification
from shaken.pens import Pens
from shaken.signing import OutboundCall, Signed, Signer
from shaken.store.calls import CallRecord
from shaken.tenants import Tenant
from shaken.throttle import FailureThrottle
from shaken.verifier import Verifier
from sip.stages import Stages, at_once
from trust.keys import MasterKeys
from trust.selection import Fallback


def pens_with(
    master: MasterKeys,
    *,
    public_url: str = "https://sti.example.com",
    fallback: Fallback = Fallback.FIRST,
) -> Pens:
    """What signs for tenants, with the keys that these master keys open."""
    return Pens(master, public_url=public_url, fallback=fallback)


def signer_with(pens: Pens) -> Signer:
    """A signer that takes the times that the settings take when nobody changes them."""
    return Signer(pens, freshness=60, skew=15)


def signing_api(
    signer: Signer,
    *,
    record: Callable[[CallRecord], None] = lambda _: None,
    authenticator: Authenticator | None = None,
) -> StirApi:
    """The STIR routes of one worker that signs; nobody has failed to authenticate yet."""
    return StirApi(
        {SIGNING_PATH: Signing(signer, record).route},
        authenticator=authenticator or Authenticator(FailureThrottle()),
    )


def stir_api(signer: Signer, verifier: Verifier, *, authenticator: Authenticator) -> StirApi:
    """Both STIR routes of one worker, which keeps no records."""
    return StirApi(
        {
            SIGNING_PATH: Signing(signer, lambda _: None).route,
            VERIFICATION_PATH: Verification(verifier, lambda _: None).route,
        },
        authenticator=authenticator,
    )


def signed_by(
    signer: Signer, call: OutboundCall, *, tenant: Tenant | None, **settings: Any
) -> Signed:
    """Have one call signed, by itself."""
    address = None if tenant is None else tenant.address
    return at_once(signer.sign_call_in_stages(call, tenant=address, **settings))


def answered(answering: Stages[StirAnswer | Awaitable[StirAnswer]]) -> StirAnswer:
    """Take an answer that must be there without waiting."""
    answer = at_once(answering)
    assert isinstance(answer, StirAnswer)
    return answer
