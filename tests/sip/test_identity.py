import re
import string
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sip.identity import (
    MAX_FIELD_LENGTH,
    MAX_PER_FIELD,
    Identity,
    IdentityError,
    InfoError,
    parse_each,
    parse_identities,
    pasted_values,
    strip_header_name,
)

# The compact signature of RFC 8224 §4.1.1 and a full form of the same make.
COMPACT = "..rq3pjT1akEzV8hgtYrjAvTCcRp_D1OSiFA0MNHFwLcuYHg7YOpvuHNF0aZTJRzBW5N-9sPyFQu6_DHRCM7Yerg"
FULL = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwicHB0Ijoic2hha2VuIn0."
    "eyJhdHRlc3QiOiJBIiwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19." + COMPACT[2:]
)
INFO = "https://cert.example.org/passport.cer"
SHAKEN = Identity(FULL, INFO, "ES256", "shaken")

TOKEN_CHARACTERS = string.ascii_letters + string.digits + "-.!%*_+`'~"
TOKENS = st.text(alphabet=TOKEN_CHARACTERS, min_size=1, max_size=10)
EXTENSION_NAMES = TOKENS.map(str.lower).filter(lambda name: name not in {"info", "alg", "ppt"})
EXTENSION_VALUES = (
    st.none()
    | TOKENS
    | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
    | st.text(alphabet='ab ,;=<>"\\\t\u00e9\U0001f4de', max_size=10)
)
IDENTITIES = st.builds(
    Identity,
    token=st.text(alphabet=string.ascii_letters + string.digits + "-_.", min_size=1, max_size=30),
    info=st.sampled_from([INFO, "cid:x", "https://[2001:db8::1]/a,b;c=%20?d"]),
    alg=st.none() | TOKENS,
    ppt=st.none() | TOKENS,
    extensions=st.lists(st.tuples(EXTENSION_NAMES, EXTENSION_VALUES), max_size=3).map(tuple),
)
WHITE_SPACE = st.sampled_from(["", " ", "\t", "  ", "\r\n ", " \r\n\t "])
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))
PIECES = st.sampled_from(
    ["a.b.c", "info", "INFO", "alg", "ppt", "x", INFO, "[::1]", ";info=<a:b>", *';=,<>"\\ \t\r\n']
) | st.sampled_from(["\r\n ", "\x00", "\u00e9", "\ud800"])
IDENTITY_LIKE = st.lists(PIECES, max_size=30).map("".join)


def outcome(text: str) -> tuple[Identity, ...] | str:
    """What parsing answers: identities, or the reason why not."""
    try:
        return parse_identities(text)
    except IdentityError as error:
        return str(error)


@pytest.mark.parametrize(
    ("value", "identity"),
    [
        (f"{FULL};info=<{INFO}>;alg=ES256;ppt=shaken", SHAKEN),
        (f"{FULL};info=<{INFO}>;alg=ES256", Identity(FULL, INFO, "ES256")),
        (f"{FULL};info=<{INFO}>", Identity(FULL, INFO)),
        (f"{FULL};info=<{INFO}>;ppt=div", Identity(FULL, INFO, ppt="div")),
        (f"{COMPACT};info=<{INFO}>;alg=ES256", Identity(COMPACT, INFO, "ES256")),
        (
            f"{FULL};info=<{INFO}>;alg=ES256;ppt=shaken;canon=abc;lone",
            Identity(FULL, INFO, "ES256", "shaken", (("canon", "abc"), ("lone", None))),
        ),
        (f"{FULL};info=<{INFO}>;a=[::1]", Identity(FULL, INFO, extensions=(("a", "[::1]"),))),
        (f'{FULL};info=<{INFO}>;a=""', Identity(FULL, INFO, extensions=(("a", ""),))),
        (
            rf'{FULL};info=<{INFO}>;a="b\"c\\d, e;f"',
            Identity(FULL, INFO, extensions=(("a", 'b"c\\d, e;f'),)),
        ),
    ],
)
def test_parses_and_formats(value: str, identity: Identity) -> None:
    assert parse_identities(value) == (identity,)
    assert str(identity) == value


