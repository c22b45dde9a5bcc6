"""Answers SIP requests: which trunk asks, and then as its settings say.

The same signer, verifier and records as over HTTP. No request is forwarded, none is answered twice:
`sip.server` remembers what an INVITE was answered with.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from shaken.call_records import Asker, diversion_record, signed_record, verified_record
from shaken.credentials import Credential, Role
from shaken.passport import Party, PassportError, decode
from shaken.redirect import answers
from shaken.redirect.invite import Invite, InviteError, parties_of, read_invite
from shaken.signing import Call, NotAllowed, NotConfigured, Signer, SigningError
from shaken.snapshot import Snapshot
from shaken.store.calls import CallRecord
from shaken.tenants import Direction, Trunk
from shaken.verifier import InboundCall, Outcome, Verifier
from sip.grammar import HeaderError
from sip.identity import IdentityError, parse_each
from sip.message import Request, Response
from sip.reception import Answer, Source, Stateless
from sip.response import stateless_tag
from sip.uri import SipUri, UriError, parse_uri
from trust.names import DnsNameError, dns_name
from trust.roots import Purpose
from trust.tls import spki_of

_log = logging.getLogger(__name__)


class _Refused(Exception):  # noqa: N818 - an answer, not a failure
    """A request gets a final response with this status; the message says why."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Asked:
    """An INVITE on its way to its answer."""

    request: Request
    invite: Invite
    trunk: Trunk
    snapshot: Snapshot
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
        snapshot = self._snapshot()
        if snapshot.sources.at(source.address):
            return True
        return _credential(snapshot, source) is not None

    def answer(self, request: Request, source: Source) -> Answer | Awaitable[Answer]:
        """Answer a request; where a certificate has to be fetched, what waits for it."""
        to_tag = stateless_tag(request, secret=self._secret)
        snapshot = self._snapshot()
        credential = _credential(snapshot, source)
        trunks = _trunks(snapshot, source, credential)
        if not trunks:
            words = f"no trunk has {source.address} among its sources; add it to the trunk's sip"
            return Stateless(answers.refusal(request, 403, words, to_tag=to_tag))
        if request.method == "OPTIONS":
            return answers.options(request, to_tag=to_tag)
        if request.method != "INVITE":
            return answers.not_allowed(request, to_tag=to_tag)
        name = credential.name if credential is not None else f"sip:{source.address}"
        try:
            return self._call(request, _one_of(trunks, snapshot, request), snapshot, name, to_tag)
        except _Refused as refused:
            return answers.refusal(request, refused.status, str(refused), to_tag=to_tag)

    def _call(
        self, request: Request, trunk: Trunk, snapshot: Snapshot, name: str, to_tag: str
    ) -> Response | Awaitable[Response]:
        """Sign or verify a call of a trunk that `name` places. Raises _Refused."""
        try:
            if request.to.tag is not None:
                raise _Refused(481, "there are no dialogs here")
            invite = read_invite(request, trunk.sip, country=trunk.country)
            call_id = request.call_id
        except (InviteError, HeaderError) as error:
            raise _Refused(400, str(error)) from error
        asker = Asker(int(self._clock()), name, trunk.tenant, trunk.name, call_id)
        asked = _Asked(request, invite, trunk, snapshot, asker, to_tag)
        if trunk.direction is Direction.AUTO and invite.identities:
            return self._verify(asked)
        return self._verify(asked) if trunk.direction is Direction.VERIFY else self._sign(asked)

    def _sign(self, asked: _Asked) -> Response:
        """Answer a call that goes out. Raises _Refused."""
        invite, now = asked.invite, asked.asker.at
        if invite.origin is None:
            why = "an anonymous call is signed when P-Asserted-Identity says who makes it"
            raise _Refused(403, why)
        iat = invite.date
        if iat is not None and not self._signer.is_fresh(iat, now=now):
            iat = None
        try:
            identity = self._signed(asked, invite.origin, iat)
        except NotAllowed as error:
            raise _Refused(403, str(error)) from error
        except NotConfigured as error:
            _log.error("call %s is not signed: %s", asked.asker.request_id, error)
            raise _Refused(503, str(error)) from error
        except SigningError as error:
            raise _Refused(400, str(error)) from error
        return answers.signed(asked.request, identity, asked.trunk.sip, to_tag=asked.to_tag)

    def _signed(self, asked: _Asked, origin: Party, iat: int | None) -> str:
        """Sign for the caller, or that a call which is signed was diverted. Raises SigningError."""
        invite, trunk, snapshot, now = asked.invite, asked.trunk, asked.snapshot, asked.asker.at
        tenant = snapshot.tenants[trunk.tenant]
        original = _original_caller(invite.identities) if invite.diverted is not None else None
        if original is not None and invite.diverted is not None:
            diversion = self._signer.sign_diversion(
                original,
                invite.diverted,
                parties_of(invite.target or invite.destination),
                iat=iat,
                snapshot=snapshot,
                tenant=tenant,
                now=now,
            )
            self._record(diversion_record(diversion, asked.asker))
            return diversion.identity
        # The PBX may ask for less than its trunk has, never for more.
        usual = trunk.attest.default
        attest = usual if invite.wanted is None else max(usual, invite.wanted)
        call = Call(origin, parties_of(invite.destination), iat=iat, attest=attest)
        signed = self._signer.sign(call, snapshot=snapshot, tenant=tenant, trunk=trunk, now=now)
        self._record(signed_record(signed, asked.asker))
        return signed.identity

    def _verify(self, asked: _Asked) -> Response | Awaitable[Response]:
        """Answer a call that comes in."""
        invite = asked.invite
        call = InboundCall(
            headers=invite.identities,
            orig=None if invite.origin is None else str(invite.origin),
            dest=(str(invite.destination),),
            now=asked.asker.at,
            time=invite.date,
            name=f"call {asked.asker.request_id}",
            scope=asked.trunk.tenant,
            target=() if invite.target is None else (str(invite.target),),
            protected=invite.protected,
        )
        roots = asked.snapshot.standing.certificates(Purpose.STI)
        outcome = self._verifier.verify(call, asked.trunk.verification, roots=roots)
        if isinstance(outcome, Outcome):
            return self._conclude(outcome, call, asked)

        async def wait() -> Response:
            return self._conclude(await outcome(), call, asked)

        return wait()

    def _conclude(self, outcome: Outcome, call: InboundCall, asked: _Asked) -> Response:
        record = verified_record(outcome, call, asked.asker)
        self._record(record)
        claims = (record.attest, record.origid) if record.attest else None
        return answers.verified(
            asked.request,
            asked.invite,
            outcome.decision,
            claims,
            asked.trunk.sip,
            to_tag=asked.to_tag,
        )


