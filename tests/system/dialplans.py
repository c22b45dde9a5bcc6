"""What the examples of dial plans ask for a call, expanded as the programs document it.

Each function reads an example's own text, puts the values of a call where the program would, and
gives the request as `curl` sends it. Only what the examples use is expanded; anything else fails.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

EXAMPLES = Path(__file__).parents[2] / "examples"
ASTERISK = EXAMPLES / "asterisk" / "extensions.conf"
FREESWITCH = EXAMPLES / "freeswitch" / "shaken.xml"
OPENSIPS = EXAMPLES / "opensips" / "shaken.cfg"

_ADDRESS = "http://127.0.0.1:8080"
_FREESWITCH_UNSAFE = set('\r\n #%&+:;<=>?@[\\]^`{|}"')
_ESCAPED = re.compile(r"%[0-9A-F]{2}")


@dataclass(frozen=True)
class Call:
    """A call as the program sees it: who calls, what was dialled, the Identity that came with it.

    `identity` None: there is no such header.
    """

    caller: str
    dialled: str
    identity: str | None = None


@dataclass(frozen=True)
class Site:
    """Where the service is, and `NAME:SECRET` of a credential of each role."""

    url: str
    signer: str
    verifier: str

    def credential(self, *, signs: bool) -> str:
        """Return the credential that a request is sent with."""
        return self.signer if signs else self.verifier


Ask = Callable[[Site, Call], tuple[str, ...]]
"""Makes the arguments of `curl` for a call."""


def asterisk_signs(site: Site, call: Call) -> tuple[str, ...]:
    """Expand `CURL()` of context outbound."""
    return _asterisk(site, call, signs=True)


def asterisk_verifies(site: Site, call: Call) -> tuple[str, ...]:
    """Expand `CURL()` of context from-carrier."""
    return _asterisk(site, call, signs=False)


def _asterisk(site: Site, call: Call, *, signs: bool) -> tuple[str, ...]:
    context = re.split(r"^\[", ASTERISK.read_text(), flags=re.MULTILINE)
    text = next(each for each in context if each.startswith("outbound" if signs else "from-c"))
    role = "STIR_SIGNER" if signs else "STIR_VERIFIER"
    assert f"Set(CURLOPT(userpwd)=${{{role}}})" in text
    callee = re.search(r"Set\(CALLEE=\$\{FILTER\(0-9,\$\{EXTEN\}\)\}\)", text)
    assert callee is not None
    found = re.search(r"\$\{CURL\((.*)\)\}\)$", text, re.MULTILINE)
    assert found is not None
    values = {
        "STIR_URL": site.url,
        "EXTEN": call.dialled,
        "CALLEE": re.sub("[^0-9]", "", call.dialled),
        "CALLERID(num)": call.caller,
        "IDENTITY": call.identity or "",
    }
    url, _, form = _innermost_first(found[1], lambda name: _asterisk_value(name, values)).partition(
        ","
    )
    sent = ("-d", form) if form else ()
    return ("-u", site.credential(signs=signs), *sent, url)


def _asterisk_value(name: str, values: Mapping[str, str]) -> str:
    encoded = re.fullmatch(r"URIENCODE\((.*)\)", name, re.DOTALL)
    return quote(encoded[1], safe="") if encoded else values[name]


def _innermost_first(text: str, value_of: Callable[[str], str]) -> str:
    """Expand `${…}` from the inside; what comes out of one is not expanded again."""
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        name = re.sub("\x00([0-9]+)\x00", lambda each: kept[int(each[1])], match[1])
        kept.append(value_of(name))
        return f"\x00{len(kept) - 1}\x00"

    while (changed := re.sub(r"\$\{([^${}]*)\}", keep, text)) != text:
        text = changed
    assert "${" not in text, text
    return re.sub("\x00([0-9]+)\x00", lambda each: kept[int(each[1])], text)


def freeswitch_signs(site: Site, call: Call) -> tuple[str, ...]:
    """Expand the action `curl` of context outbound."""
    return _freeswitch(site, call, "outbound")


def freeswitch_verifies(site: Site, call: Call) -> tuple[str, ...]:
    """Expand the action `curl` of context from-carrier."""
    return _freeswitch(site, call, "from-carrier")


def _freeswitch(site: Site, call: Call, context: str) -> tuple[str, ...]:
    condition, action = _freeswitch_action(context)
    dialled = re.fullmatch(condition, call.dialled)
    assert dialled is not None
    values = {
        "stir_sign": site.url.replace("://", f"://{site.signer}@"),
        "stir_verify": site.url.replace("://", f"://{site.verifier}@"),
        "effective_caller_id_number": call.caller,
        "caller_id_number": call.caller,
        "sip_h_identity": call.identity or "",
    }
    numbered = action.replace("$1", dialled[1])
    # mod_curl splits at spaces before it looks at the words.
    url, *words = _innermost_first(numbered, lambda name: _freeswitch_value(name, values)).split(
        " "
    )
    assert words[-1] == "get", words
    assert words[:-1:2] == ["connect-timeout", "timeout"]
    return (url,)


def _freeswitch_action(context: str) -> tuple[str, str]:
    root = ET.fromstring(FREESWITCH.read_text())  # noqa: S314 - our own file
    for condition in root.iterfind(f"context[@name='{context}']/extension/condition"):
        action = condition.find("action[@application='curl']")
        if action is not None:
            return condition.attrib["expression"], action.attrib["data"]
    raise AssertionError(f"no curl in {context}")


def _freeswitch_value(name: str, values: Mapping[str, str]) -> str:
    encoded = re.fullmatch(r"url_encode\((.*)\)", name, re.DOTALL)
    return _freeswitch_encoded(encoded[1]) if encoded else values[name]


def _freeswitch_encoded(text: str) -> str:
    """Encode as `url_encode`: what looks like an escape is left as it is."""
    return "".join(
        quote(char, safe="")
        if (char in _FREESWITCH_UNSAFE or not " " < char < "\x7f")
        and not (char == "%" and _ESCAPED.match(text, place))
        else char
        for place, char in enumerate(text)
    )


def opensips_signs(site: Site, call: Call) -> tuple[str, ...]:
    """Run the assignments of route shaken_sign."""
    names = _opensips(call, "shaken_sign", "$var(url)")
    return (*_opensips_basic(site.signer), names.replace(_ADDRESS, site.url))


def opensips_verifies(site: Site, call: Call) -> tuple[str, ...]:
    """Run the assignments of route shaken_verify."""
    form = _opensips(call, "shaken_verify", "$var(form)")
    url = re.search(r'rest_post\("([^"]+)", \$var\(form\)', OPENSIPS.read_text())
    assert url is not None
    return (*_opensips_basic(site.verifier), "-d", form, url[1].replace(_ADDRESS, site.url))


def _opensips_basic(credential: str) -> tuple[str, str]:
    encoded = base64.b64encode(credential.encode()).decode()
    return ("-H", f"Authorization: Basic {encoded}")


def _opensips(call: Call, route: str, wanted: str) -> str:
    """Run what is assigned to a variable in a route, with `if`s about headers and user parts."""
    text = OPENSIPS.read_text().split(f"route[{route}]")[1].partition("\n}")[0]
    there = {"fU": bool(call.caller), 'is_present_hf("Identity")': call.identity is not None}
    values = {
        "fU": call.caller,
        "rU": call.dialled,
        "tU": call.dialled,
        "ci": "a84b4c76e66710@pc33",
        "hdr(Identity)": call.identity or "",
    }
    said, runs = "", True
    for line in map(str.strip, text.splitlines()):
        if condition := re.fullmatch(r"if \((?:\$(fU) != NULL|(is_present_hf\(.*\)))\) \{", line):
            runs = there[condition[1] or condition[2]]
        elif line == "}":
            runs = True
        elif runs and line.startswith(f"{wanted} = "):
            terms = line.removeprefix(f"{wanted} = ").removesuffix(";").split(" + ")
            said = "".join(_opensips_term(term, wanted, said, values) for term in terms)
    return said


def _opensips_term(term: str, wanted: str, said: str, values: Mapping[str, str]) -> str:
    if term == wanted:
        return said
    if literal := re.fullmatch(r'"([^"]*)"', term):
        return literal[1]
    escaped = re.fullmatch(r"\$\((.*)\{rest\.escape\}\)", term)
    assert escaped is not None, term
    return quote(values[escaped[1]], safe="")


SIGNS: Mapping[str, Ask] = {
    "asterisk": asterisk_signs,
    "freeswitch": freeswitch_signs,
    "opensips": opensips_signs,
}
VERIFIES: Mapping[str, Ask] = {
    "asterisk": asterisk_verifies,
    "freeswitch": freeswitch_verifies,
    "opensips": opensips_verifies,
}
