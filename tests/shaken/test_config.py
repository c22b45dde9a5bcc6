"""Settings, from a file and from the environment."""

from contextlib import suppress
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.addresses import check_x5u
from shaken.cli import main
from shaken.config import Address, ClientCertificates, Config, ConfigError, load_config
from sip.identity import Identity
from trust.selection import Fallback

EXAMPLE = """
public_url = "https://sti.example.com"

[http]
address = "0.0.0.0:8080"
trusted_proxies = ["10.0.0.0/8", "fd00::/8"]

[https]
address = "[::]:8443"
client_certificates = "optional"

[database]
url = "sqlite:////var/lib/shaken/shaken.sqlite"

[keys]
master_key_file = "/etc/shaken/master.key"

[signing]
fallback = "none"
freshness = 120
skew = 0
lab_urls = false

[records]
keep_days = 30
queue = 1000

[log]
level = "DEBUG"
"""


def load(tmp_path: Path, toml: str, **environment: str) -> Config:
    file = tmp_path / "shaken.toml"
    file.write_text(toml)
    return load_config(file, environment)


def from_environment(**environment: str) -> Config:
    return load_config(None, environment)


def complaint(**environment: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load_config(None, environment)
    return str(refused.value)


def test_without_anything_said_the_defaults_hold() -> None:
    config = from_environment()

    assert config == Config()
    assert config.http.address == "127.0.0.1:8080"
    assert config.http.trusted_proxies == ()
    assert (config.https.address, config.https.client_certificates) == ("", "off")
    assert (config.signing.freshness, config.signing.skew) == (60, 15)
    assert config.signing.fallback is Fallback.FIRST
    assert not config.signing.lab_urls
    assert config.records.keep_days == 400
    assert config.records.numbers == "plain"


def test_a_file_says_everything(tmp_path: Path) -> None:
    config = load(tmp_path, EXAMPLE)

    assert config.public_url == "https://sti.example.com"
    assert config.http.address == "0.0.0.0:8080"
    assert config.http.trusted_proxies == ("10.0.0.0/8", "fd00::/8")
    assert config.https.address == "[::]:8443"
    assert config.https.client_certificates is ClientCertificates.OPTIONAL
    assert config.database.url == "sqlite:////var/lib/shaken/shaken.sqlite"
    assert config.keys.master_key_file == "/etc/shaken/master.key"
    assert config.signing.fallback is Fallback.NONE
    assert (config.signing.freshness, config.signing.skew) == (120, 0)
    assert (config.records.keep_days, config.records.queue) == (30, 1000)
    assert config.log.level == "DEBUG"


def test_the_environment_says_the_same_as_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, EXAMPLE) == from_environment(
        SHAKEN_PUBLIC_URL="https://sti.example.com",
        SHAKEN_HTTP__ADDRESS="0.0.0.0:8080",
        SHAKEN_HTTP__TRUSTED_PROXIES=" 10.0.0.0/8, fd00::/8,",
        SHAKEN_HTTPS__ADDRESS="[::]:8443",
        SHAKEN_HTTPS__CLIENT_CERTIFICATES="optional",
        SHAKEN_DATABASE__URL="sqlite:////var/lib/shaken/shaken.sqlite",
        SHAKEN_KEYS__MASTER_KEY_FILE="/etc/shaken/master.key",
        SHAKEN_SIGNING__FALLBACK="none",
        SHAKEN_SIGNING__FRESHNESS="120",
        SHAKEN_SIGNING__SKEW="0",
        SHAKEN_SIGNING__LAB_URLS="false",
        SHAKEN_RECORDS__KEEP_DAYS="30",
        SHAKEN_RECORDS__QUEUE="1000",
        SHAKEN_LOG__LEVEL="DEBUG",
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = load(
        tmp_path, EXAMPLE, SHAKEN_SIGNING__FRESHNESS="30", SHAKEN_HTTP__TRUSTED_PROXIES=""
    )

    assert config.signing.freshness == 30
    assert config.signing.skew == 0
    assert config.http.trusted_proxies == ()


def test_variables_of_others_are_no_settings() -> None:
    assert (
        from_environment(
            PATH="/bin",
            SHAKENED="1",
            shaken_http__address="x",
            SHAKEN_URL="x",
            SHAKEN_TOKEN="x",
            SHAKEN_PASSPHRASE="x",
        )
        == Config()
    )


def variables_of(command: click.Command) -> set[str]:
    """Name the variables that a command and those below it read their options from."""
    found = {str(option.envvar) for option in command.params if option.envvar}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found |= variables_of(below)
    return found


def test_no_variable_of_a_command_is_taken_for_a_setting() -> None:
    variables = variables_of(main)

    assert "SHAKEN_CA" in variables
    assert from_environment(**dict.fromkeys(variables, "x")) == Config()


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("SHAKEN_PUBLIC_URI", ["unknown setting", "public_uri", "public_url"]),
        ("SHAKEN_HTTP__ADRESS", ["[http]", "unknown setting", "adress", "trusted_proxies"]),
        ("SHAKEN_HTTTP__ADDRESS", ["unknown setting", "htttp", "database"]),
        ("SHAKEN_HTTP__", ["[http]", "unknown setting"]),
        ("SHAKEN_", ["unknown setting"]),
        ("SHAKEN_HTTP__ADDRESS__PORT", ["[http]", "unknown setting", "address__port"]),
        ("SHAKEN_HTTP", ["[http]", "section"]),
    ],
)
def test_an_unknown_variable_is_an_error_that_tells_the_known_ones(
    variable: str, said: list[str]
) -> None:
    message = complaint(**{variable: "x"})

    assert [words for words in said if words not in message] == []


