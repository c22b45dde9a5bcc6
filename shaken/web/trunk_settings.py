"""The settings of a trunk in words: what the page of a trunk tells, and what its form asks.

A setting is named by its path in the API's trunk, as in `sip.contact`; a form holds it as text.
Pure. What a setting may be is the API's to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from shaken.acceptance import Replays
from shaken.config import VerificationSettings
from shaken.web.asking import bad_lines, lines, read_network
from shaken.web.words import plural

Choices = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    """How a setting is typed."""

    CHOICE = "choice"
    TICK = "tick"
    TEXT = "text"
    NUMBER = "number"
    LINES = "lines"


@dataclass(frozen=True)
class Setting:
    """One setting. `empty` is what it means that nothing is given; `fact` names it when told."""

    name: str
    label: str
    hint: str = ""
    kind: Kind = Kind.CHOICE
    options: Choices = ()
    empty: str = ""
    unit: str = ""
    is_null: bool = False
    """Whether nothing typed is null, not an empty text."""
    fact: str = ""

    def told(self, text: str) -> Sequence[str]:
        """Say what it is set to, in a line or several."""
        if self.kind is Kind.LINES:
            return lines(text) or [self.empty]
        known = dict(self.options).get(text)
        if known is not None:
            return [known]
        if text.isdecimal() and self.unit:
            return [plural(int(text), self.unit)]
        return [text or self.empty]


@dataclass(frozen=True)
class Group:
    """Settings that belong together, with what they are for."""

    name: str
    title: str
    words: str
    settings: tuple[Setting, ...]


_ATTEST = (
    ("A", "A: the customer is known, and may use the number"),
    ("B", "B: the customer is known, the right to the number is not"),
    ("C", "C: the call only passes through from elsewhere"),
)
_NETWORKS = "Networks, one a line, as in 192.0.2.0/24 or 192.0.2.7."


def _reaction(name: str, label: str, code: int) -> Setting:
    options = (
        ("flag", "it goes on, marked as failed"),
        ("ignore", "it goes on, marked as not validated"),
        ("reject", f"it is rejected with {code}"),
    )
    return Setting(f"verification.{name}", label, options=options)


def _tick(name: str, label: str, hint: str, *, fact: str, yes: str, no: str) -> Setting:
    return Setting(name, label, hint, Kind.TICK, (("yes", yes), ("", no)), fact=fact)


_CALLS = Group(
    "calls",
    "Its calls",
    "Whose calls come over this line, from where, and what is done with them.",
    (
        Setting(
            "direction",
            "What is done with them",
            options=(
                ("auto", "told apart: those with an Identity header are verified, others signed"),
                ("sign", "they are signed"),
                ("verify", "they are verified"),
            ),
        ),
        Setting(
            "networks",
            "Usable from",
            f"{_NETWORKS} Requests from elsewhere are refused. Leave it empty for anywhere.",
            Kind.LINES,
            empty="anywhere",
        ),
        Setting(
            "country",
            "Country",
            "Two letters, as in US: how national numbers are read. Leave it empty where all"
            " numbers have their country code.",
            Kind.TEXT,
            empty="none: all numbers have their country code",
            is_null=True,
        ),
    ),
)

_OUT = Group(
    "out",
    "Calls that go out",
    "What the signature says of the caller.",
    (
        Setting(
            "attest",
            "Attestation",
            "Used where a request names none.",
            options=_ATTEST,
        ),
        Setting(
            "foreign_attest",
            "For numbers that the tenant does not list",
            "At most this. It counts where the tenant lists its numbers.",
            options=(*_ATTEST, ("refuse", "none: the call is not signed")),
        ),
        Setting(
            "origid",
            "Origination identifier",
            "The UUID that stands in each signature for this line, so that a call can be traced"
            " back. Leave it empty to keep what it has; a new trunk is given one.",
            Kind.TEXT,
            empty="made when the trunk is added",
            is_null=True,
        ),
        Setting(
            "answer",
            "Where answers over HTTP hold the signature",
            "Only where an SBC stumbles over a member that it does not know.",
            options=(
                ("both", "in both members, identity and identityHeader"),
                ("atis", "in identity (ATIS-1000082)"),
                ("3gpp", "in identityHeader (3GPP TS 24.229)"),
            ),
        ),
    ),
)


def _in(service: VerificationSettings) -> Group:
    """Describe the policy of verification; what it leaves to the service is told with its value."""
    replays = {
        Replays.OFF: "nothing is looked for",
        Replays.REPORT: "it is said with the verdict",
        Replays.FAIL: "the call fails, as with a signature that does not hold",
    }
    return Group(
        "in",
        "Calls that come in",
        "What is done by what verification finds. A call is never answered as verified when it"
        " was not.",
        (
            _tick(
                "verification.identity_required",
                "Reject calls without an Identity header (428)",
                "",
                fact="A call without an Identity header",
                yes="rejected with 428",
                no="goes on, as not validated",
            ),
            Setting(
                "verification.anonymous",
                "A caller without a number",
                options=(("accept", "goes on, as not validated"), ("reject", "rejected with 433")),
            ),
            Setting(
                "verification.minimum_attest",
                "Lowest attestation that is taken",
                "Calls attested less are rejected with 608.",
                options=(("", "any"), ("C", "C"), ("B", "B"), ("A", "A")),
                is_null=True,
            ),
            _reaction("stale", "When the signature is too old", 403),
            _reaction("unreachable", "When the certificate cannot be fetched", 436),
            _reaction("unfit", "When the certificate is not believed", 437),
            _reaction("invalid", "When the signature does not hold", 438),
            Setting(
                "verification.freshness",
                "A signature is too old after",
                f"Seconds. Leave it empty for what the service has: {service.freshness}.",
                Kind.NUMBER,
                empty=f"{plural(service.freshness, 'second')}, as the service has it",
                unit="second",
                is_null=True,
            ),
            Setting(
                "verification.skew",
                "Clocks may disagree by",
                f"Seconds. Leave it empty for what the service has: {service.skew}.",
                Kind.NUMBER,
                empty=f"{plural(service.skew, 'second')}, as the service has it",
                unit="second",
                is_null=True,
            ),
            Setting(
                "verification.replays",
                "When another call had the same signature before",
                options=(
                    ("", f"{replays[service.replays]}, as the service has it"),
                    *((each.value, words) for each, words in replays.items()),
                ),
                is_null=True,
            ),
        ),
    )


_SIP = Group(
    "sip",
    "SIP redirect",
    "For a PBX or SBC that cannot ask over HTTP: it sends its INVITE to this service, and is"
    " answered with a redirection that holds the signature or the verdict.",
    (
        Setting(
            "sip.sources",
            "INVITEs come from",
            f"{_NETWORKS} What comes from there belongs to this trunk.",
            Kind.LINES,
            empty="no address of its own",
        ),
        _tick(
            "sip.by_host",
            "Know it by the host of the Request-URI, too",
            "Where that is the tenant's address. Anybody can write a host: say above from which"
            " networks it is usable.",
            fact="The tenant's address as host of the Request-URI",
            yes="leads here, too, from where it is usable",
            no="does not lead here",
        ),
        Setting(
            "sip.origin",
            "Who calls",
            options=(
                ("asserted", "P-Asserted-Identity, and From where there is none"),
                ("from", "From alone"),
            ),
        ),
        Setting(
            "sip.destination",
            "Who is called",
            options=(("to", "To"), ("request-uri", "the Request-URI")),
        ),
        Setting(
            "sip.status",
            "Response code",
            kind=Kind.NUMBER,
            options=(("302", "302 Moved Temporarily"), ("300", "300 Multiple Choices")),
        ),
        Setting(
            "sip.form",
            "Where the answer holds the headers",
            "That is, what the PBX is to put into its own INVITE.",
            options=(
                ("headers", "in the response itself"),
                ("contact", "escaped in the URI of its Contact"),
            ),
        ),
        Setting(
            "sip.contact",
            "Where the call goes next",
            "A host, with a port or without, as in carrier.example.com:5060, for the Contact. Leave"
            " it empty where the PBX chooses the way itself.",
            Kind.TEXT,
            empty="where the Request-URI says",
        ),
        _tick(
            "sip.divert",
            "Sign diversions",
            "A call with a Diversion or History-Info header gets a signature of who diverted it,"
            " too (div, RFC 8946).",
            fact="Diverted calls",
            yes="signed for who diverted them, too (div, RFC 8946)",
            no="signed as others are",
        ),
        Setting(
            "sip.verstat",
            "Where the verdict stands",
            options=(
                ("number", "with the number: sip:+12155550100;verstat=…@host"),
                ("uri", "behind the host: sip:+12155550100@host;verstat=…"),
            ),
        ),
        _tick(
            "sip.verstat_suffix",
            "Put the attestation behind the verdict",
            "As in TN-Validation-Passed-A.",
            fact="The verdict has",
            yes="the attestation behind it, as in TN-Validation-Passed-A",
            no="no attestation behind it",
        ),
    ),
)


def groups_of(service: VerificationSettings) -> tuple[Group, ...]:
    """Return all settings, in the order of pages; `service` is what a trunk may leave to it."""
    return (_CALLS, _OUT, _in(service), _SIP)


SETTINGS = tuple(each for group in groups_of(VerificationSettings()) for each in group.settings)


def typed_of(document: Mapping[str, object]) -> dict[str, str]:
    """Write the settings of a trunk, as `msgspec.to_builtins` gives it, as a form holds them."""
    return {each.name: _text(_at(document, each.name)) for each in SETTINGS}


def document_of(typed: Mapping[str, str]) -> dict[str, object]:
    """Lay what was typed out as the API takes it; what is no number there stays text."""
    document: dict[str, object] = {}
    for each in SETTINGS:
        outer, _, inner = each.name.rpartition(".")
        holder = document.setdefault(outer, {}) if outer else document
        if isinstance(holder, dict):
            holder[inner] = _value(each, typed.get(each.name, ""))
    return document


def mistakes(typed: Mapping[str, str]) -> dict[str, str]:
    """Say by setting which lines hold no network."""
    found = {
        each.name: bad_lines(typed.get(each.name, ""), read_network)
        for each in SETTINGS
        if each.kind is Kind.LINES
    }
    return {name: words for name, words in found.items() if words}


def _at(document: Mapping[str, object], name: str) -> object:
    outer, _, inner = name.rpartition(".")
    holder = msgspec.convert(document[outer], dict[str, object]) if outer else document
    return holder[inner]


def _text(value: object) -> str:
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case list() | tuple():
            return "\n".join(str(each) for each in value)
        case _:
            return str(value)


def _value(setting: Setting, text: str) -> object:
    match setting.kind:
        case Kind.TICK:
            return text == "yes"
        case Kind.LINES:
            return lines(text)
        case Kind.NUMBER if text.isascii() and text.isdecimal() and len(text) < 10:
            return int(text)
        case _:
            return None if setting.is_null and not text else text