@pytest.mark.parametrize(
    "value",
    [
        f'{FULL};info=<{INFO}>;alg="ES256";ppt="shaken"',
        f"{FULL};ppt=shaken;alg=ES256;info=<{INFO}>",
        f"{FULL};INFO=<{INFO}>;Alg=ES256;PPT=shaken",
        f"  {FULL} ; info = <{INFO}> ; alg = ES256 ;\tppt\t=\tshaken  ",
        f"{FULL}\r\n ;info=<{INFO}>\r\n\t;alg=ES256;\r\n  ppt=\r\n shaken",
        rf'{FULL};info=<{INFO}>;alg=ES256;ppt="\s\haken"',
    ],
)
def test_reads_every_spelling_of_the_same_identity(value: str) -> None:
    assert parse_identities(value) == (SHAKEN,)


def test_tells_compact_form_from_full_form() -> None:
    assert Identity(COMPACT, INFO).is_compact
    assert not SHAKEN.is_compact


@pytest.mark.parametrize("comma", [",", ", ", " ,\t", ",\r\n "])
def test_reads_several_identities_of_one_field(comma: str) -> None:
    div = Identity(FULL, INFO, "ES256", "div")

    assert parse_identities(f"{SHAKEN}{comma}{div}{comma}{SHAKEN}") == (SHAKEN, div, SHAKEN)


def test_a_comma_in_brackets_or_quotes_does_not_split() -> None:
    value = f'{FULL};info=<https://a.example/x,y>;note="one, two",{SHAKEN}'

    first, second = parse_identities(value)

    assert first.info == "https://a.example/x,y"
    assert first.extensions == (("note", "one, two"),)
    assert second == SHAKEN


def test_keeps_repeated_extensions_and_lowers_their_names() -> None:
    (identity,) = parse_identities(f"{FULL};B=1;info=<{INFO}>;a;B=X")

    assert identity.extensions == (("b", "1"), ("a", None), ("b", "X"))


@pytest.mark.parametrize(
    "value",
    [
        FULL,
        f"{FULL};alg=ES256;ppt=shaken",
        f"{FULL};information=x",
        f"{SHAKEN},{FULL}",
        f"{FULL},{SHAKEN}",
    ],
)
def test_says_that_info_is_missing(value: str) -> None:
    with pytest.raises(IdentityError, match="no info parameter"):
        parse_identities(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "no PASSporT at character 1"),
        (" ", "no PASSporT at character 1"),
        (f";info=<{INFO}>", "no PASSporT at character 1"),
        (f"{SHAKEN},", f"no PASSporT at character {len(str(SHAKEN)) + 2}"),
        (f",{SHAKEN}", "no PASSporT at character 1"),
        (f"{SHAKEN},,{SHAKEN}", "no PASSporT"),
        (f"Identity: {SHAKEN}", "unexpected ':' at character 9"),
        (f"a+b/c=;info=<{INFO}>", "unexpected '+' at character 2"),
        (f"a b;info=<{INFO}>", "unexpected 'b' at character 3"),
        (f"{SHAKEN};", "unexpected ';'"),
        (f"a;;info=<{INFO}>", "unexpected ';' at character 2"),
        (f"a;info=<{INFO}>;alg=", "alg parameter of the Identity value needs a value"),
        (f"a;info=<{INFO}>;x=", "unexpected '='"),
        (f"a;info=<{INFO}>;=x", "unexpected ';'"),
        (f"a;info=<{INFO}", "URI in angle brackets"),
        (f"a;info={INFO}", "URI in angle brackets"),
        (f'a;info="{INFO}"', "URI in angle brackets"),
        ("a;info", "URI in angle brackets"),
        ("a;info=<>", "'' is not a URI"),
        ("a;info=<passport.cer>", "'passport.cer' is not a URI"),
        (f"a;info=< {INFO}>", "is not a URI"),
        ("a;info=<https://x/%zz>", "is not a URI"),
        ("a;info=<https://x/#y>", "is not a URI"),
        ("a;info=<https://x/\r\n y>", "is not a URI"),
        ("a;info=<https://x/\u00e9>", "is not a URI"),
        (f"a;info=<{INFO}>;info=<{INFO}>", "info parameter of the Identity value is there twice"),
        (f"a;info=<{INFO}>;alg=ES256;ALG=ES256", "alg parameter of the Identity value is there tw"),
        (f'a;info=<{INFO}>;ppt=div;ppt="div"', "ppt parameter of the Identity value is there twi"),
        (f"a;info=<{INFO}>;alg", "alg parameter of the Identity value needs a value"),
        (f"a;info=<{INFO}>;ppt", "ppt parameter of the Identity value needs a value"),
        (f'a;info=<{INFO}>;ppt=""', "'' is not a value for the ppt parameter"),
        (f'a;info=<{INFO}>;ppt="a b"', "'a b' is not a value for the ppt parameter"),
        (f'a;info=<{INFO}>;alg="a;b"', "'a;b' is not a value for the alg parameter"),
        (f"a;info=<{INFO}>;alg=<b>", "only the info parameter"),
        (f"a;info=<{INFO}>;x=<b>", "only the info parameter"),
        (f'a;info=<{INFO}>;x="b', "unexpected '='"),
        (f'a;info=<{INFO}>;x="b\\"', "unexpected '='"),
        (f'a;info=<{INFO}>;x="b"c', "unexpected 'c'"),
        (f'a;info=<{INFO}>;x="\x00"', "the x parameter holds a control character"),
        (f'a;info=<{INFO}>;x="\\\r"', "the x parameter holds a control character"),
        (f'a;info=<{INFO}>;x="\ud800"', "the x parameter holds a control character"),
        (f"a;info=<{INFO}>\r\n", r"unexpected '\r'"),
        (f"a\r\n;info=<{INFO}>", r"unexpected '\r'"),
        (f"a\n ;info=<{INFO}>", r"unexpected '\n'"),
        (f"a;info=<{INFO}>;x=\u00e9", "unexpected '='"),
        ("\ud800", "no PASSporT at character 1"),
    ],
)
def test_refuses_odd_input_with_its_reason(value: str, reason: str) -> None:
    with pytest.raises(IdentityError, match=re.escape(reason)):
        parse_identities(value)