def test_a_section_cannot_be_a_value_too() -> None:
    assert "http is not a section" in complaint(SHAKEN_HTTP="x", SHAKEN_HTTP__ADDRESS="x")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("publik_url = 'x'", ["unknown setting", "publik_url"]),
        ("[http]\nadress = 'x'", ["[http]", "unknown setting", "adress"]),
        ("[htttp]", ["unknown setting", "htttp"]),
        ("http = 1", ["[http]", "section"]),
        ("[http]\naddress = 8080", ["[http] address", "str"]),
        ("[http]\ntrusted_proxies = '10.0.0.0/8'", ["[http] trusted_proxies", "array"]),
        ("[signing]\nfallback = 'last'", ["[signing] fallback", "last", "first", "none"]),
        ("[log]\nlevel = 'debug'", ["[log] level", "debug", "DEBUG, INFO, WARNING, ERROR"]),
        ("[signing]\nfreshness = 'x'", ["[signing] freshness", "integer"]),
        ("[http", ["shaken.toml", "Expected ']'"]),
        ("a = 1\na = 2", ["shaken.toml", "Cannot overwrite"]),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, toml: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, toml)

    assert [words for words in said if words not in str(refused.value)] == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "shaken.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=f"cannot read {file}"):
        load_config(file, {})


@pytest.mark.parametrize(
    ("variable", "lowest", "highest"),
    [
        ("SHAKEN_SIGNING__FRESHNESS", 1, 86_400),
        ("SHAKEN_SIGNING__SKEW", 0, 3_600),
        ("SHAKEN_RECORDS__KEEP_DAYS", 1, 3_660),
        ("SHAKEN_RECORDS__QUEUE", 1, 10_000_000),
    ],
)
def test_numbers_have_bounds(variable: str, lowest: int, highest: int) -> None:
    assert from_environment(**{variable: str(lowest)})
    assert from_environment(**{variable: str(highest)})
    for value in (lowest - 1, highest + 1, "many", "", "1.5"):
        assert variable.partition("__")[2].lower() in complaint(**{variable: str(value)})


def test_the_master_key_is_checked_and_shown_by_no_repr() -> None:
    key = "c2VzYW1lIHNlc2FtZSBzZXNhbWUgc2VzYW1lIHNlc2E="
    config = from_environment(SHAKEN_KEYS__MASTER_KEY=key)

    assert config.keys.master_key == key
    assert key not in repr(config)


@pytest.mark.parametrize("key", ["sesame", "c2VzYW1l"])
def test_a_bad_master_key_is_an_error_of_its_setting_that_does_not_repeat_it(key: str) -> None:
    said = complaint(SHAKEN_KEYS__MASTER_KEY=key)

    assert said.startswith("[keys] master_key: ")
    assert key not in said


# Addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("192.0.2.7:0", Address("192.0.2.7", 0)),
        ("[::1]:65535", Address("::1", 65535)),
        ("[2001:db8:0::1]:80", Address("2001:db8::1", 80)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 80",
        "127.0.0.1:8o",
        "127.0.0.1:\N{ARABIC-INDIC DIGIT ONE}",
        "127.0.0.1:" + "1" * 5_000,
        " 127.0.0.1:80",
        "127.1:80",
        "localhost:80",
        "*:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "::1]:80",
        "[[::1]]:80",
        "[127.0.0.1]:80",
        "[127.0.0.1:80",
        "127.0.0.1]:80",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not address:port, as in 127.0.0.1:8080 or \[::1\]:8080"
    ):
        Address.parse(text)


