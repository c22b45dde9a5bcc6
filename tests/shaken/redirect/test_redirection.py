"""The SIP settings of a trunk, and whose an address is."""

import logging
from ipaddress import ip_address, ip_network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.redirection import NO_REDIRECTION, Redirection, SourceIndex

NETWORKS = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 32)).map(
        lambda each: str(ip_network((each[0], each[1]), strict=False))
    ),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(16, 128)).map(
        lambda each: str(ip_network((each[0], each[1]), strict=False))
    ),
)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"status": 301}, "status is 302 or 300"),
        ({"sources": ("pbx.example.com",)}, "a network reads 192.0.2.0/24"),
        ({"sources": ("192.0.2.1/24",)}, "host bits"),
        ({"sources": ("0.0.0.0/0",)}, "too wide, its prefix has 8 bits at least"),
        ({"sources": ("192.0.2.1", "::/0")}, "too wide, its prefix has 16 bits at least"),
        ({"sources": ("::ffff:192.0.2.7",)}, "IPv6's spelling; write 192.0.2.7/32"),
        ({"sources": ("::ffff:192.0.2.0/120",)}, "IPv6's spelling; write 192.0.2.0/24"),
        ({"contact": "a host"}, "a host reads carrier.example.com:5060"),
        ({"contact": "host:99999"}, "a host reads carrier.example.com:5060"),
        ({"contact": "user@host"}, "contact is a host, with a port or without"),
        ({"contact": "host;lr"}, "contact is a host, with a port or without"),
        ({"contact": "host?Subject=x"}, "contact is a host, with a port or without"),
    ],
)
def test_a_setting_that_is_wrong_is_named(setting: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        msgspec.convert(setting, Redirection).check()


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"sources": ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "2001:db8::7")},
        {"contact": "carrier.example.com"},
        {"contact": "[2001:db8::1]:5080"},
        {"status": 300},
    ],
)
def test_a_setting_that_is_right_is_taken(setting: dict[str, object]) -> None:
    msgspec.convert(setting, Redirection).check()


def test_nobody_is_known_unless_it_is_said() -> None:
    assert (NO_REDIRECTION.sources, NO_REDIRECTION.by_host) == ((), False)
    assert SourceIndex([(NO_REDIRECTION.sources, "trunk")]).at("192.0.2.1") == ()


def test_the_narrowest_network_says_whose_an_address_is() -> None:
    index = SourceIndex(
        [
            (("192.0.2.0/24", "2001:db8::/32"), "wide"),
            (("192.0.2.128/25",), "half"),
            (("192.0.2.129", "192.0.2.129/32"), "one"),
            (("192.0.2.129",), "another"),
        ]
    )

    assert index.at("192.0.2.5") == ("wide",)
    assert index.at("192.0.2.200") == ("half",)
    assert index.at("192.0.2.129") == ("one", "another")
    assert index.at("2001:db8::5") == ("wide",)
    assert index.at("198.51.100.1") == index.at("2001:db9::1") == index.at("nonsense") == ()


@given(st.lists(NETWORKS, max_size=20), st.data())
def test_a_look_up_finds_what_looking_through_all_networks_finds(
    networks: list[str], data: st.DataObject
) -> None:
    index = SourceIndex([((text,), text) for text in networks])
    inside = [str(ip_network(text)[-1]) for text in networks]
    address = data.draw(st.sampled_from([*inside, "192.0.2.1", "2001:db8::1"]))

    holding = [each for each in networks if ip_address(address) in ip_network(each)]
    narrowest = max((ip_network(each).prefixlen for each in holding), default=0)
    expected = [each for each in holding if ip_network(each).prefixlen == narrowest]

    assert list(index.at(address)) == expected
    assert list(index.at(address)) == expected  # also when it is at hand


def test_ten_thousand_networks_of_one_length_are_one_step() -> None:
    index = SourceIndex([((f"10.{n // 250}.{n % 250}.1",), n) for n in range(10_000)])

    assert index.at("10.39.249.1") == (9_999,)
    assert len(index._levels) == 1


def test_a_source_that_another_version_wrote_keeps_no_other_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        index = SourceIndex([(("@example", "0.0.0.0/0"), "odd"), (("192.0.2.1",), "good")])

    assert (index.at("192.0.2.1"), index.at("192.0.2.2")) == (("good",), ())
    assert len(caplog.records) == 2
