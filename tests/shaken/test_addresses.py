"""Which URLs and addresses are fetched from."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.addresses import (
    MAX_URL,
    AddressRefused,
    FetchSettings,
    UrlPolicy,
    chain_id,
    chain_url,
    check_url,
    is_public,
    site_of,
)

STRICT = UrlPolicy()

REFUSED = [
    # IPv4, the first and last of each block of RFC 6890 and IANA's registry
    "0.0.0.0",  # noqa: S104 - it is refused
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.192",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    # IPv6
    "::",
    "::1",
    "::8.8.8.8",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:0:8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:808:808::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:101::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fdff:ffff::1",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "fec0::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "64:ff9b::8.8.8.8",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2002:808:808::1",
    "2606:4700:4700::1111",
    "3ffe:ffff::1",
]


@pytest.mark.parametrize("text", REFUSED)
def test_special_addresses_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_addresses_beside_special_ones_are_public(text: str) -> None:
    assert is_public(ip_address(text))


V4 = st.integers(0, 2**32 - 1).map(IPv4Address)


@given(V4 | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_no_address_is_public_that_python_knows_to_be_special(
    address: IPv4Address | IPv6Address,
) -> None:
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    translated = isinstance(address, IPv6Address) and int(address) >> 32 == 0x64FF9B << 64

    assert not (is_public(address) and special and not translated)


@given(V4)
def test_an_embedded_address_is_as_public_as_it_is_alone(address: IPv4Address) -> None:
    nat64 = IPv6Address(0x64FF9B << 96 | int(address))
    six_to_four = IPv6Address(0x2002 << 112 | int(address) << 80 | 1)

    assert is_public(nat64) == is_public(six_to_four) == is_public(address)
    assert not is_public(IPv6Address(0xFFFF << 32 | int(address)))
    assert not is_public(IPv6Address(int(address)))


# URLs


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://sti.example.com", "sti.example.com"),
        ("https://sti.example.com./a.pem", "sti.example.com."),
        ("https://STI.Example.COM:8443/a.pem", "sti.example.com"),
        ("https://xn--bcher-kva.example/a.pem", "xn--bcher-kva.example"),
        ("https://host/a.pem", "host"),
        ("https://8.8.8.8:443/a.pem", "8.8.8.8"),
        ("https://[2606:4700::1]/a.pem", "2606:4700::1"),
        ("https://sti.example.com/" + "a" * (MAX_URL - 24), "sti.example.com"),
    ],
)
def test_carriers_urls_are_taken(url: str, host: str) -> None:
    assert check_url(url, STRICT).hostname == host


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://sti.example.com/" + "a" * (MAX_URL - 23), "at most 2048 characters"),
        ("http://sti.example.com/a.pem", "https URLs only"),
        ("https://sti.example.com:80/a.pem", "port must be"),
        ("https://sti.example.com:22/a.pem", "port must be"),
        ("https://sti.example.com:0/a.pem", "port must be"),
        ("https://user@sti.example.com/a.pem", "no user name"),
        ("https://sti.example.com/a.pem?b", "query"),
        ("https://sti.example.com/a.pem#b", "fragment"),
        ("https://2130706433/a.pem", "no address in its usual form"),
        ("https://127.1/a.pem", "no address in its usual form"),
        ("https://0x7f000001/a.pem", "no address in its usual form"),
        ("https://0177.0.0.1/a.pem", "no address in its usual form"),
        ("https://127.0.0.1./a.pem", "no address in its usual form"),
        ("https://1.2.3.4.5/a.pem", "no address in its usual form"),
        ("https://a..example.com/a.pem", "no DNS name"),
        ("https://.example.com/a.pem", "no DNS name"),
        ("https://./a.pem", "no DNS name"),
        ("https://-a.example.com/a.pem", "no DNS name"),
        ("https://a_b.example.com/a.pem", "no DNS name"),
        ("https://a%2eexample.com/a.pem", "no DNS name"),
        ("https://" + "a" * 64 + ".example.com/a.pem", "no DNS name"),
        ("https://xn--zzzzzz--.example/a.pem", "no DNS name"),
        ("https://[127.0.0.1]/a.pem", "not a URL"),
        ("https://[v1.a]/a.pem", "not a URL|no IPv6 address"),
        ("https://[fe80::1%25eth0]/a.pem", "no IPv6 address"),
    ],
)
def test_other_urls_are_refused(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_url(url, STRICT)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:8.8.8.8]"])
def test_special_addresses_as_hosts_are_refused_as_such(host: str) -> None:
    with pytest.raises(AddressRefused, match="RFC 6890"):
        check_url(f"https://{host}/a.pem", STRICT)


RELAXED = {
    "allow_http": "http://sti.example.com:80/a.pem",
    "allow_any_port": "https://sti.example.com:9443/a.pem",
    "allow_query": "https://sti.example.com/a.pem?b=c",
    "allow_private": "https://127.0.0.1/a.pem",
}


@pytest.mark.parametrize("name", RELAXED)
def test_each_setting_relaxes_its_own_rule_only(name: str) -> None:
    policy = FetchSettings(**{name: True}).policy()

    check_url(RELAXED[name], policy)
    for other in RELAXED.keys() - {name}:
        with pytest.raises(ValueError, match=r"."):
            check_url(RELAXED[other], policy)


@given(st.text("htps:/[].@?#0123456789abcdefx%-_~:ABC\\ \n", max_size=60).map("https:/".__add__))
def test_whatever_the_text_it_is_taken_or_refused(url: str) -> None:
    try:
        parts = check_url(url, STRICT)
    except ValueError:
        return

    assert (parts.scheme, parts.username) == ("https", None)
    assert parts.port in {None, 443, 8443}


SITES = [
    ("sti.example.com", "example.com"),
    ("a.b.c.d.example.com", "example.com"),
    ("example.com", "example.com"),
    ("STI.Example.COM.", "example.com"),
    ("sti.example.co.uk", "example.co.uk"),
    ("example.co.uk", "example.co.uk"),
    ("co.uk", "co.uk"),
    ("sti.example.com.br", "example.com.br"),
    # What looks like a registry and is none is put together: too many rather than too few.
    ("a.abc.de", "abc.de"),
    ("b.com.example", "com.example"),
    ("localhost", "localhost"),
    ("192.0.2.7", "192.0.2.0/24"),
    ("192.0.2.250", "192.0.2.0/24"),
    ("2001:db8:1:2::7", "2001:db8:1::/48"),
    ("2001:db8:1:ffff::1", "2001:db8:1::/48"),
    ("::1", "::/48"),
]


@pytest.mark.parametrize(("host", "site"), SITES)
def test_hosts_of_one_owner_are_one_site(host: str, site: str) -> None:
    assert site_of(host) == site


@given(st.text(max_size=30))
def test_any_text_has_a_site(host: str) -> None:
    assert isinstance(site_of(host), str)


CHAIN = "0123456789abcdef" * 4


@pytest.mark.parametrize("public_url", ["https://sti.example.com", "https://sti.example.com/a.b/"])
def test_the_url_of_a_chain_leads_back_to_its_certificate(public_url: str) -> None:
    url = chain_url(public_url, CHAIN)

    assert url is not None
    assert url.removeprefix(public_url.rstrip("/")) == f"/certificates/{CHAIN}.pem"
    assert chain_id(public_url, url) == CHAIN


@pytest.mark.parametrize(
    "url",
    [
        f"https://sti.example.org/certificates/{CHAIN}.pem",
        f"https://sti.example.com/base/certificates/{CHAIN}.pem",
        f"https://sti.example.com/certificates/{CHAIN}xpem",
        f"https://sti.example.com/certificates/{CHAIN}.pem\n",
        f"https://sti.example.com/certificates/{CHAIN}0.pem",
        f"https://sti.example.com/certificates/{CHAIN.upper()}.pem",
        "https://sti.example.com",
    ],
)
def test_the_url_of_another_leads_to_no_certificate(url: str) -> None:
    assert chain_id("https://sti.example.com", url) is None


def test_without_a_public_url_no_chain_has_one() -> None:
    assert chain_url("", CHAIN) is None
    assert chain_id("", f"/certificates/{CHAIN}.pem") is None