SPOILT = {
    "no info": (FULL, "no info parameter"),
    "nothing": ("", "no PASSporT"),
    "blanks": (" \r\n ", "no PASSporT"),
    "not base64url": (f"a+b;info=<{INFO}>", "unexpected '+'"),
    "a parameter twice": (f"{FULL};info=<{INFO}>;alg=a;alg=b", "is there twice"),
    "brackets with a comma": (f"{FULL};x=<a,b>;info=<{INFO}>", "only the info parameter"),
    "quotes with commas": (f'{FULL};info=<{INFO}>;ppt="a,\\",b"', "not a value for the ppt"),
    "quotes with brackets": (f'{FULL};alg="<";info=<{INFO}>', "not a value for the alg"),
    "info in brackets that is none": (f"{FULL};info=<,>", "is not a URI"),
}


@pytest.mark.parametrize("case", SPOILT)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_spoilt_identity_leaves_the_others_of_its_field(case: str, place: int) -> None:
    text, reason = SPOILT[case]
    parts = [str(SHAKEN), str(SHAKEN)]
    parts.insert(place, text)

    found = list(parse_each(", ".join(parts)))

    spoilt = found.pop(place)
    assert found == [SHAKEN, SHAKEN]
    assert isinstance(spoilt, IdentityError)
    assert reason in str(spoilt)


@pytest.mark.parametrize(
    ("text", "is_info"),
    [(f"{FULL};info=<x", True), (f'{FULL};x="a', False), (f"{FULL};info=<{INFO}>;a<", False)],
)
def test_what_is_left_open_takes_the_rest_with_it(text: str, *, is_info: bool) -> None:
    first, rest = parse_each(f"{SHAKEN},{text},{SHAKEN}")

    assert first == SHAKEN
    assert isinstance(rest, IdentityError)
    assert isinstance(rest, InfoError) == is_info


@given(st.lists(IDENTITIES.map(str) | IDENTITY_LIKE, min_size=1, max_size=5))
def test_identities_that_stand_alone_stand_together(parts: list[str]) -> None:
    """Alone: one by itself, and so one that what comes behind is not taken for a part of."""
    alone = [
        part
        for part in parts
        if len(parse_each(part)) == 1 and len(parse_each(f"{part},{SHAKEN}")) == 2
    ]

    together = parse_each(",".join([*alone, str(SHAKEN)]))

    assert [shown(each) for each in together] == [
        *(shown(parse_each(each)[0]) for each in alone),
        SHAKEN,
    ]


def shown(found: Identity | IdentityError) -> Identity | type[IdentityError]:
    """What an identity is; of one that is spoilt only in which way."""
    return found if isinstance(found, Identity) else type(found)


