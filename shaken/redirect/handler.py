"""Answers SIP requests: which trunk asks, and then as its settings say.

The same signer, verifier and records as over HTTP. No request is forwarded, none is answered twice:
`sip.reception` remembers what an INVITE was answered with.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from shaken.attestation import Standing, standing_of
from shaken.call_records import Asker, diversion_record, is_test, signed_record, verified_record
from shaken.identities import Claimed, claimed_by
from shaken.passport import Party
from shaken.redirect import answers
from shaken.redirect.invite import (
    Invite,
    InviteError,
    UnsupportedSchemeError,
    parties_of,
    read_invite,
)
from shaken.redirect.lines import Line, choose, is_known, is_sure, lines_of, tenant_of
from shaken.signing import OutboundCall, Signer
from shaken.signing_errors import NotAllowed, NotConfigured, SigningError
from shaken.snapshot import Snapshot
from shaken.store.calls import CallRecord
from shaken.tenants import Trunk, Work
from shaken.verifier import InboundCall, Outcome, Verifier
from sip.grammar import HeaderError
from sip.message import Request, Response
from sip.reception import Answer, AnswerOrWait, Source, Stateless
from sip.response import stateless_tag
from sip.stages import Stages
from trust.roots import Purpose

_Recorded = tuple[str, CallRecord]
"""An Identity, and what goes on record of it."""


class _Refused(Exception):  # noqa: N818 - an answer, not a failure
    """A request gets a final response with this status; the message says why."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class _Asked(NamedTuple):
    """An INVITE on its way to its answer. `now` is Unix seconds."""

    request: Request
    invite: Invite
    call_id: str
    trunk: Trunk
    snapshot: Snapshot
    now: int
    asker: Asker
    to_tag: str


