"""What the examples for dial plans send is what the service takes.

The programs themselves are in no package of Debian 12: what can be tested is what they would ask.
"""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from shaken.api.dialplan import PARAMETERS

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = {
    "asterisk": EXAMPLES / "asterisk" / "extensions.conf",
    "freeswitch": EXAMPLES / "freeswitch" / "shaken.xml",
    "opensips": EXAMPLES / "opensips" / "shaken.cfg",
}
_PARAMETER = re.compile(r"(?:[?&,\" ]|&amp;)([a-z_]+)=")


def asked(text: str) -> dict[str, set[str]]:
    """Find the routes that an example asks, and the parameters that stand in the same request."""
    found: dict[str, set[str]] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines):
        for path in PARAMETERS:
            if path in line:
                # OpenSIPS writes the form on the line before.
                request = lines[number - 1] + line if "$var(form)" in line else line
                found[path] = set(_PARAMETER.findall(request)) - {"application", "data"}
    return found


@pytest.mark.parametrize("program", FILES)
def test_an_example_signs_and_verifies_with_parameters_that_there_are(program: str) -> None:
    found = asked(FILES[program].read_text())

    assert set(found) == set(PARAMETERS)
    for path, names in found.items():
        assert names <= set(PARAMETERS[path])
        assert {"orig", "dest"} <= names
    assert "identity" in found["/dialplan/v1/verify"]


def test_the_example_of_freeswitch_is_xml_whose_extensions_are_reached() -> None:
    root = ET.fromstring(FILES["freeswitch"].read_text())  # noqa: S314 - our own file

    patterns = [each.get("expression") or "" for each in root.iter("condition")]
    assert any(re.match(pattern, "identity-200") for pattern in patterns)
    assert any(re.match(pattern, "identity-403") for pattern in patterns)
    assert any(re.match(pattern, "verified-12155550199") for pattern in patterns)


def test_the_example_of_opensips_closes_what_it_opens() -> None:
    text = re.sub(r'"[^"]*"|#.*', "", FILES["opensips"].read_text())

    for opening, closing in ("{}", "()", "[]"):
        assert text.count(opening) == text.count(closing)


def test_each_line_of_the_example_of_asterisk_has_its_form() -> None:
    for line in FILES["asterisk"].read_text().splitlines():
        assert re.fullmatch(
            r"|\s*;.*|\[[\w-]+\]|[A-Z_]+=.*"
            r"|exten => \S+,1,\w+\(.*\)|\s*same => n(\(\w+\))?,\w+\(.*\)",
            line,
        ), line
        assert line.count("(") == line.count(")") or line.startswith(";")
        assert line.count("{") == line.count("}")