@given(st.text() | st.text("[]:.0123456789af", max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    with suppress(ValueError):
        address = Address.parse(text)

        assert Address.parse(str(address)) == address


def test_a_bad_address_is_an_error_of_its_setting() -> None:
    assert complaint(SHAKEN_HTTP__ADDRESS="8080").startswith("[http] address: '8080' is not")
    assert complaint(SHAKEN_HTTP__ADDRESS="").startswith("[http] address: '' is not")
    assert complaint(SHAKEN_HTTPS__ADDRESS="443").startswith("[https] address: '443' is not")


def test_client_certificates_are_a_word_of_two() -> None:
    said = complaint(SHAKEN_HTTPS__CLIENT_CERTIFICATES="required")

    assert said.startswith("[https] client_certificates: ")
    assert "one of off, optional is expected" in said


@pytest.mark.parametrize(
    "network", ["proxy", "10.0.0.0/33", "10.0.0.1/8", "2001:db8::/200", "::ffff:10.0.0.1"]
)
def test_a_bad_network_is_an_error_of_its_setting(network: str) -> None:
    said = complaint(SHAKEN_HTTP__TRUSTED_PROXIES=f"192.0.2.0/24,{network}")

    assert said.startswith("[http] trusted_proxies: ")
    assert network in said


# The URL of certificates

CARRIERS_FETCH = [
    "https://sti.example.com",
    "https://sti.example.com/",
    "https://sti.example.com/a/b-c_d~1.pem",
    "https://sti.example.com:443/a.pem",
    "https://sti.example.com:8443/a.pem",
    "HTTPS://STI.example.com/a.pem",
    "https://192.0.2.7/a.pem",
    "https://[2001:db8::1]/a.pem",
    "https://sti.example.com/%7Ea/b;c=d,e&f+g$h!*'().pem",
]
LABS_FETCH = [
    "http://sti.example.com/a.pem",
    "http://127.0.0.1:8080",
    "https://sti.example.com:9443/a.pem",
]
NOBODY_FETCHES = [
    ("", "https URLs only"),
    ("sti.example.com", "https URLs only"),
    ("//sti.example.com", "https URLs only"),
    ("ftp://sti.example.com", "https URLs only"),
    ("https:", "https URLs only"),
    ("https:///a.pem", "https URLs only"),
    ("https://:443/a.pem", "https URLs only"),
    ("https:sti.example.com", "https URLs only"),
    ("https://user@sti.example.com", "no user name"),
    ("https://user:secret@sti.example.com", "no user name"),
    ("https://@sti.example.com", "no user name"),
    ("https://sti.example.com?a=b", "query"),
    ("https://sti.example.com/?", "query"),
    ("https://sti.example.com/#a", "fragment"),
    ("https://sti.example.com/#", "fragment"),
    ("https://sti.example.com:0x50/", "not a URL"),
    ("https://sti.example.com:65536/", "not a URL"),
    ("https://[2001:db8::1/", "not a URL"),
    ("https://sti.example.com/a b", "printable ASCII"),
    ("https://sti.example.com/a\n", "printable ASCII"),
    (" https://sti.example.com/", "printable ASCII"),
    ("https://sti.example.com/\t", "printable ASCII"),
    ("https://sti.example.com/\x7f", "printable ASCII"),
    ("https://bücher.example/", "printable ASCII"),
    ("https://sti.example.com/>;info=<https://evil.example", "printable ASCII"),
    ('https://sti.example.com/"', "printable ASCII"),
    ("https://sti.example.com\\@evil.example/", "printable ASCII"),
    ("https://sti.example.com/{id}.pem", "printable ASCII"),
    ("https://sti.example.com/a|b", "printable ASCII"),
    ("https://sti.example.com/a^b", "printable ASCII"),
    ("https://sti.example.com/`", "printable ASCII"),
    ("https://sti.example.com/100%", "printable ASCII"),
    ("https://sti.example.com/%zz", "printable ASCII"),
    ("https://sti.example.com/%4", "printable ASCII"),
]


@pytest.mark.parametrize("url", CARRIERS_FETCH)
@pytest.mark.parametrize("lab", [False, True])
def test_carriers_and_labs_fetch(url: str, *, lab: bool) -> None:
    check_x5u(url, lab=lab)


@pytest.mark.parametrize("url", LABS_FETCH)
def test_only_labs_fetch(url: str) -> None:
    check_x5u(url, lab=True)
    with pytest.raises(ValueError, match=r"https URLs only|port must be 443 or 8443"):
        check_x5u(url, lab=False)


@pytest.mark.parametrize(("url", "said"), NOBODY_FETCHES)
@pytest.mark.parametrize("lab", [False, True])
def test_nobody_fetches(url: str, said: str, *, lab: bool) -> None:
    with pytest.raises(ValueError, match=said):
        check_x5u(url, lab=lab)


@given(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7F), max_size=30).map(
        "https://sti.example.com/".__add__
    )
    | st.text()
)
def test_every_url_that_is_taken_fits_into_an_identity_header(url: str) -> None:
    try:
        check_x5u(url, lab=True)
    except ValueError:
        return

    assert f"info=<{url}>" in str(Identity(token="a.b.c", info=url))


