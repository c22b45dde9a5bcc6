import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.grammar import HeaderError, split_list
from sip.message import HeaderFields, Request, Response
from sip.parsing import (
    MAX_HEADER_FIELDS,
    MAX_MESSAGE_LENGTH,
    MalformedMessageError,
    is_response,
    parse,
    via_of_ack,
)
from sip.response import respond, stateless_tag
from tests.sip.messages import refusal, request

HEAD = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-1\r\n"
    b"From: <sip:alice@example.com>;tag=1\r\n"
    b"To: <sip:bob@example.com>\r\n"
    b"Call-ID: 1@example.com\r\n"
    b"CSeq: 1 INVITE\r\n"
)

# What may stand in a field value: no line break, no control character, no white space around it.
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40).map(
    lambda text: text.strip(" \t")
)
WORDS = st.lists(
    st.just("") | st.from_regex(r"[a-z]([a-z ]{0,5}[a-z])?", fullmatch=True), min_size=1
)
BLANKS = st.text(" \t", max_size=3)
NAMES = st.from_regex(r"X-[A-Za-z0-9-]{1,10}", fullmatch=True)
TOKENS = st.from_regex(r"[A-Za-z0-9.!%*_+`'~-]{1,12}", fullmatch=True)
QUOTED = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20).map(
    lambda text: '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
)
ADDRESSES = st.builds(
    "{}<sip:{}@example.com>;tag={};x={}".format,
    st.one_of(st.just(""), TOKENS, QUOTED),
    TOKENS.filter(lambda text: text.isalnum()),
    TOKENS,
    st.one_of(TOKENS, QUOTED),
)


@st.composite
def _headers(draw: st.DrawFn, method: str) -> HeaderFields:
    number = draw(st.integers(0, 2**31 - 1))
    mandatory = [
        ("Via", f"SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK{draw(TOKENS)}"),
        ("From", draw(ADDRESSES)),
        ("To", draw(ADDRESSES)),
        ("Call-ID", draw(TOKENS)),
        ("CSeq", f"{number} {method}"),
    ]
    others = draw(st.lists(st.tuples(NAMES, VALUES), max_size=5))
    return tuple(draw(st.permutations(mandatory + others)))


@st.composite
def _requests(draw: st.DrawFn) -> Request:
    method = draw(TOKENS.filter(lambda text: text.upper() != "SIP"))
    return Request(method, "tel:+12155550199", draw(_headers(method)), draw(st.binary(max_size=50)))


@st.composite
def _responses(draw: st.DrawFn) -> Response:
    status = draw(st.integers(100, 699))
    return Response(status, draw(VALUES), draw(_headers("INVITE")), draw(st.binary(max_size=50)))


@given(st.one_of(_requests(), _responses()))
def test_what_is_serialised_is_parsed_to_the_same_message(message: Request | Response) -> None:
    assert parse(message.serialise()) == message


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_message_or_an_error(data: bytes) -> None:
    for candidate in (data, HEAD + data, HEAD + b"\r\n" + data):
        with suppress(MalformedMessageError):
            parse(candidate)


