import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.uri import (
    MAX_URI_LENGTH,
    SipUri,
    TelUri,
    UriError,
    canonical_uri,
    is_anonymous,
    parse_uri,
    phone_context,
    telephone_number,
)

UNRESERVED = string.ascii_letters + string.digits + "-_.!~*'()"
ESCAPED = st.sampled_from(["%20", "%23", "%c3%A9", "%00"])


def matter(characters: str, *, min_size: int = 1) -> st.SearchStrategy[str]:
    """Text out of a part's characters, some percent-encoded."""
    pieces = st.sampled_from(UNRESERVED + characters) | ESCAPED
    return st.lists(pieces, min_size=min_size, max_size=8).map("".join)


PARAMETER = matter("[]/:&+$")
VALUE = matter("[]/:&+$=")
PARAMETERS = st.lists(
    st.tuples(PARAMETER.map(str.lower), st.none() | VALUE),
    max_size=4,
    unique_by=lambda pair: pair[0],
).map(tuple)
TEL_PARAMETERS = st.lists(
    st.tuples(st.text(string.ascii_lowercase + "-", min_size=1), st.none() | VALUE),
    max_size=4,
    unique_by=lambda pair: pair[0],
).map(tuple)
USERS = matter("&=+$,;?/#")
PASSWORDS = matter("&=+$,", min_size=0)
HOSTS = (
    st.from_regex(
        r"([a-zA-Z0-9]([a-z0-9-]{0,9}[a-z0-9])?\.){0,3}[0-9]{0,2}[a-zA-Z][a-z0-9]?", fullmatch=True
    )
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
)
HEADERS = st.lists(st.tuples(matter("[]/?:+$"), matter("[]/?:+$", min_size=0)), max_size=3)
SIP_URIS = st.builds(
    lambda userinfo, **parts: SipUri(user=userinfo[0], password=userinfo[1], **parts),
    scheme=st.sampled_from(["sip", "sips"]),
    userinfo=st.just((None, None)) | st.tuples(USERS, st.none() | PASSWORDS),
    host=HOSTS,
    port=st.none() | st.integers(min_value=1, max_value=65535),
    parameters=PARAMETERS,
    headers=HEADERS.map(tuple),
)
TEL_URIS = st.builds(
    TelUri,
    number=st.from_regex(r"(\+[-.()]{0,2}[0-9]|[0-9A-F*#])[0-9.()-]{0,15}", fullmatch=True),
    parameters=TEL_PARAMETERS,
)
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))
URI_LIKE = st.builds(
    str.__add__,
    st.sampled_from(["sip:", "sips:", "tel:", "SIP:", ""]),
    st.text(alphabet="ab1.@:;=?&[]%+#-_, \r\n\u00e9\udfff", max_size=40),
)


