import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.grammar import HeaderError
from sip.message import Request, Response
from sip.parsing import MalformedMessageError, parse
from tests.sip.messages import refusal
from tests.sip.torture import NAMES, torture

# What RFC 4475 says of each message, as far as it is for the one who parses it. Some are about what
# a registrar or proxy makes of a message that is well-formed.
WELL_FORMED_REQUESTS = {
    "wsinv": "§3.1.1.1: folds, white space, mixed forms",
    "intmeth": "§3.1.1.2: wide range of valid characters",
    "esc01": "§3.1.1.3: %-escapes",
    "escnull": "§3.1.1.4: escaped nulls",
    "esc02": "§3.1.1.5: % where it is no escape",
    "lwsdisp": "§3.1.1.6: no white space before <",
    "longreq": "§3.1.1.7: long values",
    "dblreq": "§3.1.1.8: bytes behind the body",
    "semiuri": "§3.1.1.9: semicolon in the user part",
    "transports": "§3.1.1.10: unknown transports",
    "mpart01": "§3.1.1.11: multipart body with binary",
    "escruri": "§3.1.2.11: headers in the Request-URI, may be ignored or refused",
    "baddate": "§3.1.2.12: Date not in GMT, may be ignored",
    "regbadct": "§3.1.2.13: the Contact cannot be read, which is asked for later",
    "badbranch": "§3.2.1: a branch without anything behind the cookie",
    "unkscm": "§3.3.2: unknown scheme, 416 from the handler",
    "novelsc": "§3.3.3: known scheme that is none of SIP's, 416 from the handler",
    "unksm2": "§3.3.4: unknown schemes in From, To and Contact",
    "bext01": "§3.3.5: unknown extension, 420 from the handler",
    "invut": "§3.3.6: unknown content type",
    "regaut01": "§3.3.7: unknown authorization scheme",
    "zeromf": "§3.3.11: no hops left",
    "cparam01": "§3.3.12: Contact's own parameter",
    "cparam02": "§3.3.13: parameter of the Contact's URI",
    "regescrt": "§3.3.14: escaped Route in a Contact",
    "sdp01": "§3.3.15: unacceptable Accept",
    "inv2543": "§3.4.1: as RFC 2543 has it",
}
WELL_FORMED_RESPONSES = {
    "unreason": (200, "§3.1.1.12: reason phrase with UTF-8"),
    "noreason": (100, "§3.1.1.13: no reason phrase"),
    "bcast": (200, "§3.3.10: a Via of 255.255.255.255, to be dropped like all responses"),
}
ANSWERED = {
    "badinv01": (400, "§3.1.2.1: separators without values in the topmost Via"),
    "clerr": (400, "§3.1.2.2: Content-Length larger than the message"),
    "ncl": (400, "§3.1.2.3: negative Content-Length"),
    "scalar02": (400, "§3.1.2.4: numbers out of range"),
    "scalarlg": (None, "§3.1.2.5: a response with such numbers"),
    "quotbal": (400, "§3.1.2.6: quote without end"),
    "ltgtruri": (400, "§3.1.2.7: Request-URI in angle brackets"),
    "lwsruri": (400, "§3.1.2.8: white space in the Request-URI"),
    "lwsstart": (400, "§3.1.2.9: several spaces in the request line"),
    "trws": (400, "§3.1.2.10: spaces behind the request line"),
    "badaspec": (400, "§3.1.2.14: spaces within the angle brackets"),
    "baddn": (400, "§3.1.2.15: comma in a name without quotes"),
    "badvers": (505, "§3.1.2.16: unknown version"),
    "mismatch01": (400, "§3.1.2.17: CSeq has another method"),
    "mismatch02": (400, "§3.1.2.18: the same, with an unknown method"),
    "bigcode": (None, "§3.1.2.19: a response with a status code too large"),
    "insuf": (None, "§3.3.1: From, To and Call-ID are missing, so is what an answer repeats"),
    "multi01": (400, "§3.3.8: several values where one may be"),
    "mcl01": (400, "§3.3.9: two Content-Lengths"),
}


def test_each_message_of_the_rfc_has_its_expectation() -> None:
    expected = [*WELL_FORMED_REQUESTS, *WELL_FORMED_RESPONSES, *ANSWERED]

    assert sorted(expected) == list(NAMES)
    assert len(NAMES) == 49


@pytest.mark.parametrize("name", WELL_FORMED_REQUESTS)
def test_a_well_formed_request_is_parsed_and_round_trips(name: str) -> None:
    message = parse(torture(name))

    assert isinstance(message, Request)
    assert parse(message.serialise()) == message