class Redirect:
    """Answers the requests that a SIP server hands over. One for a worker."""

    def __init__(
        self,
        signer: Signer,
        verifier: Verifier,
        record: Callable[[CallRecord], None],
        snapshot: Callable[[], Snapshot],
        *,
        secret: bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what signs, verifies and records, what gives the current snapshot, and a clock.

        `secret` makes the tags of To headers, which strangers must not know beforehand.
        """
        self._signer = signer
        self._verifier = verifier
        self._record = record
        self._snapshot = snapshot
        self._secret = secret
        self._clock = clock

    def is_known(self, source: Source) -> bool:
        """Say whether messages from here are worth reading."""
        return is_known(self._snapshot(), source)

    def is_sure(self, source: Source) -> bool:
        """Say whether a trunk names this very source, so that answers go to its PBX alone."""
        return is_sure(self._snapshot(), source)

    def answer(self, request: Request, source: Source) -> Answer | Stages[AnswerOrWait]:
        """Answer a request; a call in stages, and where something has to be fetched, later."""
        to_tag = stateless_tag(request, secret=self._secret)
        snapshot = self._snapshot()
        lines = lines_of(snapshot, source, request.uri)
        if not lines:
            words = f"no trunk may call from {source.address}: see its sip sources and its networks"
            return Stateless(answers.refusal(request, 403, words, to_tag=to_tag))
        if request.method == "OPTIONS":
            return answers.options(request, to_tag=to_tag)
        if request.method != "INVITE":
            return answers.not_allowed(request, to_tag=to_tag)
        return self._call(request, source, lines, snapshot, to_tag)

    def _call(
        self,
        request: Request,
        source: Source,
        lines: Sequence[Line],
        snapshot: Snapshot,
        to_tag: str,
    ) -> Stages[AnswerOrWait]:
        """Sign or verify a call of one of the lines, or refuse it."""
        try:
            asked, work = self._read(request, source, lines, snapshot, to_tag)
            yield  # read, and its trunk is known
            do = self._verify if work is Work.VERIFY else self._sign
            return (yield from do(asked))
        except _Refused as refused:
            return answers.refusal(request, refused.status, str(refused), to_tag=to_tag)

    def _read(
        self,
        request: Request,
        source: Source,
        lines: Sequence[Line],
        snapshot: Snapshot,
        to_tag: str,
    ) -> tuple[_Asked, Work]:
        """Read a call of one of the lines, and what is to be done with it. Raises _Refused."""
        presents = any(request.lines("Identity"))
        tenant = tenant_of(snapshot, request.uri) if len(lines) > 1 else None
        line = choose(lines, tenant=tenant, presents=presents)
        if line is None:
            why = "several trunks may be meant; the Request-URI's host tells tenants apart"
            raise _Refused(403, why)
        work = line.work(presents=presents)
        if work is None:
            raise _Refused(403, "the credential's role is not for this call")
        trunk, credential = line.trunk, line.credential
        try:
            if request.to.tag is not None:
                raise _Refused(481, "there are no dialogs here")
            invite = read_invite(
                request, trunk.sip, country=trunk.country, verifies=work is Work.VERIFY
            )
            call_id = request.call_id
        except UnsupportedSchemeError as error:
            raise _Refused(416, str(error)) from error
        except (InviteError, HeaderError) as error:
            raise _Refused(400, str(error)) from error
        name = f"sip:{source.address}" if credential is None else credential.name
        now = int(self._clock())
        recorded = f"call {call_id}" if is_test(call_id) else call_id
        asker = Asker(now, name, trunk.tenant, trunk.name, recorded)
        return _Asked(request, invite, call_id, trunk, snapshot, now, asker, to_tag), work

    def _sign(self, asked: _Asked) -> Stages[Response]:
        """Answer a call that goes out. Raises _Refused."""
        invite, now = asked.invite, asked.now
        if invite.origin is None:
            why = "an anonymous call is signed when P-Asserted-Identity says who makes it"
            raise _Refused(403, why)
        iat, warning = invite.date, None
        if iat is not None and not self._signer.is_fresh(iat, now=now):
            warning = f"Date is {abs(now - iat)} s from now, verifiers may refuse it: set the clock"
            iat = None
        try:
            recorded = yield from self._identities(asked, invite.origin, iat)
        except NotAllowed as error:
            raise _Refused(403, str(error)) from error
        except NotConfigured as error:
            raise _Refused(503, str(error)) from error
        except SigningError as error:
            raise _Refused(400, str(error)) from error
        yield  # all of it is signed
        identities = [identity for identity, _ in recorded]
        answer = answers.signed(
            asked.request, identities, asked.trunk.sip, to_tag=asked.to_tag, warning=warning
        )
        # Not before: a call that is refused in the end leaves no record of what was signed for it.
        for _, record in recorded:
            self._record(record)
        return answer

    def _identities(
        self, asked: _Asked, origin: Party, iat: int | None
    ) -> Stages[tuple[_Recorded, ...]]:
        """Sign for the caller, and that the call was diverted. Raises SigningError, _Refused.

        Where the caller's provider has signed already, only the diversions are; where nobody has,
        the caller's is for whom the call was, so that the diversion leads on from there.
        """
        invite, diverted = asked.invite, asked.invite.diverted
        if not diverted or invite.target is None:
            return ((yield from self._sign_call(asked, origin, invite.destination, iat)),)
        claimed = claimed_by(invite.identities)
        recorded = []
        if claimed.callers:
            _hold_caller(origin, claimed)
            if str(invite.target) in claimed.ends:
                return ()  # all of its way is signed
            way = _way_of(asked, claimed)
        else:
            way = diverted[:1]
            recorded.append((yield from self._sign_call(asked, origin, way[0], iat)))
        for source, goal in pairwise((*way, invite.target)):
            recorded.append((yield from self._sign_diversion(asked, origin, source, goal, iat)))
        return tuple(recorded)

    def _sign_call(
        self, asked: _Asked, origin: Party, destination: Party, iat: int | None
    ) -> Stages[_Recorded]:
        trunk, snapshot, wanted = asked.trunk, asked.snapshot, asked.invite.wanted
        signed = yield from self._signer.sign_call_in_stages(
            OutboundCall(
                origin, parties_of(destination), iat=iat, attest=trunk.attest.lowered(wanted)
            ),
            snapshot=snapshot,
            tenant=trunk.tenant,
            trunk=trunk,
            now=asked.now,
        )
        return signed.identity, signed_record(signed, asked.asker)

    def _sign_diversion(
        self, asked: _Asked, origin: Party, diverted: Party, goal: Party, iat: int | None
    ) -> Stages[_Recorded]:
        signed = yield from self._signer.sign_diversion_in_stages(
            origin,
            diverted,
            parties_of(goal),
            iat=iat,
            snapshot=asked.snapshot,
            tenant=asked.trunk.tenant,
            now=asked.now,
        )
        return signed.identity, diversion_record(signed, asked.asker)

    def _verify(self, asked: _Asked) -> Stages[Response | Awaitable[Response]]:
        """Answer a call that comes in."""
        invite = asked.invite
        call = InboundCall(
            headers=invite.identities,
            orig=None if invite.origin is None else str(invite.origin),
            dest=(str(invite.destination),),
            now=asked.now,
            time=invite.date,
            name=f"call {asked.call_id}",
            scope=asked.trunk.tenant,
            target=() if invite.target is None else (str(invite.target),),
            protected=invite.protected,
        )
        roots = asked.snapshot.standing.certificates(Purpose.STI)
        outcome = yield from self._verifier.verify_in_stages(
            call, asked.trunk.verification, roots=roots
        )
        if isinstance(outcome, Outcome):
            return self._conclude(outcome, call, asked)

        async def wait() -> Response:
            return self._conclude(await outcome(), call, asked)

        return wait()

    def _conclude(self, outcome: Outcome, call: InboundCall, asked: _Asked) -> Response:
        record = verified_record(outcome, call, asked.asker)
        answer = answers.verified(
            asked.request,
            asked.invite,
            outcome.decision,
            outcome.attested,
            asked.trunk.sip,
            to_tag=asked.to_tag,
            faults=outcome.faults,
        )
        self._record(record)
        return answer


def _hold_caller(origin: Party, claimed: Claimed) -> None:
    """Raise _Refused when the call's PASSporTs are of another caller.

    RFC 8946 §4.1 has a `div` repeat who called. What the PASSporTs say of that is not verified
    here, so it counts only where the INVITE says the same.
    """
    if origin not in claimed.callers:
        why = "the call's Identity is of another caller than the INVITE: no diversion is signed"
        raise _Refused(403, why)


def _way_of(asked: _Asked, claimed: Claimed) -> Sequence[Party]:
    """List who diverted a call that has PASSporTs, from whom those lead to, the first one first.

    RFC 8946 §3: a `div` is of the destination that was retargeted. A PBX may name who diverted by
    an extension: then it is whom the PASSporTs lead to, unless that is no number of the tenant.
    Raises _Refused.
    """
    diverted = asked.invite.diverted
    for place, party in enumerate(diverted):
        if str(party) in claimed.ends:
            return diverted[place::-1]
    tenant = asked.snapshot.tenants[asked.trunk.tenant]
    numbers = [each for each in claimed.ends if each.isdigit()]
    own = [x for x in numbers if standing_of(x, tenant.own_numbers) is not Standing.FOREIGN]
    if len(own) == 1:
        return (Party(tn=own[0]),)
    if not claimed.ends:
        why = "it cannot be told whom the call's Identity leads to: no diversion is signed"
        raise _Refused(403, why)
    named, ends = ", ".join(map(str, diverted)), ", ".join(sorted(claimed.ends))
    why = f"the call's Identity leads to {ends[:64]}, and was diverted by {named[:64]}"
    raise _Refused(403, f"{why}: no diversion is signed that joins neither")
