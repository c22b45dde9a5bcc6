"""Every file of the corpus goes through the API: taken with its warnings, or refused and gone."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tests.vectors.certificates as vectors
from shaken.importing import Importer
from tests.shaken.world import World

FOLDER = Path(*vectors.__path__)
INDEX: Mapping[str, Any] = json.loads((FOLDER / "index.json").read_text())
CASES: Mapping[str, Mapping[str, Any]] = {case["file"]: case for case in INDEX["files"]}
BASE = "/api/v1/certificates"


@pytest.fixture
async def prepared(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A service with the tenant of the corpus that trusts its root and knows its public key."""
    for purpose in ("tls", "sti"):
        root = {"purpose": purpose, "certificate": INDEX["root"]}
        assert (await world.admin("POST", "/api/v1/roots", root)).status == 201
    tenant = {"address": INDEX["tenant"]}
    assert (await world.admin("POST", "/api/v1/tenants", tenant)).status == 201
    importer = partial(Importer, published_keys=frozenset(INDEX["public_keys"]))
    monkeypatch.setattr("shaken.api.certificates.Importer", importer)
    return world


def body_of(case: Mapping[str, Any]) -> dict[str, object]:
    content = (FOLDER / case["file"]).read_bytes()
    body: dict[str, object] = {"kind": case["kind"]}
    if case["file"].endswith(".p12"):
        body["pkcs12"] = base64.b64encode(content).decode("ascii")
    else:
        body["certificate"] = content.decode()
    return {**body, **({"passphrase": case["passphrase"]} if "passphrase" in case else {})}


async def is_changed(world: World, listed: bytes, revision: int) -> bool:
    """Say whether anything at all was stored since then."""
    page = await world.admin("GET", BASE)
    return (page.body, world.database.revision()) != (listed, revision)


@pytest.mark.parametrize("file", CASES)
async def test_a_file_of_the_corpus_gets_its_verdict(
    prepared: World, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    case = CASES[file]
    now = datetime.fromisoformat(case["now"]).timestamp()
    monkeypatch.setattr("shaken.api.http.time", SimpleNamespace(time=lambda: now))
    listed, revision = (await prepared.admin("GET", BASE)).body, prepared.database.revision()

    answer = await prepared.admin("POST", BASE, body_of(case))

    document = answer.json()
    if case["verdict"] == "accepted":
        assert answer.status == 201, document
        assert sorted(warning["slug"] for warning in document["warnings"]) == case["warnings"]
        assert document["has_private_key"]
        said = json.dumps(document["warnings"], ensure_ascii=False).replace('\\"', '"')
        assert case.get("names", document["names"]) == document["names"]
    else:
        assert (answer.status, document["type"]) == (400, case["slug"]), document
        assert [error["field"] for error in document["errors"]] == [case["field"]]
        assert not await is_changed(prepared, listed, revision)
        said = document["detail"]
    for part in case.get("says", []):
        assert part in said
    lines = (FOLDER / file).read_bytes().split()
    assert not [line for line in lines if len(line) > 40 and line in answer.body]


def test_the_corpus_has_each_file_once_and_holds_every_warning() -> None:
    files = {f"files/{file.name}" for file in (FOLDER / "files").iterdir()}
    warned = {slug for case in CASES.values() for slug in case.get("warnings", [])}

    assert files == set(CASES)
    assert len(files) == len(INDEX["files"]) >= 60
    assert warned == {
        *("expires-soon", "expired", "weak-key", "weak-hash", "no-san", "cn-only", "v1"),
        *("public-key", "chain-incomplete", "name-of-no-tenant", "untrusted"),
        *("bad-name", "not-presentable", "put-right"),
    }