def outcome(text: str) -> SipUri | TelUri | str:
    """What parsing answers: a URI, or the reason why not."""
    try:
        return parse_uri(text)
    except UriError as error:
        return str(error)


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        # RFC 3261 §19.1.3
        ("sip:alice@atlanta.com", SipUri("sip", "alice", None, "atlanta.com", None)),
        (
            "sip:alice:secretword@atlanta.com;transport=tcp",
            SipUri("sip", "alice", "secretword", "atlanta.com", None, (("transport", "tcp"),)),
        ),
        (
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            SipUri(
                "sips",
                "alice",
                None,
                "atlanta.com",
                None,
                headers=(("subject", "project%20x"), ("priority", "urgent")),
            ),
        ),
        (
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            SipUri("sip", "+1-212-555-1212", "1234", "gateway.com", None, (("user", "phone"),)),
        ),
        ("sips:1212@gateway.com", SipUri("sips", "1212", None, "gateway.com", None)),
        ("sip:alice@192.0.2.4", SipUri("sip", "alice", None, "192.0.2.4", None)),
        (
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            SipUri(
                "sip",
                None,
                None,
                "atlanta.com",
                None,
                (("method", "REGISTER"),),
                (("to", "alice%40atlanta.com"),),
            ),
        ),
        (
            "sip:alice;day=tuesday@atlanta.com",
            SipUri("sip", "alice;day=tuesday", None, "atlanta.com", None),
        ),
        # What PBXs send
        ("sip:+12155551212@10.0.0.1:5060", SipUri("sip", "+12155551212", None, "10.0.0.1", 5060)),
        ("sip:100@[2001:db8::1]:5061", SipUri("sip", "100", None, "[2001:db8::1]", 5061)),
        ("sip:[::ffff:192.0.2.1]", SipUri("sip", None, None, "[::ffff:192.0.2.1]", None)),
        ("sip:*31#@pbx_1.lab", SipUri("sip", "*31#", None, "pbx_1.lab", None)),
        ("sip:*67@pbx.", SipUri("sip", "*67", None, "pbx.", None)),
        ("sip:a?b/c@h", SipUri("sip", "a?b/c", None, "h", None)),
        ("sip:a:@h", SipUri("sip", "a", "", "h", None)),
        ("sip:a@h;lr;x=[1]", SipUri("sip", "a", None, "h", None, (("lr", None), ("x", "[1]")))),
        ("sip:a@h?X=", SipUri("sip", "a", None, "h", None, headers=(("X", ""),))),
        # RFC 3966 §6
        ("tel:+1-201-555-0123", TelUri("+1-201-555-0123")),
        (
            "tel:7042;phone-context=example.com",
            TelUri("7042", (("phone-context", "example.com"),)),
        ),
        (
            "tel:863-1234;phone-context=+1-914-555",
            TelUri("863-1234", (("phone-context", "+1-914-555"),)),
        ),
        ("tel:+12155551212;npdi", TelUri("+12155551212", (("npdi", None),))),
        ("tel:911", TelUri("911")),
        ("tel:*67#", TelUri("*67#")),
    ],
)
def test_parses_and_formats(text: str, uri: SipUri | TelUri) -> None:
    assert parse_uri(text) == uri
    assert str(uri) == text


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("SIP:Alice@Atlanta.com", "sip:Alice@Atlanta.com"),
        ("sip:a@h;Transport=TCP;LR", "sip:a@h;transport=TCP;lr"),
        ("sip:a@h:05060", "sip:a@h:5060"),
        ("TEL:+1;Phone-Context=a", "tel:+1;phone-context=a"),
    ],
)
def test_writes_schemes_and_parameter_names_in_lower_case(text: str, formatted: str) -> None:
    assert str(parse_uri(text)) == formatted


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("sip:a@h;", "sip:a@h"),
        ("sip:a@h;;;lr;", "sip:a@h;lr"),
        ("sip:a@h;?x=1", "sip:a@h?x=1"),
        ("sip:a@h;transport=", "sip:a@h;transport"),
        ("sip:a@h;user=phone;user=phone", "sip:a@h;user=phone"),
        ("sip:a@h;x=1;X=2;y", "sip:a@h;x=1;y"),
        ("sip:a@h;x;x=1", "sip:a@h;x"),
        ("sip:a@h;x=a==", "sip:a@h;x=a=="),
        ("sip:a@h:0", "sip:a@h"),
        ("sip:a@[2001:db8::1]:00000;lr", "sip:a@[2001:db8::1];lr"),
        ("sip:a@h?", "sip:a@h"),
        ("sip:a@h?x", "sip:a@h"),
        ("sip:a@h?=1", "sip:a@h"),
        ("sip:a@h?x=1&&y=%zz&z=2", "sip:a@h?x=1&z=2"),
        ("sip:a@h;lr?Reason=SIP;cause=302", "sip:a@h;lr"),
        ("tel:+12;", "tel:+12"),
        ("tel:+12;;npdi=", "tel:+12;npdi"),
        ("tel:+12;a=1;A=2", "tel:+12;a=1"),
    ],
)
def test_takes_what_is_untidy_behind_the_number_and_writes_it_tidy(
    text: str, formatted: str
) -> None:
    assert str(parse_uri(text)) == formatted


