"""Whose a SIP request is."""

from ipaddress import ip_network

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from shaken.attestation import Attest, AttestPolicy, ForeignAttest
from shaken.credentials import Credential, CredentialIndex, Role, digest_of
from shaken.redirect.lines import Line, choose, is_known, is_sure, lines_of, tenant_of
from shaken.redirection import Redirection, SourceIndex
from shaken.snapshot import Snapshot
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk, Work
from sip.reception import Source
from tests.clients import ClientId, client_id
from trust.selection import Fallback

OWN, OTHER = "own.example.com", "other.example.com"
ADDRESS = "192.0.2.10"


def calling_from(address: str) -> Source:
    return Source("UDP", address, 5060)


HERE = calling_from(ADDRESS)


def trunk(
    name: str = "trunk",
    tenant: str = OWN,
    direction: Direction = Direction.AUTO,
    *,
    networks: tuple[str, ...] = (),
    sources: tuple[str, ...] = (ADDRESS,),
    by_host: bool = False,
) -> Trunk:
    return Trunk(
        name=name,
        tenant=tenant,
        attest=AttestPolicy(Attest.A, ForeignAttest.B),
        origid="6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55",
        direction=direction,
        networks=tuple(map(ip_network, networks)),
        country=None,
        answer=AnswerForm.BOTH,
        sip=Redirection(sources=sources, by_host=by_host),
    )


def credential(
    name: str, role: Role, of: str | None, client: ClientId, *networks: str
) -> Credential:
    bound = tuple(map(ip_network, networks))
    return Credential(name, role, digest_of(name), OWN, of, bound, client.spki)


class Known(Snapshot):
    """A snapshot of these trunks and credentials, without a store."""

    def __init__(self, *trunks: Trunk, credentials: tuple[Credential, ...] = ()) -> None:
        tenants = {
            name: Tenant(name, (f"sip.{name}",), (), Fallback.FIRST) for name in (OWN, OTHER)
        }
        hosted: dict[str, tuple[Trunk, ...]] = {}
        for each in trunks:
            if each.sip.by_host:
                hosted[each.tenant] = (*hosted.get(each.tenant, ()), each)
        own = {
            "sources": SourceIndex((each.sip.sources, each) for each in trunks),
            "hosted": hosted,
            "tenants": {each: tenant for tenant in tenants.values() for each in tenant.addresses},
            "credentials": CredentialIndex(credentials),
            "named": {each.name: each for each in trunks},
        }
        self.__dict__.update(own)

    @property
    def trunks(self) -> dict[str, Trunk]:
        found: dict[str, Trunk] = self.__dict__["named"]
        return found


def names(lines: object) -> list[str]:
    return [line.trunk.name for line in lines]  # type: ignore[attr-defined]


def uri(host: str) -> str:
    return f"sip:+12155550199@{host}"


def test_a_source_address_leads_to_its_trunk() -> None:
    snapshot = Known(trunk(), trunk("wide", sources=("192.0.2.0/24",)))

    assert names(lines_of(snapshot, HERE, uri(OWN))) == ["trunk"]
    assert names(lines_of(snapshot, calling_from("192.0.2.11"), uri(OWN))) == ["wide"]
    assert is_known(snapshot, HERE)
    assert is_sure(snapshot, HERE)


def test_an_address_that_is_no_trunks_leads_nowhere_whatever_the_host() -> None:
    snapshot = Known(trunk())
    stranger = calling_from("198.51.100.1")

    assert not is_known(snapshot, stranger)
    assert lines_of(snapshot, stranger, uri(OWN)) == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (OWN, ["open"]),
        (f"SIP.{OWN}", ["open"]),
        (OTHER, []),
        ("nobody.example.com", []),
        ("192.0.2.1", []),
        ("[2001:db8::1]", []),
    ],
)
def test_a_host_leads_to_a_trunk_that_allows_it(host: str, expected: list[str]) -> None:
    snapshot = Known(trunk("open", sources=(), by_host=True), trunk("closed", OTHER))
    stranger = calling_from("198.51.100.1")

    assert names(lines_of(snapshot, stranger, uri(host))) == expected
    assert not is_known(snapshot, stranger)


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        (("198.51.100.0/24",), True),
        (("203.0.113.7", "198.51.100.1"), True),
        (("203.0.113.0/24",), False),
        (("0.0.0.0/0", "::/0"), False),
        (("0.0.0.0/0", "198.51.100.1"), True),
    ],
)
def test_who_calls_from_the_networks_of_a_trunk_known_by_its_host_is_no_stranger(
    networks: tuple[str, ...],
    expected: bool,  # noqa: FBT001 (a parameter of a test)
) -> None:
    snapshot = Known(trunk(sources=(), by_host=True, networks=networks), trunk("other"))
    source = calling_from("198.51.100.1")

    assert is_known(snapshot, source) is expected
    assert not is_sure(snapshot, source)


@pytest.mark.parametrize(
    "odd", ["tel:+12155550199", "sip:", "sip:a@b@c@", "http://own.example.com"]
)
def test_a_uri_without_a_tenants_host_means_none(odd: str) -> None:
    assert tenant_of(Known(trunk()), odd) is None