@pytest.mark.parametrize("url", LABS_FETCH)
def test_the_public_url_is_held_to_the_rules_of_carriers_outside_of_labs(url: str) -> None:
    said = complaint(SHAKEN_PUBLIC_URL=url)

    assert said.startswith("public_url: ")
    assert "lab_urls = true" in said
    lab = from_environment(SHAKEN_PUBLIC_URL=url, SHAKEN_SIGNING__LAB_URLS="true")
    assert lab.public_url == url


def test_the_listener_for_authorities_and_resolvers_are_read(tmp_path: Path) -> None:
    toml = "[acme]\nhttp_address = '0.0.0.0:80'\nresolvers = ['192.0.2.53:53', '[2001:db8::53]:53']"

    acme = load(tmp_path, toml).acme

    assert acme.http_address == "0.0.0.0:80"
    assert acme.nameservers() == (("192.0.2.53", 53), ("2001:db8::53", 53))
    assert acme.authority_port == 80
    from_outside = load(tmp_path, "", SHAKEN_ACME__RESOLVERS="192.0.2.53:53, 192.0.2.54:5353").acme
    assert from_outside.nameservers() == (("192.0.2.53", 53), ("192.0.2.54", 5353))


def test_by_itself_there_is_no_listener_for_authorities_and_the_machine_resolves(
    tmp_path: Path,
) -> None:
    acme = load(tmp_path, "").acme

    assert (acme.http_address, acme.nameservers()) == ("", ())


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("http_address = 'pbx.example.com:80'", "[acme] http_address: "),
        ("http_address = '0.0.0.0'", "[acme] http_address: "),
        ("http_address = ':80'", "[acme] http_address: "),
        ("resolvers = ['192.0.2.53']", "[acme] resolvers: "),
        ("resolvers = ['dns.example.com:53']", "[acme] resolvers: "),
        ("resolvers = '192.0.2.53:53'", "[acme] resolvers"),
        ("authority_port = 0", "[acme] authority_port"),
        ("authority_port = 65536", "[acme] authority_port"),
        ("directory = 'letsencrypt'", "[acme] unknown setting 'directory'"),
    ],
)
def test_wrong_settings_of_acme_are_named(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, f"[acme]\n{toml}")

    assert str(raised.value).startswith(said)


def test_sip_listens_nowhere_unless_it_is_told_to() -> None:
    assert (Config().sip.udp, Config().sip.tcp, Config().sip.tls) == ((), (), ())


def test_sip_listens_at_several_addresses(tmp_path: Path) -> None:
    written = load(
        tmp_path,
        """
        [sip]
        udp = ["192.0.2.1:5060", "[2001:db8::1]:5060"]
        tls = ["192.0.2.1:5061"]
        client_certificates = "optional"
        connections = 50
        """,
    )
    said = from_environment(
        SHAKEN_SIP__UDP="192.0.2.1:5060, [2001:db8::1]:5060",
        SHAKEN_SIP__TLS="192.0.2.1:5061",
        SHAKEN_SIP__CLIENT_CERTIFICATES="optional",
        SHAKEN_SIP__CONNECTIONS="50",
    )

    assert written == said
    assert written.sip.udp == ("192.0.2.1:5060", "[2001:db8::1]:5060")
    assert written.sip.client_certificates is ClientCertificates.OPTIONAL


@pytest.mark.parametrize(
    ("setting", "text", "words"),
    [
        ("UDP", "5060", "[sip] udp 1: '5060' is not address:port"),
        ("UDP", "[::ffff:192.0.2.1]:5060", "in IPv6's spelling; write 192.0.2.1:5060"),
        ("TCP", "127.0.0.1:5060,pbx:5060", "[sip] tcp 2: 'pbx:5060' is not address:port"),
        ("TLS", "127.0.0.1:99999", "[sip] tls 1: "),
        ("CONNECTIONS", "0", "[sip] connections: "),
        ("TRANSACTIONS", "many", "[sip] transactions: "),
        ("CLIENT_CERTIFICATES", "required", "one of off, optional is expected"),
    ],
)
def test_a_sip_setting_that_is_wrong_is_named(setting: str, text: str, words: str) -> None:
    assert words in complaint(**{f"SHAKEN_SIP__{setting}": text})


def test_an_empty_sip_address_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="udp 1: '' is not address:port"):
        load(tmp_path, '[sip]\nudp = [""]\n')