@pytest.mark.parametrize("host", ["3f2504e0abc1", "3com", "1h.", "pbx.3com", "0.0.0.0-h", "1_a"])
def test_a_host_name_may_begin_with_a_digit_and_is_no_address(host: str) -> None:
    assert parse_uri(f"sip:a@{host}:5060") == SipUri("sip", "a", None, host, 5060)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "starts with sip:, sips: or tel:"),
        ("alice@atlanta.com", "starts with sip:, sips: or tel:"),
        ("https://example.com", "starts with sip:, sips: or tel:"),
        ("urn:service:sos", "starts with sip:, sips: or tel:"),
        ("<sip:a@h>", "starts with sip:, sips: or tel:"),
        ("sip:", "neither a host name nor an IP address"),
        ("sip:a@", "neither a host name nor an IP address"),
        ("sip:@h", "'' is not a user"),
        ("sip::p@h", "'' is not a user"),
        ("sip:a@b@h", "'a@b' is not a user"),
        ("sip:%4@h", "'%4' is not a user"),
        ("sip:%zz@h", "'%zz' is not a user"),
        ('sip:"a"@h', "is not a user"),
        ("sip:a:b:c@h", "password"),
        ("sip:a@h:", "'' is not a port"),
        ("sip:a@h:x", "'x' is not a port"),
        ("sip:a@h:65536", "between 1 and 65535"),
        ("sip:a@h:005060", "is not a port"),
        ("sip:a@h:-1", "is not a port"),
        ("sip:a@::1", "is not a port"),
        ("sip:a@[::1", "is not a port"),
        ("sip:a@::1]", "neither a host name nor an IP address"),
        ("sip:a@[]", "neither a host name nor an IP address"),
        ("sip:a@[:::]", "neither a host name nor an IP address"),
        ("sip:a@[fe80::1%25eth0]", "neither a host name nor an IP address"),
        ("sip:a@[192.0.2.1]", "neither a host name nor an IP address"),
        ("sip:a@192.0.2.256", "neither a host name nor an IP address"),
        ("sip:a@1.2.3", "neither a host name nor an IP address"),
        ("sip:a@1.2.3.", "neither a host name nor an IP address"),
        ("sip:a@1", "neither a host name nor an IP address"),
        ("sip:12155550100", "neither a host name nor an IP address"),
        ("sip:a@h.1-2", "neither a host name nor an IP address"),
        ("sip:a@1h-", "neither a host name nor an IP address"),
        ("sip:a@192.0.2.1.", "neither a host name nor an IP address"),
        ("sip:a@h..com", "neither a host name nor an IP address"),
        ("sip:a@.com", "neither a host name nor an IP address"),
        ("sip:a@-h.com", "neither a host name nor an IP address"),
        ("sip:a@h-.com", "neither a host name nor an IP address"),
        ("sip:a@h%41", "neither a host name nor an IP address"),
        ("sip:a@h;=x", "'' is not a parameter name"),
        ("sip:a@h;=", "'' is not a parameter name"),
        ("sip:a@h;x=%zz", "'%zz' is not a parameter value"),
        ("sip:a@h;x=<", "'<' is not a parameter value"),
        ("tel:", "'' is not a number"),
        ("tel:+", "'+' is not a number"),
        ("tel:-", "'-' is not a number"),
        ("tel:+12;a_b=1", "'a_b' is not a parameter name"),
        ("tel:+1A2", "is not a number"),
        ("tel:1+2", "is not a number"),
        ("tel:xyz", "is not a number"),
        ("tel:12@h", "is not a number"),
        ("sip:a b@h", "may not hold ' '"),
        ("sip:a@h\r\nX: y", r"may not hold '\r'"),
        ("sip:a@h\n", r"may not hold '\n'"),
        ("sip:a\x00@h", r"may not hold '\x00'"),
        ("sip:a\x7f@h", r"may not hold '\x7f'"),
        ("sip:caf\u00e9@h", r"may not hold '\xe9'"),
        ("sip:\ud800@h", r"may not hold '\ud800'"),
        ("tel:+\u0661", r"may not hold '\u0661'"),
    ],
)
def test_refuses_odd_input_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(UriError, match=re.escape(reason)):
        parse_uri(text)


