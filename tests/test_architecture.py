"""docs/architecture.md shows the tree as it is."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
UNSHOWN = {"__init__.py"}


def shown() -> set[str]:
    """List the modules of the drawn tree; two spaces before a name are one folder deeper."""
    text = (ROOT / "docs/architecture.md").read_text()
    tree = text.split("```\nsip/", 1)[1].split("```", 1)[0]
    folders: list[str] = []
    found = set()
    for line in f"sip/{tree}".splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        folders = folders[:depth]
        for name in re.split(r"\s{2,}", line.strip())[0].split():
            if name.endswith("/"):
                folders = [*folders[:depth], name]
            elif name.endswith(".py"):
                found.add("".join(folders) + name)
    return found


def test_the_drawn_tree_has_each_module_and_no_other() -> None:
    there = {
        str(path.relative_to(ROOT))
        for package in ("sip", "trust", "shaken")
        for path in (ROOT / package).rglob("*.py")
        if path.name not in UNSHOWN and "migrations" not in path.parts
    }

    assert shown() == there


def test_keys_of_certificates_are_loaded_where_their_kind_is_looked_at_first() -> None:
    loading = re.compile(
        r"\b(?:certificate|leaf|issuer|signer|root|cert|one|chain\[\d+\])\.public_key\(\)"
    )

    found = [
        str(path.relative_to(ROOT))
        for package in ("trust", "shaken")
        for path in (ROOT / package).rglob("*.py")
        if loading.search(path.read_text())
    ]

    assert found == ["trust/key_kinds.py"]
