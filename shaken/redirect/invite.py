"""What an INVITE says of its call: who calls whom, since when, by which diversion (RFC 8224 §4.1).

Pure. Numbers come out canonical (RFC 8224 §8.3).
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from operator import itemgetter
from urllib.parse import unquote

import msgspec

from shaken.attestation import Attest
from shaken.identities import MAX_IDENTITIES
from shaken.passport import Parties, Party, party_of_uri
from shaken.redirection import DestinationFrom, OriginFrom, Redirection
from sip.address import Address
from sip.grammar import HeaderError, find_parameter
from sip.message import Request
from sip.number import NumberError, canonical_number
from sip.uri import (
    KEPT_URIS,
    SipUri,
    UriError,
    canonical_uri,
    is_anonymous,
    parse_uri,
    phone_context,
    service_urn,
)

WANTED_HEADERS = ("Attestation", "P-Attestation-Indicator")
"""Header fields in which a PBX may ask for a lower attestation than its trunk's."""

PROTECTED_HEADERS = ("Resource-Priority", "Priority")
"""Header fields that PASSporTs vouch for (RFC 8443 §4, RFC 9027 §4)."""

MAX_ASSERTED = 16
"""Asserted callers that are looked at: RFC 3325 §9.1 has two."""

_DIGITS = re.compile(r"\+?[0-9*#(][0-9*#()-]{0,31}")
_SCHEME = re.compile(r"(?i)(?:sips?|tel|urn:service):")
_VERSTAT_LEVEL = re.compile(r"(?i);verstat=TN-Validation-Passed-([ABC])(?![\w-])")
_HISTORY_INDEX = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,15}")

_Index = tuple[int, ...]


class InviteError(ValueError):
    """An INVITE that says nothing that could be signed or verified; the message says what to do."""


class Invite(msgspec.Struct, frozen=True):
    """A call. `origin` None: the caller is anonymous. `date` is Unix seconds, None: not told.

    `caller` is the address that names who calls. `target` is where the Request-URI leads, None: to
    nothing that a PASSporT could name. `diverted` are those from whom the call came here, the last
    one first, none: it was not diverted, or by nobody who is named; then there is a `target`. A
    call to be verified has no `wanted`, `diverted`.
    """

    caller: Address
    origin: Party | None
    destination: Party
    target: Party | None
    identities: tuple[str, ...]
    protected: tuple[str, ...]
    wanted: Attest | None
    date: int | None
    diverted: tuple[Party, ...]


class UnsupportedSchemeError(InviteError):
    """The Request-URI is of a scheme that leads to no telephone (416)."""


def read_invite(
    request: Request, settings: Redirection, *, country: str | None, verifies: bool = False
) -> Invite:
    """Read an INVITE by the settings of its trunk; `country` reads national numbers.

    `verifies`: the call is to be verified. A stranger wrote it, so what only signing needs is not
    looked at, and a number that is none is left to the verdict. Raises InviteError.
    """
    if _SCHEME.match(request.uri) is None:
        raise UnsupportedSchemeError("the Request-URI is no sip, sips or tel URI, nor of a service")
    try:
        caller = _caller(request, settings.origin, country, verifies=verifies)
        called = request.to.uri if settings.destination is DestinationFrom.TO else request.uri
        target = _party_or_none(request.uri, country)
        diverted: tuple[Party, ...] = ()
        if settings.divert and not verifies:
            diverted = _diverted(request, country, now=target)
        return Invite(
            caller=caller,
            origin=_origin(caller.uri, country, verifies=verifies),
            destination=_destination(called, country, verifies=verifies),
            target=target,
            identities=_identities(request),
            protected=tuple(
                [f"{name}: {value}" for name, value in request.fields(*PROTECTED_HEADERS)]
            ),
            wanted=None if verifies else _wanted(request),
            date=_date(request.header("Date")),
            diverted=diverted,
        )
    except HeaderError as error:
        raise InviteError(str(error)) from error


def _identities(request: Request) -> tuple[str, ...]:
    """List the Identity header fields, each once; empty ones are none."""
    lines = request.lines("Identity")
    return tuple(dict.fromkeys(filter(None, lines)))[:MAX_IDENTITIES] if lines else ()


def parties_of(party: Party) -> Parties:
    """Make a destination of a party."""
    if isinstance(party.tn, str):
        return Parties(tn=(party.tn,))
    return Parties(uri=(str(party.uri),))


def _caller(
    request: Request, origin: OriginFrom, country: str | None, *, verifies: bool
) -> Address:
    """Find the address that names who calls: of several asserted ones, one with a number."""
    if origin is OriginFrom.ASSERTED:
        asserted = _asserted(request, verifies=verifies)
        if len(asserted) == 1:
            return asserted[0]
        if asserted:
            for each in asserted[:MAX_ASSERTED]:
                party = _party_or_none(each.uri, country)
                if party is not None and party.tn:
                    return each
            return asserted[0]
    return request.from_


def _asserted(request: Request, *, verifies: bool) -> tuple[Address, ...]:
    """List the asserted callers; of a call to be verified, those that can be read."""
    if not verifies:
        return request.addresses("P-Asserted-Identity")
    try:
        return request.readable_addresses("P-Asserted-Identity")
    except HeaderError:
        return ()


