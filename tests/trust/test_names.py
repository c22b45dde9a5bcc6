"""One spelling for each DNS name."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.names import MAX_NAME, DnsNameError, dns_name, host_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pbx.example.com", "pbx.example.com"),
        ("PBX.Example.COM", "pbx.example.com"),
        ("pbx.example.com.", "pbx.example.com"),
        ("  pbx.example.com\n", "pbx.example.com"),
        ("localhost", "localhost"),
        ("3com.example", "3com.example"),
        ("a-b--c.example", "a-b--c.example"),
        ("my--pbx.example.com", "my--pbx.example.com"),
        ("R3---SN-x.example", "r3---sn-x.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.EXAMPLE", "xn--bcher-kva.example"),
        ("bu\N{COMBINING DIAERESIS}cher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("XN--Bcher-KVA.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("\N{FULLWIDTH LATIN SMALL LETTER P}bx.example", "pbx.example"),
    ],
)
def test_every_spelling_of_a_name_becomes_the_same(text: str, name: str) -> None:
    assert dns_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "...",
        ".example",
        "a..example",
        "-a.example",
        "a-.example",
        "a b.example",
        "a_b.example",
        "*.example",
        "pbx.example:5060",
        "[2001:db8::1]",
        "sip:pbx.example",
        "user@pbx.example",
        "pbx.example/path",
        "pbx.example\0",
        "a\u200d.example",
        "xn--a.example",
        "XN--a.my--pbx.example",
        "my--pbx.b-.example",
        "my--pbx..example",
        "\ud800.example",
        "\N{PILE OF POO}.example",
    ],
)
def test_what_cannot_be_a_host_name_is_refused(text: str) -> None:
    with pytest.raises(DnsNameError):
        dns_name(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("PBX.Example.COM.", "pbx.example.com"),
        ("*.BÜCHER.example", "*.xn--bcher-kva.example"),
        ("*.my--pbx.example", "*.my--pbx.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        *((text, None) for text in ("", "*", "*.", "*.*.example", "a.*.example", "SHAKEN 1234")),
    ],
)
def test_hosts_may_also_be_named_with_a_star_or_by_address(text: str, name: str | None) -> None:
    if name is None:
        with pytest.raises(DnsNameError):
            host_name(text)
    else:
        assert host_name(text) == name


def name_of(length: int) -> str:
    """Return a name of labels with 49 characters, the last one as long as needed."""
    labels = "x" * 49 + "."
    return (labels * 5)[: 250 - 1] + "." + "y" * (length - 250)


def test_a_name_has_at_most_253_characters() -> None:
    longest = name_of(MAX_NAME)
    assert len(longest) == MAX_NAME == 253

    assert dns_name(longest) == longest
    assert dns_name(longest + ".") == longest
    with pytest.raises(DnsNameError, match="1 to 253 characters"):
        dns_name(longest + "y")


def test_a_name_that_grows_too_long_in_its_ascii_form_is_refused() -> None:
    text = ".".join(["ü" * 30] * 8)
    assert len(text) < MAX_NAME

    with pytest.raises(DnsNameError):
        dns_name(text)


def test_a_label_has_at_most_63_characters() -> None:
    assert dns_name("x" * 63 + ".example")
    with pytest.raises(DnsNameError):
        dns_name("x" * 64 + ".example")


def test_a_refused_text_is_quoted_short_and_safe_to_print() -> None:
    with pytest.raises(DnsNameError) as refused:
        dns_name("\x1b[31m" + "ü!" * 90)

    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


ANY_TEXT = st.text(st.characters(exclude_categories=()))
NAME_LIKE = st.text(
    st.sampled_from("aZ09-.üß。*_ \u0308\u200dx\ud800") | st.characters(), max_size=80
)


@given(
    ANY_TEXT
    | NAME_LIKE
    | st.sampled_from(["xn--", "XN--A-"]).flatmap(lambda s: NAME_LIKE.map(s.__add__))
)
def test_any_text_has_one_spelling_or_is_refused(text: str) -> None:
    with suppress(DnsNameError):
        name = dns_name(text)

        assert name.isascii()
        assert name == name.lower()
        assert 1 <= len(name) <= MAX_NAME
        assert dns_name(name) == name