def test_allows_16_identities_and_not_17() -> None:
    one = f"a.b.c;info=<{INFO}>"

    assert len(parse_identities(",".join([one] * MAX_PER_FIELD))) == 16
    with pytest.raises(IdentityError, match="at most 16 PASSporTs"):
        parse_identities(",".join([one] * (MAX_PER_FIELD + 1)))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (",".join([f"a.b.c;info=<{INFO}>"] * 17), "at most 16 PASSporTs"),
        ("," * 16, "at most 16 PASSporTs"),
        ("a" * 16385, "at most 16384 characters"),
    ],
    ids=["17", "17 that are none", "too long"],
)
def test_a_field_beyond_the_limits_is_one_mistake(value: str, reason: str) -> None:
    (mistake,) = parse_each(value)

    assert isinstance(mistake, IdentityError)
    assert reason in str(mistake)


def test_allows_16_kib_and_not_a_character_more() -> None:
    rest = f";info=<{INFO}>"
    value = "a" * (MAX_FIELD_LENGTH - len(rest)) + rest

    assert len(value) == 16384
    assert str(parse_identities(value)[0]) == value
    with pytest.raises(IdentityError, match="at most 16384 characters"):
        parse_identities("a" + value)


@pytest.mark.parametrize(
    "hostile",
    [
        {"token": ""},
        {"token": "a;b"},
        {"token": "a.b.c\r\n"},
        {"info": INFO + ">;x"},
        {"info": "\r\nVia: x"},
        {"info": ""},
        {"alg": ""},
        {"alg": "ES256;x"},
        {"ppt": "a b"},
        {"ppt": "shaken\r\n"},
        {"extensions": (("x;y", None),)},
        {"extensions": (("", None),)},
        {"extensions": (("X", None),)},
        {"extensions": (("ppt", "div"),)},
        {"extensions": (("x", "a\r\n"),)},
        {"extensions": (("x", "\ud800"),)},
    ],
    ids=ascii,
)
def test_an_identity_is_never_made_of_foreign_matter(hostile: dict[str, object]) -> None:
    parts: dict[str, object] = {"token": FULL, "info": INFO}
    with pytest.raises(IdentityError):
        Identity(**(parts | hostile))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("Identity: a;b", "a;b"),
        ("identity:a;b", "a;b"),
        ("IDENTITY \t:\ta;b", "a;b"),
        ("y: a;b", "a;b"),
        ("Y:a;b", "a;b"),
        ("  Identity: a;b\r\n", "a;b"),
        ("Identity:\r\n a;b\n", "a;b"),
        ("a;b", "a;b"),
        (" a;b\n", "a;b"),
        ("Identity: y: a", "y: a"),
        ("Identity", "Identity"),
        ("Identity-Info: a", "Identity-Info: a"),
        ("my: a", "my: a"),
        ("\u0131dentity: a", "\u0131dentity: a"),
        ("", ""),
    ],
)
def test_strips_the_header_name_of_a_pasted_line(line: str, value: str) -> None:
    assert strip_header_name(line) == value


def test_a_pasted_line_parses_once_its_name_is_stripped() -> None:
    assert parse_identities(strip_header_name(f"Identity: {SHAKEN}\r\n")) == (SHAKEN,)


ONE, TWO = str(SHAKEN), f"{FULL};info=<{INFO}>;ppt=div"
MESSAGE = f"""INVITE sip:+12155550199@example.com SIP/2.0
Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK1
Identity: {ONE}
To: <sip:+12155550199@example.com>
Identity: {FULL};
 info=<{INFO}>;
 ppt=div
Subject: y

Identity: of the body
"""


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (ONE, [ONE]),
        (f"Identity: {ONE}\r\n", [ONE]),
        (f"{ONE}\n{TWO}\n", [ONE, TWO]),
        (f"y: {ONE}\nIDENTITY : {TWO}", [ONE, TWO]),
        (f"{ONE},{TWO}", [f"{ONE},{TWO}"]),
        (f"  {ONE[:40]}\n  {ONE[40:]}", [ONE]),
        (f"Identity:\n{ONE[:200]}\n{ONE[200:]}\n", [ONE]),
        (f"{FULL};info=\n<https:\n//cert.example.org/passport.cer>;ppt=div\n{ONE}", [TWO, ONE]),
        (f"Identity: {FULL};info=<\nhttps://cert.example.org/passport.cer>;ppt=div", [TWO]),
        (f"y: {FULL};info=<https:\n//cert.example.org/passport.cer>;ppt=div", [TWO]),
        (f"{COMPACT};info=<{INFO}>\n{COMPACT};info=<{INFO}>", [f"{COMPACT};info=<{INFO}>"] * 2),
        (MESSAGE.partition("Identity: of")[0], [ONE, TWO]),
        (MESSAGE.replace("\n", "\r\n"), [ONE, TWO, "of the body"]),
        ("no header at all", ["no header at all"]),
        (" \r\n", []),
        ("", []),
    ],
)
def test_values_are_read_however_they_were_copied(text: str, values: list[str]) -> None:
    assert list(pasted_values(text)) == values


