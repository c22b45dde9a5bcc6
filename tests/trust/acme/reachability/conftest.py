"""A zone, web servers and an authority's vantage, for the tests of the self-check."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.trust.acme.reachability.peers import Web, knot, self_signed_context
from tests.trust.acme.reachability.probe import KEY_AUTHORIZATION, TOKEN, Ask
from trust.acme.caa import Issuer
from trust.acme.lookup import DnsResolver
from trust.acme.reachability import Challenge, Reachability, Vantage, check

RECORDS = """
good A 127.0.0.1
alias CNAME good
both A 127.0.0.1
both AAAA ::1
two A 127.0.0.1
two A 127.0.0.2
six AAAA ::1
empty TXT "no address"
private A 10.1.2.3
private AAAA fd00::1
other A 127.0.0.1
forbidden A 127.0.0.1
forbidden CAA 0 issue "ca.example"
many A 127.0.1.1
many A 127.0.1.2
many A 127.0.1.3
many A 127.0.1.4
many A 127.0.1.5
many A 127.0.1.6
many A 127.0.1.7
many A 127.0.1.8
many A 127.0.1.9
"""


@pytest.fixture(scope="module")
def resolver() -> Iterator[DnsResolver]:
    """A resolver that asks a server with the records above."""
    with knot(RECORDS) as port:
        yield DnsResolver([("127.0.0.1", port)], seconds=5)


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web server with a certificate that is good for nothing."""
    context = self_signed_context(tmp_path_factory.mktemp("tls"))
    with Web().serving(tls=context) as web:
        yield web


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server on 127.0.0.1."""
    with Web().serving() as web:
        yield web


@pytest.fixture
def ask(resolver: DnsResolver, https: Web, web: Web) -> Ask:
    """Check a name from an authority's vantage: an internal one, for which `web` has port 80."""
    vantage = Vantage(
        reaches=lambda _: True,
        issuer=Issuer(frozenset({"letsencrypt.org"}), None, "http-01"),
        http_port=web.port,
        https_port=https.port,
        seconds=10,
    )

    def ask(name: str, **changes: object) -> Reachability:
        challenge = Challenge(name, TOKEN, KEY_AUTHORIZATION)
        return check(challenge, vantage=replace(vantage, **changes), resolver=resolver)  # type: ignore[arg-type]

    return ask
