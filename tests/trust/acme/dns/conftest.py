"""Two name servers of a zone, of which the second knows nothing of changes at the first."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.ports import free_port
from tests.trust.acme.nameservers import KEY_NAME, KEY_SECRET, PowerDns, Server, knot, powerdns
from trust.acme.dns.settings import Rfc2136Settings

HEAD = """
@ SOA ns1.example.test. hostmaster.example.test. 1 3600 600 86400 60
"""

EXAMPLE = f"""{HEAD}
@ NS ns1
@ NS ns2
ns1 A 127.0.0.1
ns2 A 127.0.0.2
two AAAA ::1
two A 127.0.0.1
textual TXT "no address"
_acme-challenge.pbx CNAME pbx.acme.test.
_acme-challenge.circle CNAME circle1
circle1 CNAME circle2
circle2 CNAME circle1
*.wild CNAME wild.acme.test.
child NS elsewhere.test.
pieces TXT "one" "two"
odd CNAME a\\032b.acme.test.
apex CNAME example.test.
_acme-challenge.shared TXT "what somebody else wrote"
""" + "".join(f"chain{number} CNAME chain{number + 1}\n" for number in range(12))

ACME = f"""{HEAD}
@ NS ns1.example.test.
"""

LOST = f"""{HEAD}
@ NS nowhere.example.test.
"""

DOUBLE = f"""{HEAD}
@ NS two.example.test.
"""

LONG = "".join(f'long TXT "{number:0200}"\n' for number in range(20))


@dataclass(frozen=True)
class World:
    """The zones `example.test` with its two servers, `acme.test` with the first of them."""

    primary: Server
    secondary: Server

    @property
    def resolver(self) -> str:
        """Who is asked in place of a resolver."""
        return str(self.primary)

    def settings(self, **changes: object) -> Rfc2136Settings:
        """Return settings for updates at the first server."""
        settings: dict[str, object] = {
            "server": self.primary.address,
            "port": self.primary.port,
            "key_name": KEY_NAME,
            "key_secret": KEY_SECRET,
            "resolvers": (self.resolver,),
            "propagation_seconds": 1,
        }
        return Rfc2136Settings(**settings | changes)  # type: ignore[arg-type]


@dataclass
class Time:
    """Passes only while somebody waits."""

    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def passing() -> Time:
    return Time()


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    port = free_port("127.0.0.1", "127.0.0.2")
    zones = {
        "example.test": EXAMPLE + LONG,
        "acme.test": ACME,
        "lost.test": LOST,
        "double.test": DOUBLE,
    }
    with (
        knot("127.0.0.1", port, zones) as primary,
        knot("127.0.0.2", port, {"example.test": EXAMPLE}) as secondary,
    ):
        yield World(primary, secondary)


@pytest.fixture(scope="session")
def power() -> Iterator[PowerDns]:
    with powerdns() as started:
        yield started