@pytest.mark.parametrize(
    ("compact", "name"),
    [
        ("v", "Via"),
        ("f", "From"),
        ("t", "To"),
        ("i", "Call-ID"),
        ("m", "Contact"),
        ("y", "Identity"),
        ("s", "Subject"),
        ("k", "Supported"),
        ("c", "Content-Type"),
        ("x", "Session-Expires"),
        ("CONTACT", "Contact"),
        ("p-asserted-identity", "P-Asserted-Identity"),
        ("X-Foo", "X-Foo"),
    ],
)
def test_names_are_spelled_out(compact: str, name: str) -> None:
    lines = {
        "Via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-1",
        "From": "<sip:a@example.com>",
        "To": "<sip:b@example.com>",
        "Call-ID": "1",
        "CSeq": "1 INVITE",
    } | {name: "SIP/2.0/UDP 192.0.2.1" if name == "Via" else "<sip:a@example.com>"}
    if name == "Call-ID":
        lines[name] = "2"
    text = "".join(f"{compact if n == name else n}: {value}\r\n" for n, value in lines.items())

    message = parse(f"INVITE sip:b@example.com SIP/2.0\r\n{text}\r\n".encode())

    assert message.header(name) == lines[name]
    assert name in [n for n, _ in message.headers]


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (HEAD + b"No colon\r\n", "A header field has no colon"),
        (HEAD + b"Na me: x\r\n", "The name of a header field is no token"),
        (HEAD + b"X: a\nVia: b\r\n", "A header field holds a line break or control character"),
        (HEAD + b"X: a\rb\r\n", "A header field holds a line break or control character"),
        (HEAD + b"X: a\0b\r\n", "A header field holds a line break or control character"),
        (HEAD + b"l: 1\r\nContent-Length: 1\r\n", "The Content-Length header field is there twice"),
        (HEAD + b"l: 1 1\r\n", "The Content-Length header field is no number"),
        (HEAD + b"l: 99999999999999999999\r\n", "The Content-Length header field is no number"),
        (HEAD.replace(b"CSeq: 1 ", b"CSeq: x "), "The CSeq header field is no number and method"),
        (
            HEAD.replace(b"CSeq: 1 ", b"CSeq: 2147483648 "),
            "The CSeq header field has a number out of range",
        ),
        (HEAD + b"t: <sip:x@example.com>\r\n", "The To header field is there twice"),
        (HEAD.replace(b"1@example.com\r\nCS", b"a b\r\nCS"), "The Call-ID header field is no word"),
        (
            HEAD.replace(b"SIP/2.0\r\nVia", b"HTTP/1.1\r\nVia"),
            "The request line ends with no version",
        ),
        (
            HEAD.replace(b"INVITE sip:b", b"INVITE sip b", 1),
            "The request line is no method, URI and",
        ),
        (HEAD.replace(b" sip:bob", b" bob", 1), "The Request-URI is no URI"),
        (HEAD.replace(b"bK-1", b"bK-1;x=<"), "There is something else where parameters are"),
        (HEAD.replace(b"bK-1", b"bK-1;rport;rport"), "A parameter is there twice"),
        (HEAD + b"X: 1\r\n" * MAX_HEADER_FIELDS, "Too many header fields"),
        (HEAD + b"X: " + b"1" * MAX_MESSAGE_LENGTH + b"\r\n", "Message Too Large"),
    ],
)
def test_a_malformed_request_is_answered_with_what_is_wrong(head: bytes, sentence: str) -> None:
    with pytest.raises(MalformedMessageError, match=f"^{re.escape(sentence)}") as caught:
        parse(head + b"\r\n")

    response = refusal(caught.value, to_tag="mine")
    assert response is not None
    assert response.reason == str(caught.value)
    assert response.status == caught.value.status