@pytest.mark.parametrize(
    ("name", "status"), [(n, s) for n, (s, _) in WELL_FORMED_RESPONSES.items()]
)
def test_a_well_formed_response_is_parsed_and_round_trips(name: str, status: int) -> None:
    message = parse(torture(name))

    assert isinstance(message, Response)
    assert message.status == status
    assert parse(message.serialise()) == message


@pytest.mark.parametrize(
    ("name", "status"), [(name, status) for name, (status, _) in ANSWERED.items()]
)
def test_a_malformed_message_is_answered_where_it_can_be(name: str, status: int | None) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse(torture(name))

    response = refusal(caught.value, to_tag="tag")
    assert (None if response is None else response.status) == status
    if response is not None:
        assert response.serialise().startswith(f"SIP/2.0 {status} ".encode())


def test_the_tortuous_invite_is_read_to_its_last_parameter() -> None:
    message = parse(torture("wsinv"))

    assert isinstance(message, Request)
    assert message.uri == "sip:vivekg@chair-dnrc.example.com;unknownparam"
    assert message.to.tag == "1918181833n"
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert message.from_.tag == "98asjd8"
    assert message.cseq == (9, "INVITE")
    assert message.header("subject") == ""
    assert message.header("NewFangledHeader") == "newfangled value continued newfangled value"
    assert message.header("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    (contact,) = message.addresses("Contact")
    assert contact.display_name == 'Quoted string ""'
    assert contact.parameters == (("newparam", "newvalue"), ("secondparam", None), ("q", "0.33"))
    assert message.values("Via") == (
        "SIP  /   2.0 /UDP 192.0.2.2;branch=390skdjuw",
        "SIP  / 2.0  / TCP     spindle.example.com   ; branch  =   z9hG4bK9ikj8",
        "SIP  /    2.0   / UDP  192.168.255.111   ; branch= z9hG4bK30239",
    )
    assert len(message.body) == 150


def test_characters_that_are_rarely_seen_stay_as_they_are() -> None:
    message = parse(torture("intmeth"))

    assert isinstance(message, Request)
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert message.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert message.from_.parameters == (
        ("fromparam''~+*_!.-%", "работающий"),
        ("tag", "_token~1'+`*%!-."),
    )
    assert message.via.branch == "z9hG4bK-.!%66*_+`'~"
    assert message.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert message.header("extensionHeader-!.%*+_`'~") == "\ufeff大停電"


def test_a_percent_sign_is_no_escape_in_a_name_or_method() -> None:
    message = parse(torture("esc02"))

    assert isinstance(message, Request)
    assert message.method == "RE%47IST%45R"
    assert message.from_.display_name == "%Z%45"
    assert [address.uri for address in message.addresses("Contact")] == [
        "sip:alias1@host1.example.com",
        "sip:alias3@host3.example.com",
    ]


def test_what_is_behind_the_body_is_another_message_and_dropped() -> None:
    assert parse(torture("dblreq")).body == b""


def test_a_binary_part_of_a_body_is_left_alone() -> None:
    message = parse(torture("mpart01"))

    assert len(message.body) == 553
    assert message.body.endswith(b"--7a9cbec02ceef655--\r\n")


def test_a_contact_whose_parts_cannot_be_told_apart_is_an_error_when_asked_for() -> None:
    with pytest.raises(HeaderError):
        parse(torture("regbadct")).addresses("Contact")


@pytest.mark.parametrize(
    ("name", "uri", "parameters"),
    [
        ("cparam01", "sip:+19725552222@gw1.example.net", (("unknownparam", None),)),
        ("cparam02", "sip:+19725552222@gw1.example.net;unknownparam", ()),
        ("unksm2", "name:John_Smith", ()),
        ("regescrt", "sip:user@example.com?Route=%3Csip:sip.example.com%3E", ()),
    ],
)
def test_parameters_belong_to_the_uri_within_angle_brackets_only(
    name: str, uri: str, parameters: tuple[tuple[str, str | None], ...]
) -> None:
    (contact,) = parse(torture(name)).addresses("Contact")

    assert (contact.uri, contact.parameters) == (uri, parameters)


@given(
    name=st.sampled_from(NAMES),
    place=st.integers(0, 4000),
    length=st.integers(0, 20),
    patch=st.binary(max_size=20),
)
def test_no_mutation_breaks_the_parser(name: str, place: int, length: int, patch: bytes) -> None:
    data = torture(name)
    data = data[:place] + patch + data[place + length :]
    try:
        message = parse(data)
    except MalformedMessageError as error:
        response = refusal(error, to_tag="tag")
        assert response is None or response.serialise()
    else:
        assert parse(message.serialise()) == message
