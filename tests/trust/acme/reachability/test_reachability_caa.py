"""CAA records as RFC 8659 and RFC 8657 have them, from tables and from a real DNS server."""

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trust.acme.reachability.peers import knot
from trust.acme.caa import Issuer, find_prohibition
from trust.acme.lookup import Address, CaaRecord, DnsResolver, LookupFailed

ACCOUNT = "https://acme-v02.api.letsencrypt.org/acme/acct/1"
ISSUER = Issuer(frozenset({"letsencrypt.org"}), ACCOUNT, "http-01")

ZONE = """
plain A 127.0.0.1
*.wild A 127.0.0.1
zone CAA 0 issue "ca.example"
zone CAA 0 iodef "mailto:security@example.test"
www.zone A 127.0.0.1
free.zone CAA 0 issue "letsencrypt.org"
free.zone A 127.0.0.1
alias CNAME zone
www.alias CNAME plain
bytes CAA \\# 10 0005697373756580ff22
"""


class Zone:
    """A resolver that knows the CAA records of some names."""

    def __init__(self, records: Mapping[str, tuple[CaaRecord, ...]]) -> None:
        self.records = records
        self.asked: list[str] = []

    def caa(self, name: str) -> tuple[CaaRecord, ...]:
        self.asked.append(name)
        return self.records.get(name, ())

    def addresses(self, name: str) -> tuple[Address, ...]:
        raise NotImplementedError(name)


def records(text: str) -> tuple[CaaRecord, ...]:
    """Read records as "flags tag value", one a line."""
    lines = (line.strip().split(" ", 2) for line in text.strip().splitlines())
    return tuple(CaaRecord(int(flags), tag, value) for flags, tag, value in lines)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        pytest.param("0 issue letsencrypt.org", True, id="it"),
        pytest.param("0 issue LetsEncrypt.ORG", True, id="in other case"),
        pytest.param("0 issue \t letsencrypt.org \t", True, id="in white space"),
        pytest.param("0 issue letsencrypt.org;", True, id="with an empty parameter"),
        pytest.param("0 issue letsencrypt.org; policy=ev", True, id="with another's parameter"),
        pytest.param("128 issue letsencrypt.org", True, id="critical, and known"),
        pytest.param("0 issue ca.example\n0 issue letsencrypt.org", True, id="among others"),
        pytest.param("0 issue ca.example", False, id="another"),
        pytest.param("0 issue ;", False, id="nobody"),
        pytest.param("0 issue ;\n0 issue letsencrypt.org", True, id="nobody, and it (§4.2)"),
        pytest.param("0 issue letsencrypt.org.evil.example", False, id="a name that begins so"),
        pytest.param("0 issue letsencrypt.org; =", True, id="an empty tag and value"),
        pytest.param("0 issue letsencrypt.org; policy", False, id="a parameter without value"),
        pytest.param("0 issue %%%%%", False, id="malformed (§4.2)"),
        pytest.param("0 iodef mailto:a@b.example", True, id="no issue at all (§4.2)"),
        pytest.param("0 issuewild ca.example", True, id="wildcards only (§4.3)"),
        pytest.param("0 issuemail ca.example", True, id="mail only (RFC 9495)"),
        pytest.param("128 issuemail ;", True, id="mail only, critical"),
        pytest.param("0 tbs Unknown", True, id="unknown"),
        pytest.param("128 tbs Unknown", False, id="unknown and critical (§4.1)"),
        pytest.param("0 issue letsencrypt.org\n128 tbs Unknown", False, id="with it"),
        pytest.param(f"0 issue letsencrypt.org; accounturi={ACCOUNT}", True, id="its account"),
        pytest.param(f"0 issue letsencrypt.org; ACCOUNTURI = {ACCOUNT}", True, id="in other case"),
        pytest.param(f"0 issue letsencrypt.org; accounturi={ACCOUNT}2", False, id="no account"),
        pytest.param(
            f"0 issue letsencrypt.org; accounturi={ACCOUNT}; accounturi={ACCOUNT}",
            False,
            id="two accounts (RFC 8657 §3)",
        ),
        pytest.param("0 issue letsencrypt.org; validationmethods=http-01", True, id="a method"),
        pytest.param(
            "0 issue letsencrypt.org;validationmethods=dns-01,http-01", True, id="methods"
        ),
        pytest.param("0 issue letsencrypt.org; validationmethods=dns-01", False, id="not this"),
    ],
)
def test_records_let_an_issuer_certify_a_name_or_not(*, text: str, allowed: bool) -> None:
    zone = Zone({"www.example.com": records(text)})

    found = find_prohibition("www.example.com", issuer=ISSUER, resolver=zone)

    assert (found is None) is allowed


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        pytest.param("0 issue letsencrypt.org", True, id="issue counts for wildcards"),
        pytest.param(
            "0 issue letsencrypt.org\n0 issuewild ca.example", False, id="unless there is"
        ),
        pytest.param("0 issue ca.example\n0 issuewild letsencrypt.org", True, id="issuewild"),
        pytest.param("0 issue letsencrypt.org\n0 issuewild ;", False, id="which names nobody"),
    ],
)
def test_wildcards_have_records_of_their_own(*, text: str, allowed: bool) -> None:
    zone = Zone({"example.com": records(text)})

    found = find_prohibition("*.example.com", issuer=ISSUER, resolver=zone)

    assert (found is None) is allowed
    assert zone.asked == ["example.com"]