@pytest.mark.parametrize(
    "data",
    [
        HEAD.replace(b"Via: SIP", b"Via: XIP") + b"\r\n",
        HEAD.replace(b"Via: ", b"X: ") + b"\r\n",
        HEAD.replace(b"Call-ID: ", b"X: ") + b"\r\n",
        HEAD.replace(b"INVITE", b"ACK").replace(b"CSeq: 1 ", b"CSeq: x ") + b"\r\n",
        b"SIP/2.0 999 No\r\n" + HEAD.partition(b"\r\n")[2] + b"\r\n",
        b"\r\n\r\n",
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_cannot_be_answered_is_met_with_silence(data: bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse(data)

    assert refusal(caught.value, to_tag="mine") is None


def test_the_limits_are_the_last_values_that_pass() -> None:
    room = MAX_MESSAGE_LENGTH - len(HEAD + b"\r\n")

    assert len(parse(HEAD + b"\r\n" + b"x" * room).body) == room
    assert parse(HEAD + b"X: 1\r\n" * (MAX_HEADER_FIELDS - 5) + b"\r\n")


def test_a_body_ends_where_content_length_says_or_with_the_datagram() -> None:
    assert parse(HEAD + b"l: 2\r\n\r\nabcd").body == b"ab"
    assert parse(HEAD + b"\r\nabcd").body == b"abcd"
    assert parse(b"\r\n\r\n" + HEAD + b"\r\n").body == b""


@given(WORDS, st.data())
def test_each_fold_is_one_blank_and_takes_the_white_space_around_it(
    words: list[str], data: st.DataObject
) -> None:
    folded = words[0] + "".join(
        data.draw(BLANKS) + "\r\n" + data.draw(st.sampled_from(" \t")) + data.draw(BLANKS) + word
        for word in words[1:]
    )

    message = parse(HEAD + f"Subject: {folded}\r\nX-Next: 1\r\n\r\n".encode())

    assert message.lines("Subject") == (" ".join(words).strip(),)
    assert message.lines("X-Next") == ("1",)


@pytest.mark.timeout(3)
@pytest.mark.parametrize("run", [b" ", b"\t", b"\r\n ", b" \r\n\t"])
def test_a_datagram_full_of_blanks_holds_up_nobody(run: bytes) -> None:
    start, end = HEAD + b"Subject: a\r\n b", b"c\r\n\r\n"
    room = MAX_MESSAGE_LENGTH - len(start + end)

    assert parse(start + run * (room // len(run)) + end).header("Subject")


def test_bytes_that_are_no_utf8_leave_as_they_came() -> None:
    data = (
        HEAD + b'P-Asserted-Identity: "M\xfcller" <sip:m@example.com>\r\nContent-Length: 0\r\n\r\n'
    )
    message = parse(data)

    assert message.serialise() == data
    assert message.addresses("P-Asserted-Identity")[0].display_name == "M\ufffdller"


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\rb", "a\0b", "\ud800", "a\\\nb"])
def test_no_value_can_end_its_line(value: str) -> None:
    headers = (("X-Name", value),)

    with pytest.raises(HeaderError):
        Response(200, "OK", headers)
    with pytest.raises(HeaderError):
        Request("INVITE", "sip:a@example.com", headers)
    with pytest.raises(HeaderError):
        Response(200, value)
    with pytest.raises(HeaderError):
        respond(request(), 200, to_tag=value)
    with pytest.raises(HeaderError):
        Request(value, "sip:a@example.com")
    with pytest.raises(HeaderError):
        Request("INVITE", f"sip:{value}@example.com")
    with pytest.raises(HeaderError):
        Response(200, "OK", ((value, "x"),))


def test_content_length_is_not_for_others_to_say() -> None:
    for name in ("Content-Length", "content-length", "l", "L"):
        with pytest.raises(HeaderError):
            Response(200, "OK", ((name, "7"),))


def test_a_response_repeats_what_the_request_says() -> None:
    invite = request(headers=(("Via", "SIP/2.0/TCP b.example.com;branch=z9hG4bKb"),))

    response = respond(invite, 302, to_tag="mine", headers=(("Contact", "<sip:c@example.com>"),))

    assert (response.status, response.reason) == (302, "Moved Temporarily")
    assert response.lines("Via") == invite.lines("Via")
    assert response.lines("From") == invite.lines("From")
    assert response.to.tag == "mine"
    assert response.call_id == invite.call_id
    assert response.cseq == invite.cseq
    assert response.serialise().endswith(
        b"\r\nContact: <sip:c@example.com>\r\nContent-Length: 0\r\n\r\n"
    )


def test_a_tag_that_is_there_stays_and_a_100_gets_none() -> None:
    within = request(to="<sip:b@example.com>;tag=theirs")

    assert respond(within, 481, to_tag="mine").to.tag == "theirs"
    assert respond(request(), 100, to_tag="mine").to.tag is None
    assert respond(request(to="sip:b@example.com"), 486, to_tag="mine").to.tag == "mine"


@pytest.mark.parametrize("tag", [";tag", ";tag=", ";tag=;", ";TAG=;x=1"])
def test_a_tag_without_a_value_is_none(tag: str) -> None:
    to = respond(request(to=f"B <sip:b@example.com>{tag}"), 302, to_tag="mine").header("To")

    others = ";x=1" if "x=1" in tag else ""
    assert to == f'"B" <sip:b@example.com>{others};tag=mine'


@pytest.mark.parametrize("end", [";", "; ;", ";x=1;;"])
def test_a_tag_is_added_without_an_empty_parameter_before_it(end: str) -> None:
    to = respond(request(to=f"<sip:b@example.com>{end}"), 302, to_tag="mine").header("To")

    assert to == f"<sip:b@example.com>{end.rstrip('; ')};tag=mine"


def test_header_fields_that_end_with_nothing_are_read_and_repeated_as_they_came() -> None:
    head = HEAD.replace(b"bK-1", b"bK-1;rport=;").replace(b"tag=1", b"tag=").replace(b"Via", b"v")

    message = parse(head + b"\r\n")

    assert isinstance(message, Request)
    assert (message.via.branch, message.via.asks_for_port) == ("z9hG4bK-1", True)
    assert message.from_.tag is None
    response = respond(message, 302, to_tag="mine")
    assert response.header("From") == "<sip:alice@example.com>;tag="
    assert response.header("Via") == "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-1;rport=;"


def test_an_address_that_cannot_be_read_is_passed_over_where_that_is_asked_for() -> None:
    message = parse(HEAD + b"Diversion: nobody, <sip:a>;x=1, <b>\r\nDiversion: <tel:1>\r\n\r\n")

    found = message.readable_addresses("Diversion")

    assert [each.uri for each in found] == ["sip:a", "tel:1"]
    with pytest.raises(HeaderError):
        message.addresses("Diversion")


def test_a_stateless_tag_is_the_same_for_the_same_request_only() -> None:
    tag = stateless_tag(request(), secret=b"s")

    assert tag == stateless_tag(request(), secret=b"s")
    assert tag != stateless_tag(request(), secret=b"t")
    assert tag != stateless_tag(request(call_id="other"), secret=b"s")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a, b", ("a", "b")),
        ('"a, b" <sip:a,b@example.com>, <sip:c@example.com>', None),
        ('"a\\", b" <sip:c@example.com>', ('"a\\", b" <sip:c@example.com>',)),
        ("a", ("a",)),
    ],
)
def test_commas_in_quotes_and_brackets_part_nothing(
    text: str, values: tuple[str, ...] | None
) -> None:
    assert split_list(text) == (values or ('"a, b" <sip:a,b@example.com>', "<sip:c@example.com>"))


@pytest.mark.parametrize("text", ["a,,b", ",", 'a, "b', "a, <b", "a,", ""])
def test_a_list_with_an_empty_or_open_value_is_refused(text: str) -> None:
    with pytest.raises(HeaderError):
        split_list(text)


def test_a_list_without_anything_in_it_is_as_none() -> None:
    message = parse(HEAD + b"Contact:\r\nContact: <sip:a@example.com>\r\nRoute: \r\n\r\n")

    assert [each.uri for each in message.addresses("Contact")] == ["sip:a@example.com"]
    assert message.addresses("Route") == ()


def test_header_fields_are_found_in_any_case_and_kept_in_order() -> None:
    message = parse(HEAD + b"x-b: 1\r\nX-A: 2\r\nX-B: 3\r\n\r\n")

    assert message.lines("X-b") == ("1", "3")
    assert message.header("x-A") == "2"
    assert message.header("X-None") is None
    assert [name for name, _ in message.headers[-3:]] == ["x-b", "X-A", "X-B"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"SIP/2.0 200 OK\r\n", True),
        (b"\r\nsip/2.0 200 OK\r\n", True),
        (b"SIP-METHOD sip:a SIP/2.0\r\n", False),
        (HEAD, False),
    ],
)
def test_a_response_is_known_at_a_glance(data: bytes, *, expected: bool) -> None:
    assert is_response(data) is expected


@pytest.mark.parametrize(
    ("data", "branch"),
    [
        (b"ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n", "z9hG4bK1"),
        (b"ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nTo: x\r\n\r\n", "z9hG4bK1"),
        (b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n", None),
        (b"ACK sip:a@b SIP/2.0\r\nTo: x\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n", None),
        (b"ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n ;branch=z9hG4bK1\r\n\r\n", None),
        (b"ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h,SIP/2.0/UDP i\r\n\r\n", None),
        (b"ACK sip:a@b SIP/2.0\r\nVia: SIP/9.0/UDP h;branch=z9hG4bK1\r\n\r\n", None),
        (b"ACK sip:a@b SIP/2.0\r\nVia: \xff\r\n\r\n", None),
        (b"ACK", None),
    ],
)
def test_the_via_of_an_ack_is_read_at_a_glance_where_it_stands_first(
    data: bytes, branch: str | None
) -> None:
    via = via_of_ack(data)

    assert (via and via.branch) == branch
