"""Settings: what one process needs to run. What an administrator changes meanwhile is data.

Read from `shaken.toml`, each also from the environment as `SHAKEN_SECTION__NAME` (top level:
`SHAKEN_NAME`), which wins. An unknown name is an error, so that a typing mistake is not a default.
"""

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from shaken.acceptance import Freshness, Replays, RevocationCheck, Skew
from shaken.addresses import FetchSettings, check_x5u
from shaken.networks import read_network
from trust.keys import MasterKey, MasterKeyError
from trust.selection import Fallback

CLIENT_VARIABLES = frozenset({"SHAKEN_URL", "SHAKEN_TOKEN", "SHAKEN_CA", "SHAKEN_PASSPHRASE"})
"""Variables that the other commands read; they are no settings."""

_PREFIX = "SHAKEN_"

_PORT = re.compile(r"[0-9]{1,5}")

# What Kubernetes puts into every container beside a Service that is named like this program.
_SERVICE_LINK = re.compile(r"SHAKEN_(?:SERVICE_(?:HOST|PORT)|PORT)(?:_[A-Z0-9_]+)?")


class ConfigError(Exception):
    """The configuration is wrong; the message names the setting and what it takes."""


class Address(msgspec.Struct, frozen=True):
    """A host address and a TCP port to listen on. `str()` gives `host:port`."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `127.0.0.1:8080` or `[::1]:8080`. Raises ValueError with what is expected."""
        expected = f"{text!r} is not address:port, as in 127.0.0.1:8080 or [::1]:8080"
        host, colon, port = text.rpartition(":")
        try:
            ip = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError as error:
            raise ValueError(expected) from error
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
            raise ValueError(expected)
        if (ip.version == 6) != bracketed or (ip.version == 4 and host != str(ip)):
            raise ValueError(expected)
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            raise ValueError(f"{text!r} is IPv4 in IPv6's spelling; write {ip.ipv4_mapped}:{port}")
        return cls(str(ip), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[http]`: the plain listener."""

    address: str = "127.0.0.1:8080"
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""


class ClientCertificates(StrEnum):
    """Whether clients of the HTTPS listener are asked for a certificate."""

    OFF = "off"
    OPTIONAL = "optional"


class HttpsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[https]`: the service's own TLS listener; an empty address is none."""

    address: str = ""
    client_certificates: ClientCertificates = ClientCertificates.OFF


class AcmeListener(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[acme]`: how authorities reach this service; an empty address is no listener of its own."""

    http_address: str = ""
    """Where challenges are answered, as in 0.0.0.0:80, and nothing else."""
    authority_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 80
    """Where the authority looks for challenges (RFC 8555 §8.3); another port is for labs."""
    examine_hours: Annotated[int, msgspec.Meta(ge=1, le=168)] = 24
    """How often all certificates are examined; those of short life are more often."""
    resolvers: tuple[str, ...] = ()
    """DNS resolvers (address:port) that the check before an order asks; none: the machine's."""
    hooks: tuple[str, ...] = ()
    """Programs that the settings may name to publish DNS records: who runs the machine says which,
    since they run as the service."""

    def nameservers(self) -> tuple[tuple[str, int], ...]:
        """Return the resolvers as address and port. Raises ValueError."""
        read = map(Address.parse, self.resolvers)
        return tuple((each.host, each.port) for each in read)


class SipSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[sip]`: listeners for PBXs that ask by SIP (address:port); none: there are none."""

    udp: tuple[str, ...] = ()
    tcp: tuple[str, ...] = ()
    tls: tuple[str, ...] = ()
    client_certificates: ClientCertificates = ClientCertificates.OFF
    """Whether clients of the TLS listeners are asked for a certificate."""
    connections: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    """Connections of TCP and TLS that a worker holds; unknown sources share a quarter."""
    connections_per_address: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    """Of these, from one address."""
    idle_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 900
    """When a connection without any message is closed."""
    transactions: Annotated[int, msgspec.Meta(ge=1_000, le=10_000_000)] = 100_000
    """Requests whose answers a worker remembers, for when they come again."""
    strangers_per_second: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 200
    """Messages from unknown sources that a worker looks at; the others are dropped unread."""


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[database]`: an SQLAlchemy URL; empty is `shaken.sqlite` in the data folder."""

    url: str = ""


class KeysSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[keys]`: where the master key is. `master_key` (base64) wins over the file."""

    master_key_file: str = ""
    master_key: str = ""
    former_master_key: str = ""
    """The key that `master_key`, or that of the file, takes the place of."""

    def __repr__(self) -> str:
        shown, former = ("…" if key else "" for key in (self.master_key, self.former_master_key))
        return f"KeysSettings({self.master_key_file!r}, {shown!r}, {former!r})"


class SigningSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[signing]`: what holds for every call that is signed."""

    fallback: Fallback = Fallback.FIRST
    """Whether a tenant without a certificate of its own gets the first one available."""
    freshness: Freshness = 60
    """Seconds that an `iat` may lie in the past (ATIS-1000074 §5.3.1)."""
    skew: Skew = 15
    """Seconds that an `iat` may lie in the future, for clocks that disagree."""
    lab_urls: bool = False
    """Whether an `x5u` may be plain http and use any port: for labs, never for carriers."""


class VerificationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[verification]`: what holds for every call that is verified, unless its trunk differs."""

    freshness: Freshness = 60
    """Seconds that an `iat` may lie before now and before the message's time."""
    skew: Skew = 15
    """Seconds that an `iat` may lie after either, for clocks that disagree."""
    replays: Replays = Replays.REPORT
    """What is done about a PASSporT that another call had before."""
    revocation: RevocationCheck = RevocationCheck.SOFT
    """What is done about revocation lists: `soft` passes over one that cannot be had."""
    seconds: Annotated[float, msgspec.Meta(ge=0.1, le=30)] = 3.0
    """How long a call waits for its signer's certificate, and then for the revocation lists."""


class NumbersOnRecord(StrEnum):
    """How records hold telephone numbers and addresses."""

    PLAIN = "plain"
    HASHED = "hashed"
    """As HMAC-SHA-256 under a key that is sealed in the store (`shaken.concealment`)."""


class RecordsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[records]`: the record kept of every call that is signed or verified."""

    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3660)] = 400
    numbers: NumbersOnRecord = NumbersOnRecord.PLAIN
    queue: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 200_000
    """Records held in memory for the database; beyond it they are dropped and counted."""


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one process."""

    http: HttpSettings = HttpSettings()
    https: HttpsSettings = HttpsSettings()
    acme: AcmeListener = AcmeListener()
    sip: SipSettings = SipSettings()
    database: DatabaseSettings = DatabaseSettings()
    keys: KeysSettings = KeysSettings()
    signing: SigningSettings = SigningSettings()
    verification: VerificationSettings = VerificationSettings()
    fetch: FetchSettings = FetchSettings()
    records: RecordsSettings = RecordsSettings()
    log: LogSettings = LogSettings()
    public_url: str = ""
    """Base of the certificate repository that signatures name, as verifiers reach it."""


def load_config(
    file: Path | None,
    environment: Mapping[str, str],
    *,
    fit: Callable[[Config], Config] = lambda config: config,
) -> Config:
    """Read the settings. `file` None: only the environment. Raises ConfigError.

    `fit` is what is done with them before they are judged.
    """
    document: dict[str, Any] = {}
    if file is not None:
        try:
            document = tomllib.loads(file.read_text("utf-8"))
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"cannot read {file}: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file}: {error}") from error
    _overlay(document, environment)
    try:
        config = fit(msgspec.convert(document, Config, strict=False))
    except msgspec.ValidationError as error:
        raise ConfigError(_readable(error)) from error
    _check(config)
    return config


def _overlay(document: dict[str, Any], environment: Mapping[str, str]) -> None:
    for variable, value in environment.items():
        if not variable.startswith(_PREFIX) or variable in CLIENT_VARIABLES:
            continue
        if _SERVICE_LINK.fullmatch(variable):
            continue
        section, dots, name = variable.removeprefix(_PREFIX).lower().partition("__")
        target = document.setdefault(section, {}) if dots else document
        if not isinstance(target, dict):
            raise ConfigError(f"{variable}: {section} is not a section")
        target[name or section] = _listed(value) if name in _LISTS else value


_LISTS = frozenset({"trusted_proxies", "resolvers", "hooks", "udp", "tcp", "tls"})
"""Settings that the environment holds with commas between."""


def _listed(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _readable(error: msgspec.ValidationError) -> str:
    """Turn `Object contains unknown field `x` - at `$.http`` into words about settings."""
    text, _, path = str(error).partition(" - at `$")
    parts = [part for part in path.rstrip("`").split(".") if part]
    if "unknown field" in text:
        name = text.partition("`")[2].rstrip("`")
        text = f"unknown setting {name!a}; there are {', '.join(_settings(parts))}"
    elif "got `" in text and len(parts) == 1 and parts[0] in _SECTIONS:
        text = f"this is a section; it holds {', '.join(_settings(parts))}"
    elif "enum" in text:
        text = f"{text}; one of {', '.join(_words(parts))} is expected"
    text = text.replace("Expected `int`, got", "an integer is expected, not")
    where = f"[{parts[0]}] {parts[1]}: " if len(parts) > 1 else f"[{parts[0]}] " if parts else ""
    return where + text.replace("`", "'")


_SECTIONS = {
    name: kind
    for name, kind in Config.__annotations__.items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}


def _settings(parts: list[str]) -> tuple[str, ...]:
    """Name the settings of a section, or of the top level."""
    return (_SECTIONS[parts[0]] if parts else Config).__struct_fields__


def _words(parts: list[str]) -> list[str]:
    """List the words that a setting may be."""
    kind = _SECTIONS[parts[0]].__annotations__[parts[1]]
    return [str(word) for word in (get_args(kind) or kind)]


_OPTIONAL_ADDRESSES = frozenset({"[https] address", "[acme] http_address"})
"""Those that may be empty: there is no such listener."""


def _check_addresses(config: Config) -> None:
    addresses = {
        "[http] address": config.http.address,
        "[https] address": config.https.address,
        "[acme] http_address": config.acme.http_address,
    }
    for name in ("udp", "tcp", "tls"):
        listed = getattr(config.sip, name)
        addresses |= {f"[sip] {name} {place}": each for place, each in enumerate(listed, start=1)}
    for setting, address in addresses.items():
        try:
            if address or setting not in _OPTIONAL_ADDRESSES:
                Address.parse(address)
        except ValueError as error:
            raise ConfigError(f"{setting}: {error}") from error
    try:
        config.acme.nameservers()
    except ValueError as error:
        raise ConfigError(f"[acme] resolvers: {error}") from error


def _check(config: Config) -> None:
    _check_addresses(config)
    for network in config.http.trusted_proxies:
        try:
            read_network(network)
        except ValueError as error:
            raise ConfigError(f"[http] trusted_proxies: {error}") from error
    if config.database.url and "://" not in config.database.url:
        raise ConfigError(
            "[database] url: a URL is expected, as in sqlite:////var/lib/shaken.sqlite"
        )
    for name in ("master_key", "former_master_key"):
        try:
            if key := getattr(config.keys, name):
                MasterKey.from_text(key)
        except MasterKeyError as error:
            raise ConfigError(f"[keys] {name}: {error}") from error
    if config.public_url:
        try:
            check_x5u(config.public_url, lab=config.signing.lab_urls)
        except ValueError as error:
            raise ConfigError(
                f"public_url: {error} ([signing] lab_urls = true allows any URL in a lab)"
            ) from error