def test_an_address_comes_before_a_host() -> None:
    snapshot = Known(trunk("by-address", OTHER), trunk("by-host", sources=(), by_host=True))

    assert names(lines_of(snapshot, HERE, uri(OWN))) == ["by-address"]


@pytest.mark.parametrize(("by_host", "sources"), [(True, ()), (False, (ADDRESS,))])
def test_the_networks_of_a_trunk_hold_however_it_is_known(
    by_host: bool,  # noqa: FBT001 (a parameter of a test)
    sources: tuple[str, ...],
) -> None:
    outside = trunk(networks=("198.51.100.0/24",), by_host=by_host, sources=sources)
    inside = trunk(networks=("192.0.2.0/24",), by_host=by_host, sources=sources)

    assert lines_of(Known(outside), HERE, uri(OWN)) == []
    assert names(lines_of(Known(inside), HERE, uri(OWN))) == ["trunk"]


def certified(client: ClientId, address: str = ADDRESS) -> Source:
    return Source("TLS", address, 5061, client.certificate.public_bytes(Encoding.DER))


def test_a_certificate_comes_before_an_address() -> None:
    client = client_id()
    bound = credential("pbx", Role.SIGNER, "certified", client)
    snapshot = Known(trunk("addressed"), trunk("certified", sources=()), credentials=(bound,))

    (line,) = lines_of(snapshot, certified(client), uri(OWN))

    assert (line.trunk.name, line.credential) == ("certified", bound)
    assert is_known(snapshot, certified(client, "198.51.100.1"))


def test_a_certificate_counts_for_nothing_where_it_leads_to_no_trunk() -> None:
    client, stranger = client_id(), client_id()
    credentials = (
        credential("unbound", Role.SIGNER, None, client),
        credential("viewer", Role.VIEWER, "certified", client),
        credential("elsewhere", Role.SIGNER, "certified", client, "198.51.100.0/24"),
    )
    snapshot = Known(trunk("certified", sources=()), credentials=credentials)

    assert lines_of(snapshot, certified(client), uri(OWN)) == []
    assert lines_of(snapshot, certified(stranger), uri(OWN)) == []
    assert lines_of(snapshot, Source("TLS", ADDRESS, 1, b"nonsense"), uri(OWN)) == []
    assert not is_known(snapshot, certified(client))
    assert names(lines_of(snapshot, certified(client, "198.51.100.1"), uri(OWN))) == ["certified"]


SIGN, VERIFY, AUTO = Direction.SIGN, Direction.VERIFY, Direction.AUTO


@pytest.mark.parametrize(
    ("direction", "role", "without", "with_identity"),
    [
        (AUTO, None, Work.SIGN, Work.VERIFY),
        (SIGN, None, Work.SIGN, Work.SIGN),
        (VERIFY, None, Work.VERIFY, Work.VERIFY),
        (AUTO, Role.SIGNER, Work.SIGN, None),
        (AUTO, Role.VERIFIER, None, Work.VERIFY),
        (SIGN, Role.SIGNER, Work.SIGN, Work.SIGN),
        (SIGN, Role.VERIFIER, None, None),
        (VERIFY, Role.SIGNER, None, None),
        (VERIFY, Role.VERIFIER, Work.VERIFY, Work.VERIFY),
    ],
)
def test_a_line_does_what_its_direction_and_its_role_are_for(
    direction: Direction,
    role: Role | None,
    without: Work | None,
    with_identity: Work | None,
) -> None:
    bound = None if role is None else credential("pbx", role, "trunk", client_id())
    line = Line(trunk(direction=direction), bound)

    assert line.work(presents=False) is without
    assert line.work(presents=True) is with_identity


@pytest.mark.parametrize(
    ("lines", "tenant", "presents", "expected"),
    [
        ([trunk("only", direction=VERIFY)], None, False, "only"),
        ([trunk("only", OTHER)], OWN, False, "only"),
        ([trunk("a"), trunk("b", OTHER)], OTHER, False, "b"),
        ([trunk("a"), trunk("b", OTHER)], None, False, None),
        ([trunk("out", direction=SIGN), trunk("in", direction=VERIFY)], OWN, False, "out"),
        ([trunk("out", direction=SIGN), trunk("in", direction=VERIFY)], OWN, True, "in"),
        ([trunk("out", direction=SIGN), trunk("auto")], OWN, False, "out"),
        ([trunk("out", direction=SIGN), trunk("auto")], OWN, True, "auto"),
        ([trunk("a"), trunk("b")], OWN, False, None),
        ([trunk("a", direction=SIGN), trunk("b", OTHER, VERIFY)], OWN, True, "a"),
    ],
)
def test_of_several_lines_host_and_kind_of_call_choose_one(
    lines: list[Trunk],
    tenant: str | None,
    presents: bool,  # noqa: FBT001 (a parameter of a test)
    expected: str | None,
) -> None:
    chosen = choose([Line(each) for each in lines], tenant=tenant, presents=presents)

    assert (None if chosen is None else chosen.trunk.name) == expected


def test_nothing_is_chosen_of_nothing() -> None:
    assert choose([], tenant=None, presents=False) is None
