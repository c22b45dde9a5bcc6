import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.address import Address, parse_address
from sip.grammar import MAX_KEPT_LENGTH, HeaderError
from sip.via import Via, mend, parse_via, response_port, stamp, stamp_value

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20
)
PARAMETERS = st.lists(
    st.tuples(
        st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True),
        st.one_of(st.none(), TEXT),
    ),
    max_size=4,
    unique_by=lambda pair: pair[0],
).map(tuple)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("<sip:a@example.com>", Address(None, "sip:a@example.com")),
        ("sip:a@example.com", Address(None, "sip:a@example.com")),
        ("sip:a@example.com;tag=1", Address(None, "sip:a@example.com", (("tag", "1"),))),
        (
            "sip:[2001:db8::1]:5060 ; tag = 1",
            Address(None, "sip:[2001:db8::1]:5060", (("tag", "1"),)),
        ),
        (
            "<sip:a@[2001:db8::1];lr>;Tag=1",
            Address(None, "sip:a@[2001:db8::1];lr", (("tag", "1"),)),
        ),
        ("tel:+12155550100;tag=1", Address(None, "tel:+12155550100", (("tag", "1"),))),
        ("<tel:+1-215;phone-context=x>", Address(None, "tel:+1-215;phone-context=x")),
        ("urn:service:sos", Address(None, "urn:service:sos")),
        ("Alice B <sip:a@example.com>", Address("Alice B", "sip:a@example.com")),
        ("Alice<sip:a@example.com>", Address("Alice", "sip:a@example.com")),
        ('"Bell, \\"Al\\"" <sip:a@example.com>', Address('Bell, "Al"', "sip:a@example.com")),
        ('"" <sip:a@example.com>', Address("", "sip:a@example.com")),
        (
            "Dr. Müller (home) <sip:a@example.com>",
            Address("Dr. Müller (home)", "sip:a@example.com"),
        ),
        ('<sip:a>;x="1;2, 3"', Address(None, "sip:a", (("x", "1;2, 3"),))),
        (
            "<sip:a>;verstat=No-TN-Validation",
            Address(None, "sip:a", (("verstat", "No-TN-Validation"),)),
        ),
        ("<sip:a>;", Address(None, "sip:a")),
        ("<sip:a> ; ;; ", Address(None, "sip:a")),
        (
            "<sip:a>;reason=unconditional;",
            Address(None, "sip:a", (("reason", "unconditional"),)),
        ),
        ("<sip:a>;;x=1;;Y", Address(None, "sip:a", (("x", "1"), ("y", None)))),
        ("<sip:a>;limit=", Address(None, "sip:a", (("limit", None),))),
        (
            '<sip:a>; x = ; y="";z= ',
            Address(None, "sip:a", (("x", None), ("y", ""), ("z", None))),
        ),
    ],
)
def test_an_address_is_a_name_a_uri_and_parameters(value: str, address: Address) -> None:
    assert parse_address(value) == address


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "",
        "alice",
        "<alice>",
        '"Alice <sip:a@example.com>',
        "< sip:a@example.com >",
        "<sip:a@example.com",
        "<sip:a@example.com> x",
        "Bell, A <sip:a@example.com>",
        "sip:a@example.com?x=y",
        "<sip:a>;tag=1;TAG=2",
        "<sip:a>;=1",
        '<sip:a>;x="1',
        '<sip:a>;x="',
        "<sip:a>;x==",
        "<sip:a>;;=1",
        "<sip:a>;tag=;tag=1",
        "<sip:a>;x=;<",
    ],
)
def test_anything_else_is_refused(value: str) -> None:
    with pytest.raises(HeaderError):
        parse_address(value)


@given(name=st.one_of(st.none(), TEXT), parameters=PARAMETERS)
def test_an_address_that_is_written_reads_the_same(
    name: str | None, parameters: tuple[tuple[str, str | None], ...]
) -> None:
    address = Address(name, "sip:a@example.com", parameters)

    assert parse_address(str(address)) == address


@given(
    st.lists(st.sampled_from([" ", ";", "; ", ";x=1", ";y=", ' ;z = "1"']), max_size=8),
    st.lists(st.sampled_from([";", " ;"]), min_size=1, max_size=8),
)
def test_empty_parameters_change_nothing(pieces: list[str], empty: list[str]) -> None:
    value = "".join(("<sip:a>", *pieces))
    try:
        address = parse_address(value)
    except HeaderError:
        return

    assert parse_address(value + "".join(empty)) == address
    assert parse_address(value.replace(";", "".join((*empty, ";")))) == address