def test_the_nearest_records_above_a_name_decide() -> None:
    zone = Zone(
        {
            "b.example.com": records("0 issue letsencrypt.org"),
            "example.com": records("0 issue ca.example"),
        }
    )

    assert find_prohibition("a.b.example.com", issuer=ISSUER, resolver=zone) is None
    assert zone.asked == ["a.b.example.com", "b.example.com"]
    above = find_prohibition("a.example.com", issuer=ISSUER, resolver=zone)
    assert above is not None
    assert above.domain == "example.com"


def test_without_records_up_to_the_top_everybody_may_certify() -> None:
    zone = Zone({"": records("0 issue ca.example")})

    assert find_prohibition("a.example.com", issuer=ISSUER, resolver=zone) is None
    assert zone.asked == ["a.example.com", "example.com", "com"]


def test_an_authority_that_does_not_say_who_it_is_is_not_forbidden_anything() -> None:
    zone = Zone({"example.com": records("0 issue ca.example")})
    unknown = Issuer(frozenset(), None, "http-01")

    assert find_prohibition("example.com", issuer=unknown, resolver=zone) is None
    assert zone.asked == []


def test_an_account_that_is_not_made_yet_is_not_held_against_it() -> None:
    zone = Zone({"example.com": records("0 issue letsencrypt.org; accounturi=https://a.example/1")})
    new = Issuer(ISSUER.domains, None, "http-01")

    assert find_prohibition("example.com", issuer=new, resolver=zone) is None


@given(st.integers(0, 255), st.sampled_from(["issue", "issuewild", "other"]), st.text())
def test_any_record_is_read_and_quoted_in_bounded_printable_words(
    flags: int, tag: str, value: str
) -> None:
    zone = Zone({"example.com": (CaaRecord(flags, tag, value),) * 9})

    found = find_prohibition("example.com", issuer=ISSUER, resolver=zone)

    if found is not None:
        assert found.words.isprintable()
        assert len(found.words) < 500


@pytest.fixture(scope="module")
def resolver() -> Iterator[DnsResolver]:
    """A resolver that asks a server with the zone above."""
    with knot(ZONE) as port:
        yield DnsResolver([("127.0.0.1", port)], seconds=5)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        pytest.param("plain.test", None, id="no records"),
        pytest.param("zone.test", "zone.test", id="at the name"),
        pytest.param("www.zone.test", "zone.test", id="above it"),
        pytest.param("a.b.zone.test", "zone.test", id="above a name that does not exist"),
        pytest.param("free.zone.test", None, id="lifted below"),
        pytest.param("a.free.zone.test", None, id="lifted below, for what is below that"),
        pytest.param("alias.test", "alias.test", id="at an alias's target (§3)"),
        pytest.param("www.alias.test", "alias.test", id="above an alias, not above its target"),
        pytest.param("bytes.test", "bytes.test", id="a value that is no text"),
    ],
)
def test_records_are_looked_up_from_the_name_upwards(
    resolver: DnsResolver, name: str, where: str | None
) -> None:
    found = find_prohibition(name, issuer=ISSUER, resolver=resolver)

    assert (None if found is None else found.domain) == where


def test_records_that_cannot_be_looked_up_are_an_error(resolver: DnsResolver) -> None:
    with pytest.raises(
        LookupFailed, match=r"^the CAA records of a\.example could not be looked up"
    ):
        find_prohibition("a.example", issuer=ISSUER, resolver=resolver)