def test_allows_2048_characters_and_not_2049() -> None:
    start = "sip:a@h;x="
    text = start + "y" * (MAX_URI_LENGTH - len(start))

    assert str(parse_uri(text)) == text
    with pytest.raises(UriError, match="at most 2048 characters"):
        parse_uri(text + "y")


def test_allows_63_characters_in_a_host_label_and_not_64() -> None:
    host = "h" * 63 + ".example." + "c" * 63

    assert parse_uri(f"sip:{host}") == SipUri("sip", None, None, host, None)
    for longer in ["h" + host, host + "c"]:
        with pytest.raises(UriError, match="neither a host name"):
            parse_uri(f"sip:{longer}")


@pytest.mark.parametrize("port", [1, 65535])
def test_allows_every_port(port: int) -> None:
    assert parse_uri(f"sip:h:{port}") == SipUri("sip", None, None, "h", port)


@pytest.mark.parametrize(
    "hostile",
    [
        {"scheme": "tel"},
        {"scheme": "SIP"},
        {"user": "a@b"},
        {"user": ""},
        {"user": "a:b"},
        {"user": "a\r\nVia: x"},
        {"user": None, "password": "p"},
        {"password": "p@q"},
        {"host": "h\r\n"},
        {"host": "h;x"},
        {"port": 0},
        {"port": 65536},
        {"parameters": (("x;y", None),)},
        {"parameters": (("x", "1;y"),)},
        {"parameters": (("X", "1"),)},
        {"parameters": (("x", "1"), ("x", None))},
        {"headers": (("x&y", "1"),)},
        {"headers": (("x", "1&y=2"),)},
    ],
    ids=str,
)
def test_a_sip_uri_is_never_made_of_foreign_matter(hostile: dict[str, object]) -> None:
    parts: dict[str, object] = {
        "scheme": "sip",
        "user": "a",
        "password": None,
        "host": "h",
        "port": None,
    }
    with pytest.raises(UriError):
        SipUri(**(parts | hostile))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "parameters"),
    [("1\n", ()), ("", ()), ("1;x", ()), ("1", (("x", "1\r\n"),)), ("1", (("X", None),))],
)
def test_a_tel_uri_is_never_made_of_foreign_matter(
    number: str, parameters: tuple[tuple[str, str | None], ...]
) -> None:
    with pytest.raises(UriError):
        TelUri(number, parameters)


def test_never_shows_a_password() -> None:
    uri = parse_uri("sip:alice:secretword@atlanta.com")

    assert "secretword" not in repr(uri)
    with pytest.raises(UriError) as caught:
        parse_uri("sip:alice:secretword|@atlanta.com")
    assert "secretword" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("SIP:Alice@Example.COM", "sip:Alice@example.com"),
        ("SIPS:alice@example.com", "sips:alice@example.com"),
        ("sip:alice@example.com;transport=tcp;user=phone", "sip:alice@example.com"),
        ("sip:alice@example.com?Subject=x", "sip:alice@example.com"),
        ("sip:alice@example.com:5060;lr", "sip:alice@example.com:5060"),
        ("sip:alice:secret@example.com", "sip:alice@example.com"),
        ("sip:Alice%41;Day=1@h", "sip:Alice%41;Day=1@h"),
        ("sip:EXAMPLE.com", "sip:example.com"),
        ("sip:a@[2001:DB8::A]:5061", "sip:a@[2001:db8::a]:5061"),
        ("TEL:+1-215-555-1212;npdi", "tel:+1-215-555-1212"),
    ],
)
def test_spells_a_uri_canonically(text: str, canonical: str) -> None:
    assert canonical_uri(text) == canonical


def test_refuses_to_spell_what_is_no_uri() -> None:
    with pytest.raises(UriError):
        canonical_uri("mailto:alice@example.com")


@given(SIP_URIS | TEL_URIS)
def test_formats_and_parses_back_every_uri(uri: SipUri | TelUri) -> None:
    assert parse_uri(str(uri)) == uri