@pytest.mark.parametrize("piece", [";", " ;", "; ;", ";x=", ' ;x="', ';x=""', ";\t", "=", '"'])
def test_many_parameters_take_no_longer_each(piece: str) -> None:
    begin = time.process_time()
    for end in ("", "<"):
        with contextlib.suppress(HeaderError):
            parse_address("<sip:a>" + piece * (60_000 // len(piece)) + end)

    assert time.process_time() - begin < 1


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    for value in (text, f"<sip:a>{text}", f"{text}<sip:a>"):
        try:
            parse_address(value)
        except HeaderError:
            continue


@pytest.mark.parametrize(
    "address",
    [
        Address("a\r\nb", "sip:a"),
        Address(None, "sip:a>\r\n"),
        Address(None, "sip:a", (("x", "\n"),)),
    ],
)
def test_nothing_foreign_is_written(address: Address) -> None:
    with pytest.raises(HeaderError):
        str(address)


@pytest.mark.parametrize(
    ("value", "via"),
    [
        ("SIP/2.0/UDP a.example.com", Via("2.0", "UDP", "a.example.com", None)),
        ("SIP / 2.0 / tcp  [2001:db8::1] : 5062", Via("2.0", "TCP", "[2001:db8::1]", 5062)),
        (
            "SIP/2.0/TLS 192.0.2.1;branch=z9hG4bK1;rport;received=2001:db8::9",
            Via(
                "2.0",
                "TLS",
                "192.0.2.1",
                None,
                (("branch", "z9hG4bK1"), ("rport", None), ("received", "2001:db8::9")),
            ),
        ),
    ],
)
def test_a_via_is_a_transport_a_sender_and_parameters(value: str, via: Via) -> None:
    assert parse_via(value) == via
    assert parse_via(str(via)) == via


@pytest.mark.parametrize(
    "value",
    ["", "SIP/2.0/UDP", "SIP/2.0 a", "SIP/2.0/UDP a:0", "SIP/2.0/UDP a:65536", "SIP/2.0/UDP a b"],
)
def test_anything_else_is_no_via(value: str) -> None:
    with pytest.raises(HeaderError):
        parse_via(value)


# RFC 3261 §18.2.1 and §18.2.2, RFC 3581 §4: the request comes from 192.0.2.9, port 40000.
@pytest.mark.parametrize(
    ("sent", "stamped", "port"),
    [
        ("SIP/2.0/UDP 192.0.2.9;branch=1", "SIP/2.0/UDP 192.0.2.9;branch=1", 5060),
        ("SIP/2.0/UDP 192.0.2.9:5070;branch=1", "SIP/2.0/UDP 192.0.2.9:5070;branch=1", 5070),
        (
            "SIP/2.0/UDP pbx.example.com;branch=1",
            "SIP/2.0/UDP pbx.example.com;branch=1;received=192.0.2.9",
            5060,
        ),
        (
            "SIP/2.0/UDP 192.0.2.9:5070;rport;branch=1",
            "SIP/2.0/UDP 192.0.2.9:5070;rport=40000;branch=1;received=192.0.2.9",
            40000,
        ),
        (
            "SIP/2.0/UDP 10.0.0.1;rport=1;received=198.51.100.1;branch=1",
            "SIP/2.0/UDP 10.0.0.1;rport=40000;branch=1;received=192.0.2.9",
            40000,
        ),
        (
            "SIP/2.0/UDP 192.0.2.9;received=198.51.100.1;maddr=198.51.100.2",
            "SIP/2.0/UDP 192.0.2.9;maddr=198.51.100.2",
            5060,
        ),
        (
            "SIP/2.0/UDP 192.0.2.9:5070;rport=;branch=1;",
            "SIP/2.0/UDP 192.0.2.9:5070;rport=40000;branch=1;received=192.0.2.9",
            40000,
        ),
    ],
)
def test_a_via_is_stamped_with_where_the_request_came_from(
    sent: str, stamped: str, port: int
) -> None:
    via = stamp(parse_via(sent), address="192.0.2.9", port=40000)

    assert str(via) == stamped
    assert response_port(via, source_port=40000) == port


def test_an_ipv6_sender_is_known_within_its_brackets() -> None:
    via = parse_via("SIP/2.0/UDP [2001:db8::1];branch=1")

    assert stamp(via, address="2001:db8::1", port=5060) is via


@pytest.mark.parametrize(
    ("value", "mended"),
    [
        ("SIP/2.0/UDP a;x=;branch=1;rport, b", "SIP/2.0/UDP a;x=;branch=1;rport, b"),
        ("SIP/2.0/UDP a:5070;x=<;branch=z9hG4bK1", "SIP/2.0/UDP a:5070;branch=z9hG4bK1"),
        ('SIP/2.0/UDP a;branch=z9hG4bK1;rport;x="', "SIP/2.0/UDP a;branch=z9hG4bK1;rport"),
        ("SIP/2.0/tcp a ; BRANCH = 1 ; x y ; Rport=", "SIP/2.0/TCP a;branch=1;rport"),
        ("SIP/2.0/UDP a;branch=1;branch=2;rport=1;rport", "SIP/2.0/UDP a;branch=1;rport"),
        ("SIP/2.0/UDP a;rports;xbranch=1;=", "SIP/2.0/UDP a"),
        ("SIP/2.0/UDP a;;,;,,", "SIP/2.0/UDP a"),
        (
            "SIP/2.0/UDP a;branch=1;=, SIP/2.0/UDP b;branch=2",
            "SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b;branch=2",
        ),
        (
            'SIP/2.0/UDP a;x=";, SIP/2.0/UDP b;branch=2',
            "SIP/2.0/UDP a",
        ),
    ],
)
def test_a_via_that_cannot_be_read_to_its_end_is_mended_for_its_response(
    value: str, mended: str
) -> None:
    assert mend(value) == mended


@pytest.mark.parametrize("value", ["", "UDP a;branch=1", "SIP/2.0/UDP a:0;branch=1"])
def test_a_via_that_says_not_where_from_is_not_mended(value: str) -> None:
    with pytest.raises(HeaderError):
        mend(value)


@given(st.text(st.sampled_from('abx=;,"<> rport=branch'), max_size=60))
def test_what_was_mended_can_be_read(text: str) -> None:
    assert parse_via(mend(f"SIP/2.0/UDP a.example;{text}").partition(",")[0]).host == "a.example"


TOKENS = st.from_regex(r"[A-Za-z0-9.!%*_+`'~-]{1,20}", fullmatch=True)
HOSTS = st.sampled_from(("192.0.2.1", "[2001:db8::1]", "sbc_1.example.com", "a-b.example"))


@st.composite
def _usual_vias(draw: st.DrawFn) -> str:
    port = draw(st.none() | st.integers(0, 99999))
    parameters = [f"branch={draw(TOKENS)}", "rport"]
    return (
        f"SIP/2.0/{draw(st.sampled_from(('UDP', 'TCP', 'TLS')))} {draw(HOSTS)}"
        f"{'' if port is None else f':{port}'};{';'.join(draw(st.permutations(parameters)))}"
    )


def _read(value: str) -> Via | str:
    try:
        return parse_via(value)
    except HeaderError as error:
        return str(error)


@given(_usual_vias())
def test_a_via_means_the_same_with_spaces_in_it(value: str) -> None:
    spaced = value.replace(";", " ; ").replace("SIP/2.0/", "SIP / 2.0 / ")

    assert _read(value) == _read(spaced)


@given(_usual_vias() | st.text(max_size=40).map("SIP/2.0/UDP a.example;branch=1;".__add__))
def test_the_text_of_a_via_is_stamped_as_the_via_is(value: str) -> None:
    via = _read(value)
    if isinstance(via, str):
        return
    stamped = stamp(via, address="192.0.2.9", port=40000)
    try:
        expected = str(stamped)
    except HeaderError:
        with pytest.raises(HeaderError):
            stamp_value(value, via, address="192.0.2.9", port=40000)
        return

    text, noted = stamp_value(value, via, address="192.0.2.9", port=40000)

    assert parse_via(text) == parse_via(expected) == stamped == noted


@given(
    st.none() | st.text(st.characters(exclude_characters='"\\', codec="latin-1"), max_size=20),
    TOKENS,
    st.none() | TOKENS,
)
def test_an_address_means_the_same_with_spaces_in_it(
    name: str | None, user: str, tag: str | None
) -> None:
    quoted = "" if name is None else f'"{name}" '
    value = f"{quoted}<sip:{user}@example.com>" + ("" if tag is None else f";tag={tag}")

    assert parse_address(value) == parse_address(f" {value.replace('>;', '> ; ')}")
    assert parse_address(value).tag == tag


def test_what_was_read_is_kept_unless_it_is_long() -> None:
    usual = "SIP/2.0/UDP a.example;rport;branch="
    longest = usual + "x" * (MAX_KEPT_LENGTH - len(usual))

    assert parse_via(longest) is parse_via(longest)
    assert parse_via(longest + "x") is not parse_via(longest + "x")
    assert parse_via(longest + "x").branch == f"{parse_via(longest).branch}x"
