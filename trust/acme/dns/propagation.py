"""Waiting until each name server of a zone has a record (RFC 8555 §8.4): an authority asks any.

The servers are asked themselves, past all caches. An address that this machine has no route to,
as IPv6 on many, is passed over unless there is no other.
"""

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.TXT import TXT

from trust.acme.challenges import PublicationError, TxtRecord
from trust.acme.dns.zones import NameServer
from trust.acme.problems import clean

QUERY_SECONDS = 3.0
"""How long one server may take to answer one question."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 10.0
"""Seconds between rounds, doubled from one to the next."""

MAX_SHOWN = 5
"""Values of a server, or servers without a record, that an error lists."""

MAX_TEXT = 64
"""Characters of a value that an error shows; a challenge has 43."""

UDP_PAYLOAD = 1232
"""Bytes of an answer over UDP that no network cuts (DNS flag day 2020)."""

_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Unanswered(Exception):  # noqa: N818 - what happened; the server may be well
    """A server did not say what a name has; the message says what it did."""


class NoRoute(Unanswered):
    """The question did not leave this machine."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has under a name. `words` say it to a person."""

    texts: frozenset[str]
    words: str


class Ask(Protocol):
    """Asks one server for the texts of a name."""

    def __call__(self, server: NameServer, name: str, *, seconds: float) -> Answer:
        """Return what it has. Raises Unanswered."""


Watched: TypeAlias = Mapping[TxtRecord, Sequence[NameServer]]
"""Records, each with the servers that must have it."""

_Look: TypeAlias = tuple[TxtRecord, NameServer]
_Unseen: TypeAlias = dict[_Look, Unanswered]


def ask(server: NameServer, name: str, *, seconds: float) -> Answer:
    """Ask a server, over UDP, over TCP where that is too small. Raises Unanswered."""
    query = dns.message.make_query(name, "TXT", use_edns=0, payload=UDP_PAYLOAD)
    query.flags &= ~dns.flags.RD
    try:
        response, _ = dns.query.udp_with_fallback(
            query,
            server.address,
            timeout=seconds,
            port=server.port,
            ignore_unexpected=True,
            ignore_errors=True,
        )
    except dns.exception.Timeout:
        raise Unanswered("does not answer") from None
    except OSError as error:
        kind = NoRoute if error.errno in _NO_ROUTE else Unanswered
        raise kind(f"cannot be asked: {error.strerror or error}") from error
    except (dns.exception.DNSException, EOFError) as error:
        raise Unanswered("gives no usable answer") from error
    return _read(response, name)


@dataclass(frozen=True, slots=True)
class Propagation:
    """Asks in rounds. `clock` is monotonic, `wait` waits; both in seconds."""

    seconds: float
    ask: Ask
    clock: Callable[[], float]
    wait: Callable[[float], None]

    def await_all(self, watched: Watched) -> None:
        """Return when each server has its records.

        Raises PublicationError with what servers say instead, when the time is over.
        """
        deadline = self.clock() + self.seconds
        pause = FIRST_PAUSE
        unseen = {
            (record, server): Unanswered("was not asked in time")
            for record, servers in watched.items()
            for server in servers
        }
        while True:
            # The last pause is followed by a look, too.
            until = max(deadline, self.clock() + QUERY_SECONDS)
            unseen = _routable(self._round(unseen, until=until), watched)
            if not unseen:
                return
            left = deadline - self.clock()
            if left <= 0:
                raise PublicationError(_words(unseen, seconds=self.seconds))
            self.wait(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _round(self, looks: _Unseen, *, until: float) -> _Unseen:
        """Ask for all that was not seen; return what still is not."""
        unseen: _Unseen = {}
        silent: dict[NameServer, Unanswered] = {}
        for (record, server), before in looks.items():
            left = until - self.clock()
            if server in silent:
                unseen[record, server] = silent[server]
            elif left <= 0:
                unseen[record, server] = before
            else:
                try:
                    answer = self.ask(server, record.name, seconds=min(QUERY_SECONDS, left))
                except Unanswered as error:
                    unseen[record, server] = silent[server] = error
                    continue
                if record.value not in answer.texts:
                    unseen[record, server] = Unanswered(answer.words)
        return unseen


def _routable(unseen: _Unseen, watched: Watched) -> _Unseen:
    """Leave out servers without a route, of records that others have or may have yet."""
    cut_off = {server for (_, server), why in unseen.items() if isinstance(why, NoRoute)}
    return {
        (record, server): why
        for (record, server), why in unseen.items()
        if server not in cut_off or cut_off.issuperset(watched[record])
    }


def _read(response: dns.message.Message, name: str) -> Answer:
    owner = dns.name.from_text(name)
    found = [rdata for rrset in response.answer if rrset.name == owner for rdata in rrset]
    texts = [
        b"".join(each.strings).decode("ascii", "replace") for each in found if isinstance(each, TXT)
    ]
    aliases = [each.target.to_text() for each in found if isinstance(each, CNAME)]
    if texts:
        words = f"has {_listed(f'{text[:MAX_TEXT]!a}' for text in texts)}"
    elif aliases:
        words = f"has an alias (CNAME) there, to {aliases[0]}"
    elif response.rcode() == dns.rcode.NXDOMAIN:
        words = "says that the name does not exist"
    elif response.rcode() != dns.rcode.NOERROR:
        words = f"answers {dns.rcode.to_text(response.rcode())}"
    elif not response.flags & dns.flags.AA:
        words = "is not authoritative for the name"
    else:
        words = "has no TXT record there"
    return Answer(frozenset(texts), clean(words))


def _words(unseen: _Unseen, *, seconds: float) -> str:
    wanted: dict[str, dict[str, None]] = {}
    said: dict[str, dict[str, None]] = {}
    for (record, server), why in unseen.items():
        wanted.setdefault(record.name, {})[f"{record.value!a}"] = None
        said.setdefault(record.name, {})[f"{server} {why}"] = None
    names = [f"{name} {_listed(wanted[name])}: {_listed(said[name])}" for name in wanted]
    return f"after {seconds:g} s not every name server has {_listed(names, '; ')}"


def _listed(texts: Iterable[str], separator: str = ", ") -> str:
    every = list(texts)
    more = [f"and {len(every) - MAX_SHOWN} more"] if len(every) > MAX_SHOWN else []
    return separator.join((*every[:MAX_SHOWN], *more))
