"""`POST /stir/v1/verification`: the verdict on a call's Identity headers.

A negative verdict is an answer like any other (ATIS-1000082): an error is only what a client sent
wrong, or what failed here.
"""

import itertools
import secrets
from collections.abc import Awaitable, Callable
from functools import partial

from msgspec import UNSET

from shaken.acceptance import DEFAULT_POLICY
from shaken.api.stir import StirAnswer, StirAsked, StirRoute
from shaken.api.stir_errors import StirError, StirFault
from shaken.api.verification_messages import (
    VerificationMessage,
    VerificationResponse,
    called,
    caller,
    headers_of,
    protected,
    read_verification,
    target,
)
from shaken.api.verification_results import result_of
from shaken.call_records import verified_record
from shaken.credentials import Role
from shaken.store.calls import CallRecord
from shaken.tenants import AnswerForm, Work
from shaken.verifier import InboundCall, Outcome, Verifier
from sip.stages import Stages
from trust.roots import Purpose


class Verification:
    """Answers verification requests."""

    def __init__(self, verifier: Verifier, record: Callable[[CallRecord], None]) -> None:
        """Take what verifies, and where the record of each verdict goes."""
        self._verifier = verifier
        self._record = record
        self._instance = secrets.token_hex(16)
        self._counter = itertools.count()

    @property
    def route(self) -> StirRoute:
        """The route as `StirApi` takes it."""
        return StirRoute(Role.VERIFIER, "this credential is not a verifier's", self.handle)

    def handle(self, asked: StirAsked) -> Stages[StirAnswer | Callable[[], Awaitable[StirAnswer]]]:
        """Verify; where a fetch is needed, return what waits for it. Raises StirError."""
        trunk = asked.trunk
        if trunk is not None and not trunk.direction.allows(Work.VERIFY):
            raise StirError(StirFault.FORBIDDEN, "this trunk signs, it does not verify")
        message = read_verification(asked.document)
        call = inbound_call(
            message,
            country=trunk.country if trunk else None,
            now=asked.now,
            name=self._name_of(message),
            scope=_tenant_of(asked) or "",
        )
        policy = trunk.verification if trunk else DEFAULT_POLICY
        outcome = yield from self._verifier.verify_in_stages(
            call, policy, roots=asked.snapshot.standing.certificates(Purpose.STI)
        )
        yield  # the outcome is there
        if isinstance(outcome, Outcome):
            return self._conclude(outcome, call, message, asked)
        return partial(self._wait, outcome, call, message, asked)

    def _name_of(self, message: VerificationMessage) -> str:
        """Tell the call from others: as the client does, else each request is one of its own."""
        if message.call_id is not UNSET:
            return f"call {message.call_id}"
        if message.reference is not UNSET:
            return f"request {message.reference}"
        # Not the X-RequestID: there are clients that send the same one always.
        return f"{self._instance}-{next(self._counter)}"

    async def _wait(
        self,
        outcome: Callable[[], Awaitable[Outcome]],
        call: InboundCall,
        message: VerificationMessage,
        asked: StirAsked,
    ) -> StirAnswer:
        return self._conclude(await outcome(), call, message, asked)

    def _conclude(
        self, outcome: Outcome, call: InboundCall, message: VerificationMessage, asked: StirAsked
    ) -> StirAnswer:
        self._record(verified_record(outcome, call, asked.asker(_tenant_of(asked))))
        form = asked.trunk.answer if asked.trunk else AnswerForm.BOTH
        result = result_of(outcome, form, reference=message.reference)
        return asked.success(VerificationResponse(result))


def inbound_call(
    message: VerificationMessage, *, name: str, country: str | None, now: int, scope: str
) -> InboundCall:
    """Make the call of a message; `country` reads national numbers. Raises StirError.

    `name` tells it from others, `scope` whose calls it is told from.
    """
    return InboundCall(
        headers=headers_of(message),
        orig=caller(message, country=country),
        dest=called(message, country=country),
        now=now,
        time=None if message.time is UNSET else message.time,
        name=name,
        scope=scope,
        target=() if message.dest is UNSET else target(message.dest, country=country),
        protected=protected(message),
    )


def _tenant_of(asked: StirAsked) -> str | None:
    """Return whose call it is; None: nobody's in particular."""
    return asked.trunk.tenant if asked.trunk else asked.credential.tenant
