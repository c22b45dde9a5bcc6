"""What an INVITE says of its call, by the settings of its trunk."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.attestation import Attest
from shaken.identities import MAX_IDENTITIES
from shaken.passport import Parties, Party
from shaken.redirect.invite import (
    MAX_ASSERTED,
    InviteError,
    UnsupportedSchemeError,
    parties_of,
    read_invite,
)
from shaken.redirection import DestinationFrom, OriginFrom, Redirection
from sip.grammar import HeaderError
from tests.shaken.redirect.invites import DEST, FROM, ORIG, TO, invite

USUAL = Redirection()
DIVERTING = Redirection(divert=True)
ANOTHER = "12155550133"


def tn(number: str) -> Party:
    return Party(tn=number)


@pytest.mark.parametrize(
    ("asserted", "caller", "expected"),
    [
        ((), FROM, tn(ORIG)),
        ((), f"<tel:+{ORIG}>", tn(ORIG)),
        ((), f"sip:+{ORIG}@pbx.example.com", tn(ORIG)),
        ((), f"<sip:{ORIG}@192.0.2.1>", tn(ORIG)),
        ((), f"<sip:%2B{ORIG}@192.0.2.1>", tn(ORIG)),
        ((), "<sip:+1-215-555-0100@192.0.2.1;user=phone>", tn(ORIG)),
        ((), "<sip:+1(215)555-0100@192.0.2.1>", tn(ORIG)),
        ((), f"<sip:+{ORIG};npdi@pbx.example.com>", tn(ORIG)),
        ((), "<sip:alice@Example.COM;transport=tcp>", Party(uri="sip:alice@example.com")),
        ((), "<sip:10.0.0.5@pbx.example.com>", Party(uri="sip:10.0.0.5@pbx.example.com")),
        ((), '"Anonymous" <sip:anonymous@anonymous.invalid>', None),
        ((), "<sip:anonymous@pbx.example.com>", None),
        ((), "<sip:unknown@unknown.invalid>", None),
        ((f"<tel:+{ANOTHER}>",), FROM, tn(ANOTHER)),
        ((f"<sip:alice@example.com>, <tel:+{ANOTHER}>",), FROM, tn(ANOTHER)),
        (("<sip:alice@example.com>", f"<tel:+{ANOTHER}>"), FROM, tn(ANOTHER)),
        (("<sip:alice@example.com>",), FROM, Party(uri="sip:alice@example.com")),
        ((f"<tel:+{ANOTHER}>",), "<sip:anonymous@anonymous.invalid>", tn(ANOTHER)),
        (("",), FROM, tn(ORIG)),
        (("", f"<tel:+{ANOTHER}>"), FROM, tn(ANOTHER)),
        ((), "<sip:192.0.2.1>", None),
        ((f"<tel:+{ANOTHER}>",), "<sip:192.0.2.1>", tn(ANOTHER)),
    ],
)
def test_who_calls_is_asserted_or_in_from(
    asserted: tuple[str, ...], caller: str, expected: Party | None
) -> None:
    more = [("P-Asserted-Identity", value) for value in asserted]

    read = read_invite(invite(*more, caller=caller), USUAL, country=None)

    assert read.origin == expected


UNTIDY = (";", ";transport=", ";user=phone;user=phone", ";x=a==", ":0", ":0;;lr;")


@pytest.mark.parametrize("verifies", [False, True])
@pytest.mark.parametrize("end", [*(f"pbx.example.com{end}" for end in UNTIDY), "3f2504e0abc1"])
def test_a_trifle_behind_the_numbers_does_not_stop_a_call(end: str, *, verifies: bool) -> None:
    request = invite(
        caller=f"<sip:+{ORIG}@{end}>", called=f"<sip:+{DEST}@{end}>", uri=f"sip:+{DEST}@{end}"
    )

    read = read_invite(request, USUAL, country=None, verifies=verifies)

    assert (read.origin, read.destination, read.target) == (tn(ORIG), tn(DEST), tn(DEST))


def test_what_is_asserted_counts_for_nothing_where_the_trunk_says_so() -> None:
    request = invite(("P-Asserted-Identity", f"<tel:+{ANOTHER}>"))

    read = read_invite(request, Redirection(origin=OriginFrom.FROM), country=None)

    assert read.origin == tn(ORIG)


def test_who_is_called_is_in_to_or_in_the_request_uri() -> None:
    request = invite(uri=f"sip:{ANOTHER}@sip.example.com")
    by_uri = Redirection(destination=DestinationFrom.REQUEST_URI)

    assert read_invite(request, USUAL, country=None).destination == tn(DEST)
    assert read_invite(request, by_uri, country=None).destination == tn(ANOTHER)
    assert read_invite(request, USUAL, country=None).target == tn(ANOTHER)


def test_the_country_of_the_trunk_reads_national_numbers() -> None:
    request = invite(
        caller="<sip:2155550100@pbx>", called="<sip:(215)5559999@pbx>", uri="sip:2155559999@pbx"
    )

    read = read_invite(request, USUAL, country="US")

    assert (read.origin, read.destination, read.target) == (tn(ORIG), tn(DEST), tn(DEST))


@pytest.mark.parametrize(
    "caller",
    [
        "<tel:2079460018;phone-context=+44>",
        "<tel:020-7946-0018;phone-context=+44>",
        "<tel:79460018;phone-context=+44-20>",
        "<sip:2079460018;phone-context=+44@pbx.example.com;user=phone>",
        "<sip:2079460018;phone-context=+44@pbx.example.com>",
        "<sip:2079460018;phone-context=%2B44@pbx.example.com>",
    ],
)
def test_the_context_of_a_local_number_goes_before_the_country_of_the_trunk(caller: str) -> None:
    read = read_invite(invite(caller=caller), USUAL, country="US")

    assert read.origin == tn("442079460018")


@pytest.mark.parametrize(
    "uri", ["sip:sip.example.com", "sip:reception@sip.example.com", "urn:service:sos"]
)
def test_a_request_uri_need_not_name_the_number(uri: str) -> None:
    read = read_invite(invite(uri=uri), USUAL, country=None)

    assert read.destination == tn(DEST)


@pytest.mark.parametrize(
    "uri", ["http://example.com/", "urn:isbn:0451450523", "im:alice@example.com"]
)
def test_a_scheme_that_leads_to_no_telephone_is_not_supported(uri: str) -> None:
    with pytest.raises(UnsupportedSchemeError):
        read_invite(invite(uri=uri), USUAL, country=None)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (invite(caller="<mailto:alice@example.com>"), "the caller cannot be told"),
        (invite(called="<http://example.com>"), "who is called cannot be told"),
        (invite(called="<sip:1234567890123456@example.com>"), "at most 15 digits"),
        (invite(("P-Asserted-Identity", "nobody")), "no URI"),
        (invite(("Attestation", "D")), "Attestation is A, B or C, not 'D'"),
        (invite(("P-Attestation-Indicator", "AB")), "P-Attestation-Indicator is A, B or C"),
    ],
)
def test_what_cannot_be_understood_is_said(request_: object, words: str) -> None:
    with pytest.raises(InviteError, match=re.escape(words)):
        read_invite(request_, USUAL, country=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "more",
    [
        ("Attestation", "No-TN-Validation"),
        ("P-Attestation-Indicator", "Full"),
        ("Diversion", "<mailto:alice@example.com>"),
    ],
    ids=" ".join,
)
def test_what_matters_to_signing_only_does_not_stop_a_call_that_comes_in(
    more: tuple[str, str],
) -> None:
    read = read_invite(invite(more), DIVERTING, country=None, verifies=True)

    assert (read.origin, read.wanted, read.diverted) == (tn(ORIG), None, ())


LONG = "1234567890123456"


@pytest.mark.parametrize(
    ("caller", "origin"),
    [
        (f"<sip:+{LONG}@Example.COM;user=phone>", Party(uri=f"sip:+{LONG}@example.com")),
        (f"<sip:{LONG}@example.com:5070>", Party(uri=f"sip:{LONG}@example.com:5070")),
        (f"<tel:+{LONG};verstat=x>", Party(uri=f"tel:+{LONG}")),
        ("<sip:(-)@example.com>", Party(uri="sip:(-)@example.com")),
        ("<tel:anonymous>", None),
        ("<mailto:alice@example.com>", None),
    ],
)
def test_a_caller_of_a_call_that_comes_in_need_not_be_readable(
    caller: str, origin: Party | None
) -> None:
    read = read_invite(invite(caller=caller), USUAL, country="US", verifies=True)

    assert read.origin == origin


@pytest.mark.parametrize(
    ("called", "destination"),
    [
        (f"<sip:{LONG}@Example.COM;user=phone>", f"sip:{LONG}@example.com"),
        ("<tel:anonymous>", "tel:anonymous"),
        ("<mailto:alice@example.com>", "mailto:alice@example.com"),
    ],
)
def test_who_is_called_by_a_call_that_comes_in_need_not_be_readable(
    called: str, destination: str
) -> None:
    read = read_invite(invite(called=called), USUAL, country=None, verifies=True)

    assert read.destination == Party(uri=destination)


def test_of_several_asserted_callers_one_whose_number_can_be_read_counts() -> None:
    request = invite(("P-Asserted-Identity", f"<sip:+{LONG}@pbx;user=phone>, <tel:+{ANOTHER}>"))

    assert read_invite(request, USUAL, country=None).origin == tn(ANOTHER)


def test_no_more_asserted_callers_are_looked_at_than_anybody_has() -> None:
    names = ", ".join(f"<sip:name{each}@pbx>" for each in range(MAX_ASSERTED))

    read = read_invite(
        invite(("P-Asserted-Identity", f"{names}, <tel:+{ANOTHER}>")), Redirection(), country=None
    )

    assert read.caller.uri == "sip:name0@pbx"


def asserted(uri: str) -> tuple[str, str]:
    return ("P-Asserted-Identity", f"<{uri}>")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), None),
        ((("Attestation", "B"),), Attest.B),
        ((("P-Attestation-Indicator", " c "),), Attest.C),
        ((("P-Attestation-Indicator", ""),), None),
        ((("P-Attestation-Indicator", " "), ("Attestation", "B")), Attest.B),
        ((("Attestation", "A"), ("P-Attestation-Indicator", "B")), Attest.B),
        ((("Attestation", "C"), ("P-Attestation-Indicator", "A")), Attest.C),
        ((asserted(f"sip:+{ORIG};verstat=TN-Validation-Passed-B@pbx"),), Attest.B),
        ((asserted(f"sip:+{ORIG}@pbx;verstat=tn-validation-passed-c;user=phone"),), Attest.C),
        ((asserted(f"tel:+{ORIG};verstat=TN-Validation-Passed-A"),), Attest.A),
        ((asserted(f"tel:+{ORIG};verstat=TN-Validation-Passed-B"), ("Attestation", "C")), Attest.C),
        ((asserted(f"tel:+{ORIG};verstat=TN-Validation-Passed-C"), ("Attestation", "A")), Attest.C),
        ((asserted(f"tel:+{ORIG};verstat=TN-Validation-Passed"),), None),
        ((asserted(f"tel:+{ORIG};verstat=TN-Validation-Failed-C"),), None),
        ((asserted(f"tel:+{ORIG};verstat=TN-Validation-Passed-Best"),), None),
    ],
)
def test_a_pbx_may_say_which_attestation_it_wants(
    headers: tuple[tuple[str, str], ...], expected: Attest | None
) -> None:
    assert read_invite(invite(*headers), USUAL, country=None).wanted is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sat, 13 Nov 2010 23:29:00 GMT", 1289690940),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sat, 13 Nov 2010 23:29:00 +0100", 1289687340),
        ("yesterday", None),
        ("", None),
        ("Sat, 99 Nov 2010 99:99:99 GMT", None),
        ("Sat, 13 Nov 99999999999 23:29:00 GMT", None),
    ],
)
def test_a_date_that_cannot_be_read_is_as_none(text: str, expected: int | None) -> None:
    assert read_invite(invite(("Date", text)), USUAL, country=None).date == expected


@given(st.text(max_size=60))
def test_no_date_stops_a_call(text: str) -> None:
    try:
        request = invite(("Date", text))
    except HeaderError:
        return
    date = read_invite(request, USUAL, country=None).date
    assert date is None or isinstance(date, int)


def test_identities_are_told_once_each_and_not_without_end() -> None:
    many = [("Identity", f"token-{number}") for number in range(40)]
    request = invite(("Identity", ""), ("Identity", "token-0"), *many)

    identities = read_invite(request, USUAL, country=None).identities

    assert identities == tuple(f"token-{number}" for number in range(MAX_IDENTITIES))


def test_lines_that_passports_vouch_for_are_kept() -> None:
    request = invite(("Resource-Priority", "ets.0"), ("Priority", "psap-callback"))

    protected = read_invite(request, USUAL, country=None).protected

    assert protected == ("Resource-Priority: ets.0", "Priority: psap-callback")


def diversion(number: str) -> tuple[str, str]:
    return ("Diversion", f"<tel:+{number}>;reason=unconditional")


def history(*entries: tuple[str, str]) -> tuple[str, str]:
    return ("History-Info", ", ".join(f"<tel:+{tn}>;index={index}" for tn, index in entries))


FIRST, SECOND, THIRD = "12155550001", "12155550002", "12155550003"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), None),
        ((diversion(FIRST),), FIRST),
        ((diversion(SECOND), diversion(FIRST)), SECOND),
        ((diversion(DEST),), None),
        ((diversion(DEST), diversion(FIRST)), FIRST),
        ((history((FIRST, "1"), (DEST, "1.1")),), FIRST),
        ((history((FIRST, "1"), (SECOND, "1.1"), (DEST, "1.1.1")),), SECOND),
        ((history((DEST, "1.2"), (FIRST, "1"), (SECOND, "1.1")),), SECOND),
        ((history((FIRST, "1"), (DEST, "1.10"), (SECOND, "1.9")),), SECOND),
        ((history((DEST, "1")),), None),
        ((history((FIRST, "1")),), None),
        ((diversion(SECOND), history((FIRST, "1"), (DEST, "1.1"))), SECOND),
        ((history((FIRST, "one"), (DEST, "1")),), None),
        # RFC 7044 §5: `mp` says that another user's entry was diverted here, `rc` and `np` that
        # the user stays the same.
        ((history((FIRST, "1"), (DEST, "1.1;mp=1")),), FIRST),
        ((history((FIRST, "1"), (DEST, "1.1;rc=1")),), None),
        ((history((FIRST, "1"), (DEST, "1.1;np=1")),), None),
        ((history((FIRST, "1"), (SECOND, "1.1;mp=1"), (DEST, "1.1.1;rc=1.1")),), FIRST),
        ((history((FIRST, "1"), (SECOND, "1.1;rc=1"), (DEST, "1.1.1;mp=1.1")),), SECOND),
        ((history((FIRST, "1"), (SECOND, "1.1;mp=1"), (DEST, "1.2;mp=1")),), FIRST),
        ((history((FIRST, "1"), (SECOND, "1.1;mp=1"), (DEST, "1.2;mp=1.1")),), SECOND),
        ((history((FIRST, "1"), (SECOND, "1.1;mp=1"), (DEST, "1.2;rc=1")),), None),
        ((history((FIRST, "1"), (DEST, "1.1;mp=1"), (THIRD, "1.1.1;np=1.1")),), FIRST),
        ((history((FIRST, "1"), (DEST, "1.1;MP=1")),), FIRST),
        ((history((FIRST, "1"), (DEST, "1.1;mp=1.7")),), None),
        ((history((FIRST, "1"), (DEST, "1.1;mp=1.1")),), None),
        ((history((FIRST, "1"), (DEST, "1.1;mp")),), None),
        ((history((FIRST, "1"), (SECOND, "1.1"), (DEST, "1.1.1;rc=1.1")),), FIRST),
    ],
)
def test_the_last_who_diverted_the_call_is_found(
    headers: tuple[tuple[str, str], ...], expected: str | None
) -> None:
    found = read_invite(invite(*headers), DIVERTING, country=None).diverted

    assert found[:1] == (() if expected is None else (tn(expected),))
    assert read_invite(invite(*headers), USUAL, country=None).diverted == ()


PRIVATE = "<sip:anonymous@anonymous.invalid>;reason=unconditional;privacy=full"
HIDDEN = "<sip:anonymous@anonymous.invalid?Privacy=history>"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("Diversion", PRIVATE),), None),
        ((("Diversion", PRIVATE), diversion(FIRST)), FIRST),
        ((("History-Info", f"{HIDDEN};index=1, <tel:+{DEST}>;index=1.1;mp=1"),), None),
        (
            (
                ("History-Info", f"<tel:+{FIRST}>;index=1, {HIDDEN};index=1.1;mp=1"),
                ("History-Info", f"<tel:+{DEST}>;index=1.1.1;mp=1.1"),
            ),
            FIRST,
        ),
    ],
)
def test_who_diverts_without_a_name_is_passed_over(
    headers: tuple[tuple[str, str], ...], expected: str | None
) -> None:
    found = read_invite(invite(*headers), DIVERTING, country=None).diverted

    assert found == (() if expected is None else (tn(expected),))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((diversion(SECOND), diversion(FIRST)), (SECOND, FIRST)),
        ((diversion(SECOND), diversion(FIRST), diversion(SECOND)), (SECOND, FIRST)),
        (
            (history((FIRST, "1"), (SECOND, "1.1;mp=1"), (DEST, "1.1.1;mp=1.1")),),
            (SECOND, FIRST),
        ),
    ],
)
def test_all_who_diverted_the_call_are_listed_the_last_one_first(
    headers: tuple[tuple[str, str], ...], expected: tuple[str, ...]
) -> None:
    found = read_invite(invite(*headers), DIVERTING, country=None).diverted

    assert found == tuple(map(tn, expected))


def test_a_diverted_call_goes_to_somebody() -> None:
    request = invite(diversion(FIRST), uri="sip:+1234567890123456@carrier.example.com")

    with pytest.raises(InviteError, match="where the diverted call goes cannot be told"):
        read_invite(request, DIVERTING, country=None)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("Diversion", f"<tel:+{FIRST}>;reason=unconditional;"),), FIRST),
        ((("Diversion", f"<tel:+{FIRST}>;limit="),), FIRST),
        ((diversion(FIRST), ("Diversion", "<mailto:a@example.com>"), diversion(SECOND)), FIRST),
        (
            (
                ("History-Info", f"<sip:+{FIRST}@a?Reason=SIP;cause=302>;index=1"),
                ("History-Info", f"<tel:+{DEST}>;index=1.1;mp=1;"),
            ),
            FIRST,
        ),
    ],
)
def test_who_diverts_is_read_as_pbxs_write_it(
    headers: tuple[tuple[str, str], ...], expected: str
) -> None:
    found = read_invite(invite(*headers), DIVERTING, country=None).diverted

    assert found == (tn(expected),)


@pytest.mark.parametrize(
    "headers",
    [
        (("Diversion", "<mailto:a@example.com>"), diversion(FIRST)),
        (("Diversion", f"nobody, <tel:+{FIRST}>"),),
        (("Diversion", f"<sip:+1234567890123456@a;user=phone>, <tel:+{FIRST}>"),),
        (("History-Info", f"<a>;index=1, <tel:+{DEST}>;index=1.1"),),
        (("History-Info", f"<sip:a@>;index=1, <tel:+{DEST}>;index=1.1"),),
        (
            ("History-Info", f"<tel:+{FIRST}>;index=1, <a>;index=1.1;mp=1"),
            ("History-Info", f"<tel:+{DEST}>;index=1.1.1;mp=1.1"),
        ),
    ],
)
def test_nothing_is_signed_where_the_last_who_diverted_cannot_be_read(
    headers: tuple[tuple[str, str], ...],
) -> None:
    with pytest.raises(InviteError):
        read_invite(invite(*headers), DIVERTING, country=None)


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        ("nobody", ORIG),
        ("<nobody>", ORIG),
        ('"nobody <tel:+1>', ORIG),
        (f"nobody, <tel:+{ANOTHER}>", ANOTHER),
        (f"<tel:+{ANOTHER}>;", ANOTHER),
    ],
)
def test_of_a_call_that_comes_in_who_is_asserted_and_cannot_be_read_is_as_nobody(
    value: str, origin: str
) -> None:
    request = invite(("P-Asserted-Identity", value))

    assert read_invite(request, USUAL, country=None, verifies=True).origin == tn(origin)


@pytest.mark.parametrize("party", [Party(tn="1"), Party(uri="sip:a@b")])
def test_a_party_is_a_destination(party: Party) -> None:
    assert parties_of(party).all() == (str(party),)
    assert isinstance(parties_of(party), Parties)


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_but_its_own_error_comes_out(caller: str, called: str) -> None:
    try:
        request = invite(caller=caller, called=called)
        read_invite(request, DIVERTING, country="US")
    except (HeaderError, InviteError):
        pass


URIS = st.builds(
    "{}{}".format,
    st.sampled_from(["sip:", "sips:+", "tel:", "tel:+", "urn:service:", "mailto:"]),
    st.text(string.digits + "aA@%;=+.()*#?[]", max_size=40),
).filter(lambda uri: not uri.endswith(":"))


@given(URIS, URIS)
def test_no_uri_stops_a_call_that_comes_in(caller: str, called: str) -> None:
    request = invite(caller=f"<{caller}>", called=f"<{called}>")

    read = read_invite(request, DIVERTING, country="US", verifies=True)

    assert read.caller.uri == caller
    assert str(read.destination)


def test_the_usual_call_is_read_as_it_is() -> None:
    read = read_invite(invite(called=TO), USUAL, country=None)

    assert (read.origin, read.destination, read.identities) == (tn(ORIG), tn(DEST), ())
    assert read.caller.uri == FROM[1:-1]