def _credential(snapshot: Snapshot, source: Source) -> Credential | None:
    """Find who showed this client certificate, where it is good for a trunk."""
    if source.client_certificate is None:
        return None
    found = snapshot.credentials.authenticate(
        None, peer=source.address, client_spki=spki_of(source.client_certificate)
    )
    return found if found is not None and found.trunk in snapshot.trunks else None


def _trunks(snapshot: Snapshot, source: Source, credential: Credential | None) -> Sequence[Trunk]:
    """List the trunks that a request may belong to: a certificate says more than an address."""
    if credential is None or credential.trunk is None:
        return snapshot.sources.at(source.address)
    trunk = snapshot.trunks[credential.trunk]
    unfit = Direction.VERIFY if credential.role is Role.SIGNER else Direction.SIGN
    return () if trunk.direction is unfit else (trunk,)


def _one_of(trunks: Sequence[Trunk], snapshot: Snapshot, request: Request) -> Trunk:
    """Choose among the trunks of one address: by the Request-URI's host, then by the direction.

    Raises _Refused.
    """
    if len(trunks) == 1:
        return trunks[0]
    tenant = _tenant_of(request.uri, snapshot)
    if tenant is not None:
        trunks = [each for each in trunks if each.tenant == tenant]
    if len({each.tenant for each in trunks}) != 1:
        raise _Refused(403, "several tenants call from here: write yours as the Request-URI's host")
    unfit = Direction.SIGN if request.lines("Identity") else Direction.VERIFY
    fitting = [each for each in trunks if each.direction is not unfit] or trunks
    return min(fitting, key=lambda each: each.name)


def _tenant_of(uri: str, snapshot: Snapshot) -> str | None:
    try:
        parsed = parse_uri(uri)
        tenant = snapshot.tenants.get(dns_name(parsed.host)) if isinstance(parsed, SipUri) else None
    except (UriError, DnsNameError):
        return None
    return None if tenant is None else tenant.address


def _original_caller(identities: Sequence[str]) -> Party | None:
    """Return who made a call by its `shaken` PASSporT, which a `div` repeats (RFC 8946 §4.1)."""
    for value in identities:
        for identity in parse_each(value):
            if isinstance(identity, IdentityError):
                continue
            try:
                passport = decode(identity.token)
                if passport.header.get("ppt") == "shaken":
                    return msgspec.convert(passport.claims.get("orig"), Party)
            except (PassportError, msgspec.ValidationError):
                continue
    return None