@given(SIP_URIS | TEL_URIS)
def test_a_canonical_spelling_is_its_own_canonical_spelling(uri: SipUri | TelUri) -> None:
    canonical = canonical_uri(str(uri))

    assert canonical_uri(canonical) == canonical


@given(SIP_URIS | TEL_URIS, st.data())
def test_empty_and_repeated_parameters_change_nothing(
    uri: SipUri | TelUri, data: st.DataObject
) -> None:
    headers = "?" + "&".join(f"{n}={v}" for n, v in getattr(uri, "headers", ()))
    start = str(uri).removesuffix(headers)
    untidy = ["", *(f"{name.upper()}=1" for name, _ in uri.parameters if "%" not in name)]
    more = data.draw(st.lists(st.sampled_from(untidy), max_size=4))
    text = ";".join((start, *more, "")) + (headers if headers != "?" else "")

    assert parse_uri(text) == uri


@given(ANY_TEXT | URI_LIKE)
def test_answers_a_uri_or_a_printable_reason(text: str) -> None:
    match outcome(text):
        case str(reason):
            assert reason.isprintable()
            assert reason.isascii()
            assert len(reason) < 250
        case uri:
            assert str(uri).isascii()
            assert str(uri).isprintable()
            assert outcome(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("tel:+1-215-555-0100", "+1-215-555-0100"),
        ("tel:0100;phone-context=+1215555", "0100"),
        ("sip:+12155550100@example.com;user=phone", "+12155550100"),
        ("sips:+12155550100;npdi@example.com;user=PHONE", "+12155550100"),
        ("sip:alice@example.com", None),
        ("sip:alice@example.com;user=phone", None),
        ("sip:12155550100@example.com", None),
        ("sip:example.com;user=phone", None),
    ],
)
def test_finds_the_telephone_number_a_uri_stands_for(text: str, number: str | None) -> None:
    assert telephone_number(text) == number


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("tel:2079460018;phone-context=+44", "+44"),
        ("tel:863-1234;Phone-Context=+1-914-555", "+1-914-555"),
        ("sip:2079460018;phone-context=+44@example.com;user=phone", "+44"),
        ("sip:2079460018;isub=1;phone-context=%2B44@example.com", "+44"),
        ("tel:2079460018;phone-context=example.com", None),
        ("tel:2079460018;phone-context=44", None),
        ("tel:2079460018;phone-context", None),
        ("sip:2079460018@example.com;phone-context=+44", None),
        ("sip:example.com;user=phone", None),
        ("tel:+442079460018", None),
    ],
)
def test_finds_the_global_context_of_a_local_number(text: str, context: str | None) -> None:
    assert phone_context(text) == context


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anonymous",
        "Restricted",
        "sip:anonymous@anonymous.invalid",
        "SIPS:Anonymous@Anonymous.Invalid;user=phone",
        "sip:anonymous@pbx.example.com",
        "sip:unavailable@192.0.2.1:5060",
        "sip:@pbx.example.com",
        "sip:192.0.2.9",
        "SIPS:pbx.example.com:5061;transport=tls",
        "sip:[2001:db8::1]",
        "sip:anonymous.invalid",
        "sip:alice@anonymous.invalid",
        "sip:unknown@unknown.invalid",
        "SIPS:a;b@PBX.Unknown.INVALID.:5061;transport=tls",
        "sip:a@invalid?Privacy=id",
    ],
)
def test_a_caller_who_is_not_named_is_known_as_such(text: str) -> None:
    assert is_anonymous(text)


@pytest.mark.parametrize(
    "text",
    [
        "+12155550100",
        "sip:alice@invalid.example.com",
        "sip:+12155550100@anonymous.invalid;user=phone",
        "sip:%2B12155550100@anonymous.invalid",
        "sip:alice@notinvalid",
        "sip:alice@pbx.example.com;maddr=anonymous.invalid",
        "sip:bob.invalid@pbx.example.com",
        "alice@@anonymous.invalid",
        "sip:+12155550100",
        "pbx.example.com",
        "tel:+12155550100",
        "x",
    ],
)
def test_a_caller_who_is_named_is_not_anonymous(text: str) -> None:
    assert not is_anonymous(text)