def _origin(uri: str, country: str | None, *, verifies: bool) -> Party | None:
    """Return who calls, None: nobody is named. Raises InviteError."""
    if is_anonymous(uri):
        return None
    return _heard(uri, country) if verifies else _party(uri, country, "the caller")


def _destination(uri: str, country: str | None, *, verifies: bool) -> Party:
    """Return who is called. Raises InviteError."""
    if verifies:
        return _heard(uri, country) or Party(uri=uri)
    return _party(uri, country, "who is called")


def _heard(uri: str, country: str | None) -> Party | None:
    """Return whom a stranger's URI names: the URI, where its number is none. None: it is no URI."""
    try:
        return _named(uri, country)
    except NumberError:
        return Party(uri=canonical_uri(uri))
    except UriError:
        return None


def _party(uri: str, country: str | None, who: str) -> Party:
    try:
        return _named(uri, country)
    except (NumberError, UriError) as error:
        raise InviteError(f"{who} cannot be told from {uri[:64]!a}: {error}") from error


@lru_cache(maxsize=KEPT_URIS)
def _named(uri: str, country: str | None) -> Party:
    """Return whom a URI names as PBXs write it. Raises NumberError and UriError.

    Many leave out `user=phone`, and the `+`; a user part of digits is a number whatever they say
    (RFC 8224 §8.3 leaves it to local policy).
    """
    digits = _digits(uri)
    if digits is None:
        return party_of_uri(uri, country=country)
    return Party(tn=canonical_number(digits, country=country, context=phone_context(uri)))


def _digits(uri: str) -> str | None:
    """Return the user part of a SIP URI where it is nothing but a number as dialled."""
    if service_urn(uri) is not None:
        return None
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri) or parsed.user is None:
        return None
    user = unquote(parsed.user.partition(";")[0])
    return user if _DIGITS.fullmatch(user) else None


def _party_or_none(uri: str, country: str | None) -> Party | None:
    try:
        return _party(uri, country, "")
    except InviteError:
        return None


def _wanted(request: Request) -> Attest | None:
    """Read which attestation the PBX asks for; the lowest, where several fields say so."""
    asked = []
    for name in WANTED_HEADERS:
        value = request.header(name)
        if value is None or not value.strip():
            continue
        try:
            asked.append(Attest(value.strip().upper()))
        except ValueError as error:
            raise InviteError(f"{name} is A, B or C, not {value[:16]!a}") from error
    for value in request.lines("P-Asserted-Identity"):
        asked += [Attest(level.upper()) for level in _VERSTAT_LEVEL.findall(value)]
    return max(asked, default=None)


def _date(value: str | None) -> int | None:
    """Read a Date (RFC 3261 §20.17). What cannot be read is as if it were not there."""
    if value is None:
        return None
    try:
        read = parsedate_to_datetime(value)
        # One without a zone, or with -0000, is in UTC.
        return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def _diverted(request: Request, country: str | None, *, now: Party | None) -> tuple[Party, ...]:
    """List from whom the call was diverted, the last one first (RFC 5806 §3, RFC 7044 §5).

    Entries that name where the call goes now are passed over: it was not diverted to itself. So are
    those that name nobody, as privacy has it. Before one that cannot be read nobody is listed, and
    when it is the last nobody can be: what is signed would be untrue. Raises InviteError.
    """
    found: dict[Party, None] = {}
    for uri in _diverting(request):
        if is_anonymous(uri):
            continue
        try:
            found[_party(uri, country, "who diverted the call")] = None
        except InviteError:
            if not found:
                raise
            break
    if found and now is None:
        raise InviteError(
            f"where the diverted call goes cannot be told from its Request-URI {request.uri[:64]!a}"
        )
    return tuple(each for each in found if each != now)


def _diverting(request: Request) -> Iterable[str]:
    """List who diverted the call, the last one first."""
    diversions = request.addresses("Diversion")
    if diversions:
        # "The first Diversion header field value is the most recent": each is put on top.
        return [each.uri for each in diversions]
    history = [
        (index, address)
        for address in request.addresses("History-Info")
        if (index := _history_index(find_parameter(address.parameters, "index"))) is not None
    ]
    return _mapped_from(sorted(history, key=itemgetter(0), reverse=True))


def _mapped_from(history: Iterable[tuple[_Index, Address]]) -> Iterator[str]:
    """Go back from the last entry of a History-Info to the first; yield who diverted on this way.

    RFC 7044 §5: `mp` names the entry whose user the call was diverted from; `rc` and `np` name the
    one before, of the same user. An entry without any of them (RFC 4244) follows the next before
    it, and does not say that the user is the same.
    """
    wanted: _Index | None = None
    diverts = False
    for index, address in history:
        if wanted not in (None, index):
            continue
        if diverts:
            yield address.uri
        tags = [each for each in address.parameters if each[0] in ("mp", "rc", "np")]
        diverts = not tags or tags[0][0] == "mp"
        if tags:
            wanted = _history_index(tags[0][1])
            if wanted is None:
                return
        else:
            wanted = None


def _history_index(text: str | None) -> _Index | None:
    """Read the index of an entry of a History-Info, None: it is none."""
    if text is None or _HISTORY_INDEX.fullmatch(text) is None:
        return None
    return tuple(map(int, text.split(".")))
