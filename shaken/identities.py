"""What a call presents: its Identity headers, opened and sorted by what they are for.

A `div-o` PASSporT holds another one (RFC 8946 §5), which is presented like those that have a header
of their own. Pure; whether any of them holds is `shaken.verification`'s.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from shaken.diversion import MAX_LINKS, read_link
from shaken.passport import Party, Passport, PassportError, decode, destinations
from shaken.verification import DIV, DIV_O, SHAKEN, Opened, Step, open_header, rules_of
from sip.identity import Identity, IdentityError, InfoError, parse_each

MAX_IDENTITIES = 16
"""Identity headers of one call that are looked at; over HTTP no more may be sent."""

MAX_ORIGINALS = 4
"""Headers for `shaken` of one call that are looked at: a call has one, and each may be a fetch."""

MAX_OTHERS = 4
"""Headers for priority and rich call data of one call, likewise: a call has one of either."""


class CallIdentities(msgspec.Struct, frozen=True):
    """A call's PASSporTs, those of a kind in the order in which they came, unreadable ones last.

    `originals` are for `shaken`, or of a type that cannot be told. Of `diversions` there may be one
    more than is followed, by which it is seen that there are too many.
    """

    originals: list[Opened]
    diversions: list[Opened]
    others: list[Opened]

    def all(self) -> list[Opened]:
        """List originals, then diversions, then the others."""
        return self.originals + self.diversions + self.others

    def add(self, opened: Opened) -> None:
        """Add one, unless there are enough of its kind."""
        if opened.rules is SHAKEN:
            kind, most = self.originals, MAX_ORIGINALS
        elif opened.rules in (DIV, DIV_O):
            kind, most = self.diversions, MAX_LINKS + 1
        else:
            kind, most = self.others, MAX_OTHERS
        if len(kind) < most:
            kind.append(opened)


def read_headers(values: Iterable[str]) -> CallIdentities:
    """Read the values of a call's Identity fields; types that are none of ours are passed over.

    What a `div-o` holds and is there anyway, in a header or in another one, is presented once.
    """
    presented = CallIdentities([], [], [])
    held: list[Opened] = []
    unreadable: list[Opened] = []
    for value in values:
        for identity in parse_each(value):
            if isinstance(identity, IdentityError):
                unreadable.append(_unreadable(identity))
            elif (rules := rules_of(identity)) is not None:
                opened = open_header(identity, rules)
                if rules is DIV_O:
                    opened, *inside = _with_held(opened)
                    held += inside
                presented.add(opened)
    if held:
        _add_held(presented, held)
    # Behind those that can be read: they must not take the places of any.
    for opened in unreadable[:MAX_ORIGINALS]:
        presented.add(opened)
    return presented


class Claimed(NamedTuple):
    """What a call's PASSporTs claim, whether they hold or not.

    `callers` made it, by its `shaken` PASSporTs. `ends` are whom it was for last, numbers and URIs:
    those that its PASSporTs lead to, and from whom none says that it was diverted.
    """

    callers: list[Party]
    ends: frozenset[str]


def claimed_by(values: Iterable[str]) -> Claimed:
    """Read what the values of Identity fields claim; what cannot be read claims nothing."""
    callers: list[Party] = []
    reached: set[str] = set()
    left: set[str] = set()
    for value in values:
        for identity in parse_each(value):
            if isinstance(identity, IdentityError):
                continue
            try:
                passport = decode(identity.token)
                if passport.header.get("ppt") == "shaken":
                    callers += _callers(passport)
                    reached.update(map(str, destinations(passport.claims.get("dest"))))
                elif (link := read_link(passport.claims)) is not None:
                    reached.update(link.targets)
                    left.add(link.source)
            except (PassportError, msgspec.ValidationError):
                continue
    return Claimed(callers, frozenset(reached - left))


def _callers(passport: Passport) -> list[Party]:
    found = msgspec.convert(passport.claims.get("orig"), Party)
    return [found] if (found.tn is UNSET) != (found.uri is UNSET) else []


def open_with_held(identity: Identity) -> list[Opened]:
    """Open a header and, one behind the other, what it holds; none: its type is none of ours."""
    rules = rules_of(identity)
    return [] if rules is None else _with_held(open_header(identity, rules))


def _with_held(outer: Opened) -> list[Opened]:
    """List what was opened and, one behind the other, what it holds."""
    opened = [outer]
    while (outer := opened[-1]).rules is DIV_O and outer.passport is not None:
        held = _held(outer.passport.claims.get("opt"))
        if isinstance(held, str):
            opened[-1] = outer.fail(held)
        elif len(opened) > MAX_LINKS:
            opened[-1] = outer.fail(f"opt holds more than {MAX_LINKS} PASSporTs in one another")
        else:
            opened.append(held)
    return opened


def _held(opt: object) -> Opened | str:
    """Open the PASSporT in an `opt` claim, or say in words why that is not possible."""
    if not isinstance(opt, str):
        return "opt, which holds the original PASSporT, is missing or no text"
    try:
        # It has no header that could name its certificate and its type: it does so itself.
        identity = Identity(opt, decode(opt).x5u or "")
    except (PassportError, IdentityError) as error:
        return f"the original PASSporT in opt cannot be read: {error}"
    rules = rules_of(identity)
    if rules is None:
        return "opt holds a PASSporT of an unknown type"
    return open_header(identity, rules)


def _add_held(presented: CallIdentities, held: Iterable[Opened]) -> None:
    """Add what others hold, unless it is there already."""
    tokens = {each.identity.token for each in presented.all() if each.identity is not None}
    for opened in held:
        if opened.identity is not None and opened.identity.token not in tokens:
            tokens.add(opened.identity.token)
            presented.add(opened)


def _unreadable(error: IdentityError) -> Opened:
    """Make of a header that cannot be read one for `shaken`, which it may well be."""
    code = 436 if isinstance(error, InfoError) else 438
    return Opened(SHAKEN, None, (Step(f"the header cannot be read: {error}", code),), None)