@given(st.lists(st.integers(1, len(ONE) - 1), max_size=12))
def test_where_a_pasted_value_was_wrapped_does_not_matter(places: list[int]) -> None:
    ends = [0, *sorted(places), len(ONE)]
    lines = [ONE[start:end] for start, end in pairwise(ends) if start < end]
    assume(not {"s:", "s:/"} & set(lines))  # of "https://": such a line is a Subject

    assert pasted_values("Identity: " + "\n".join(lines)) == (ONE,)


@given(ANY_TEXT | IDENTITY_LIKE)
def test_whatever_is_pasted_is_read_without_an_error(text: str) -> None:
    assert all(pasted_values(text))


@given(st.lists(IDENTITIES, min_size=1, max_size=MAX_PER_FIELD))
def test_formats_and_parses_back_every_identity(identities: list[Identity]) -> None:
    value = ",".join(str(identity) for identity in identities)

    assert parse_identities(value) == tuple(identities)


@given(st.lists(WHITE_SPACE, min_size=8, max_size=8))
def test_white_space_around_separators_changes_nothing(spaces: list[str]) -> None:
    parts = [FULL, ";", "info", "=", f"<{INFO}>", ";", "ppt", "=", "shaken"]
    value = "".join(part + space for part, space in zip(parts, [*spaces, ""], strict=True))

    assert parse_identities(value) == (Identity(FULL, INFO, ppt="shaken"),)


@given(IDENTITIES, st.sampled_from(["d.e.f", " d.e.f", "d.e.f ", "", "d e", "d.e.f,g.h.i"]))
def test_parameters_that_were_read_before_are_read_alike(identity: Identity, token: str) -> None:
    parameters = str(identity).removeprefix(identity.token)
    parse_each(f"{identity.token}{parameters}")

    # A fold makes of it a text that was not read before, and changes nothing.
    assert outcome(f"{token}{parameters}") == outcome(f"{token}{parameters}\r\n ")


@given(ANY_TEXT | IDENTITY_LIKE | IDENTITY_LIKE.map(lambda text: f"a;info=<a:b>{text}"))
def test_answers_identities_or_a_printable_reason(text: str) -> None:
    match outcome(text):
        case str(reason):
            assert reason.isprintable()
            assert reason.isascii()
            assert len(reason) < 250
        case identities:
            assert outcome(",".join(str(identity) for identity in identities)) == identities


@given(ANY_TEXT)
def test_strips_any_line_without_an_error(line: str) -> None:
    assert strip_header_name(f"Identity: {line}") == line.strip(" \t\r\n")


@pytest.mark.parametrize(
    "pattern",
    [" ", "a", "a;", ";a", "\r\n ", "a,", '"', "\\", "<", "=", ";a=", ";a= ", "%", ";a=b", '\\"'],
    ids=ascii,
)
@pytest.mark.parametrize("start", ["", "a", "a;b=", 'a;b="', "a;info=<", "a;info=<a:", "a;b "])
def test_refuses_long_repetitions_without_backtracking(start: str, pattern: str) -> None:
    text = (start + pattern * MAX_FIELD_LENGTH)[:MAX_FIELD_LENGTH]

    with pytest.raises(IdentityError):
        parse_identities(text)
    assert any(isinstance(each, IdentityError) for each in parse_each(text))


@pytest.mark.parametrize(
    ("parameters", "is_info"),
    [
        ("", True),
        (";info", True),
        (";info=https://a.example/", True),
        (";info=<>", True),
        (";info=<a b>", True),
        (";info=<https://a.example/>;info=<https://a.example/>", True),
        (";alg=ES256;ppt=shaken", True),
        (";info=<https://a.example/>;alg=ES256;alg=ES256", False),
        (";info=<https://a.example/>;information=<x>", False),
        (";info=<https://a.example/> x", False),
        (";ppt=<info>", False),
    ],
)
def test_what_is_wrong_with_info_is_told_apart(*, parameters: str, is_info: bool) -> None:
    with pytest.raises(IdentityError) as error:
        parse_identities(f"a.b.c{parameters}")

    assert isinstance(error.value, InfoError) == is_info
