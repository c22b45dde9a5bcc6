"""What the examples for dial plans send is what the service takes, and they read what it answers.

The programs themselves are in no package of Debian 12: what they would ask is asked with `curl`.
"""

import configparser
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.system.caller import Caller
from tests.system.dialplans import (
    ASTERISK,
    EXAMPLES,
    FREESWITCH,
    OPENSIPS,
    SIGNS,
    VERIFIES,
    Call,
    Site,
)
from tests.system.independent import verified_claims
from tests.system.process import read_demo, run_program, running

CALLER, CALLEE = "+12155550100", "+12155550199"


@dataclass(frozen=True)
class Plans:
    """The dial plans of the examples at a running service."""

    site: Site
    signer: Caller

    def sign(self, program: str, call: Call) -> str:
        """Ask what the example asks for a call that goes out; return the line."""
        return self._curl(SIGNS[program](self.site, call))

    def verify(self, program: str, call: Call) -> str:
        """Ask what the example asks for a call that comes in; return the line."""
        return self._curl(VERIFIES[program](self.site, call))

    def _curl(self, arguments: tuple[str, ...]) -> str:
        return run_program("curl", "-sS", "--globoff", *arguments)


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plans]:
    with running(tmp_path_factory.mktemp("examples"), "--demo") as service:
        demo: dict[str, Any] = read_demo(service.data)
        names = {
            role: f"{demo[role]['name']}:{demo[role]['secret']}" for role in ("signer", "verifier")
        }
        site = Site(service.url, names["signer"], names["verifier"])
        yield Plans(site, Caller(service.url, demo["signer"]["secret"]))


@pytest.mark.parametrize("program", SIGNS)
def test_an_example_signs_and_verifies_a_call(plans: Plans, program: str) -> None:
    identity = plans.sign(program, Call(CALLER, CALLEE))

    verdict = plans.verify(program, Call(CALLER, CALLEE, identity))
    elsewhere = plans.verify(program, Call(CALLER, "+12155550111", identity))

    claims = verified_claims(plans.signer, identity)
    assert (claims["orig"], claims["dest"]) == ({"tn": "12155550100"}, {"tn": ["12155550199"]})
    assert verdict == "TN-Validation-Passed A accept"
    assert elsewhere.startswith("TN-Validation-Failed - accept 438 Invalid Identity Header")


@pytest.mark.parametrize("program", VERIFIES)
@pytest.mark.parametrize("caller", [CALLER, "", "anonymous"])
def test_an_example_asks_about_calls_without_identity_and_without_caller(
    plans: Plans, program: str, caller: str
) -> None:
    assert plans.verify(program, Call(caller, CALLEE)) == "No-TN-Validation - accept"


@pytest.mark.parametrize("program", VERIFIES)
@pytest.mark.parametrize(
    "more",
    [
        "&orig=1",
        "&dest=12155550111",
        "%26orig=1",
        "%26unknown=1",
        "&unknown=1 get",
        ", b",
        '" + x',
        "#",
        "${STIR_SIGNER}",
    ],
)
def test_what_a_caller_writes_into_a_header_stays_the_value_of_one_parameter(
    plans: Plans, program: str, more: str
) -> None:
    identity = plans.sign(program, Call(CALLER, CALLEE))

    verdict = plans.verify(program, Call(CALLER, CALLEE, identity + more))

    # An error would be another answer than a verdict: a policy that rejects could be got round.
    assert verdict.startswith("TN-Validation-"), verdict


@pytest.mark.parametrize("program", SIGNS)
def test_what_comes_in_place_of_an_identity_is_told_from_one(plans: Plans, program: str) -> None:
    refused = plans.sign(program, Call("nobody", CALLEE))

    assert refused.startswith("error: Invalid 'orig' parameter value")
    assert plans.sign(program, Call(CALLER, CALLEE)).startswith("eyJ")


def test_each_example_takes_for_an_identity_only_what_begins_like_one() -> None:
    assert '"${IDENTITY:0:3}" != "eyJ"]?unsigned' in ASTERISK.read_text()
    assert 'expression="^eyJ"' in FREESWITCH.read_text()
    assert '$var(line) =~ "^eyJ"' in OPENSIPS.read_text()


# The forms of the files, and what happens after the answer.


def test_each_line_of_the_example_of_asterisk_has_its_form() -> None:
    for line in ASTERISK.read_text().splitlines():
        assert re.fullmatch(
            r"|\s*;.*|\[[\w-]+\]|[A-Z_]+=.*"
            r"|exten => \S+,1,\w+\(.*\)|\s*same => n(\(\w+\))?,\w+\(.*\)",
            line,
        ), line
        if not line.lstrip().startswith(";"):
            assert line.count("(") == line.count(")"), line
            assert line.count("{") == line.count("}"), line
            assert ";" not in line, "the rest of the line would be a comment"


def test_the_example_of_asterisk_goes_only_where_there_is_something() -> None:
    for context in re.split(r"^\[", ASTERISK.read_text(), flags=re.MULTILINE):
        labels = set(re.findall(r"same => n\((\w+)\)", context))
        assert set(re.findall(r"(?:\]\?|Goto\()(\w+)\)$", context, re.MULTILINE)) <= labels


def test_the_example_of_asterisk_lets_no_caller_name_an_application_or_a_channel() -> None:
    plan = [line for line in ASTERISK.read_text().splitlines() if not line.lstrip().startswith(";")]

    for line in plan:
        if "CALLERID(name)" in line:
            assert re.search(r",Set\(CALLERID\(name\)=[^$]*(\$\{ATTEST\}\] )?", line), line
        assert "ExecIf" not in line
        assert "EXTEN" not in line or "FILTER(0-9,${EXTEN})" in line


def test_the_endpoints_of_the_example_of_asterisk_are_those_of_its_dial_plan() -> None:
    sections = _sections((EXAMPLES / "asterisk" / "pjsip.conf").read_text())
    endpoints = {name: each for name, each in sections if each["type"] == "endpoint"}
    contexts = re.findall(r"^\[([\w-]+)\]", ASTERISK.read_text(), re.MULTILINE)
    by_type = {(each["type"], name) for name, each in sections}

    assert endpoints["carrier"]["context"] == "from-carrier"
    assert endpoints.keys() >= set(re.findall(r"PJSIP/\S+@(\w+)", ASTERISK.read_text()))
    for each in endpoints.values():
        assert each["context"] in contexts
        assert ("aor", each["aors"]) in by_type
        assert ("transport", each["transport"]) in by_type
        assert "auth" not in each or ("auth", each["auth"]) in by_type


def _sections(text: str) -> list[tuple[str, dict[str, str]]]:
    """Read a file of pjsip, where sections of several types have one name."""
    found = []
    for block in re.split(r"^(?=\[)", text, flags=re.MULTILINE)[1:]:
        parser = configparser.ConfigParser(comment_prefixes=(";",), interpolation=None)
        parser.read_string(block)
        (name,) = parser.sections()
        found.append((name, dict(parser[name])))
    return found


def hunt(context: str, dialled: str, **variables: str) -> list[tuple[str, str]]:
    """Run a context of FreeSWITCH as its XML dial plan does; list the actions."""
    root = ET.fromstring(FREESWITCH.read_text())  # noqa: S314 - our own file
    values = {"destination_number": dialled, **{f"${{{k}}}": v for k, v in variables.items()}}
    actions: list[tuple[str, str]] = []
    for extension in root.iterfind(f"context[@name='{context}']/extension"):
        conditions = extension.findall("condition")
        if all(re.search(each.attrib["expression"], values[each.attrib["field"]])
               for each in conditions):  # fmt: skip
            actions += [
                (each.attrib["application"], each.attrib["data"])
                for condition in conditions
                for each in condition.iterfind("action")
            ]
            if extension.get("continue") != "true":
                break
    return actions


@pytest.mark.parametrize(
    ("code", "data", "application"),
    [
        ("200", "eyJhbGci.e.s;info=<https://x>", "export"),
        ("200", "<html>", "log"),
        ("403", "error: Not permitted", "log"),
        ("0", "", "log"),
    ],
)
def test_freeswitch_sends_an_identity_only_where_there_is_one(
    code: str, data: str, application: str
) -> None:
    actions = hunt("stir-signed", f"identity-{code}", curl_response_data=data)

    assert [each for each, _ in actions] == [application]


@pytest.mark.parametrize(
    ("verdict", "applications", "mark"),
    [
        ("TN-Validation-Passed B accept", ["set", "bridge"], "[$1]"),
        ("TN-Validation-Failed - accept 438 Invalid", ["set", "bridge"], "[spoofed?]"),
        ("No-TN-Validation - accept", ["set", "bridge"], "[not validated]"),
        ("error: the URL has more than 32", ["set", "bridge"], "[not validated]"),
        ("", ["set", "bridge"], "[not validated]"),
        ("No-TN-Validation - reject 428 Use Identity Header", ["log", "hangup"], "refused"),
    ],
)
def test_freeswitch_does_what_the_verdict_says(
    verdict: str, applications: list[str], mark: str
) -> None:
    actions = hunt("stir-verified", "12155550199", stir_verdict=verdict)

    assert [each for each, _ in actions] == applications
    assert mark in actions[0][1]


@pytest.mark.parametrize("dialled", ["identity-200", "verified-12155550199", "12155550199 XML x"])
def test_nobody_dials_past_the_questions_of_freeswitch(dialled: str) -> None:
    assert hunt("outbound", dialled) == hunt("from-carrier", dialled) == []


def test_the_example_of_opensips_closes_what_it_opens() -> None:
    text = re.sub(r'"[^"]*"|#.*', "", OPENSIPS.read_text())

    for opening, closing in ("{}", "()", "[]"):
        assert text.count(opening) == text.count(closing)
    for line in map(str.strip, text.splitlines()):
        assert not line or line[-1] in ";{}" or line.startswith(("loadmodule", "modparam")), line


def test_opensips_removes_what_others_wrote_before_it_writes() -> None:
    for route in OPENSIPS.read_text().split("route[")[1:]:
        written = re.findall(r'(?<!rest_)append_hf\("(.*)"\)', route)
        names = {line.partition(":")[0] for text in written for line in text.split(r"\r\n")} - {""}
        assert names
        for name in names:
            assert f'remove_hf("{name}")' in route.partition("\tappend_hf")[0]


@pytest.mark.parametrize(
    ("verdict", "pattern"),
    [
        ("TN-Validation-Passed A accept", "^TN-Validation-Passed A "),
        ("TN-Validation-Failed - accept 438 Invalid", "^TN-Validation-Failed "),
        ("No-TN-Validation - reject 428 Use Identity Header", "^[^ ]+ [^ ]+ reject"),
    ],
)
def test_the_first_pattern_of_opensips_that_fits_a_verdict_is_its_own(
    verdict: str, pattern: str
) -> None:
    verify = OPENSIPS.read_text().split("route[shaken_verify]")[1]

    fitting = [each for each in re.findall(r'=~ "([^"]+)"', verify) if re.search(each, verdict)]

    assert fitting[:1] == [pattern]
