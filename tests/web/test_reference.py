"""`/docs` tells the API to anybody, in words."""

import re

from shaken.api.openapi import openapi_document
from shaken.api.table import TABLE
from tests.web.scenery import Service
from tests.web.visitor import Visitor


async def test_anybody_may_read_the_reference(service: Service) -> None:
    seen = await Visitor(service).get("/docs")

    assert seen.status == 200
    assert seen.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in seen.headers["Content-Security-Policy"]
    assert seen.text.count("<h1>") == 1


async def test_every_route_is_told_with_its_method_and_role(service: Service) -> None:
    text = (await Visitor(service).get("/docs")).text

    document = openapi_document(TABLE, version="0")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            told = re.escape(f"<b>{method.upper()}</b> <code>{path}</code>")
            found = re.search(told + r"</h3>\s*<p>(.*?)</p>", text)
            assert found, (method, path)
            assert operation.get("description", "Role: none.").split(".")[0] in found[1]


async def test_every_type_that_is_named_is_told_once(service: Service) -> None:
    text = (await Visitor(service).get("/docs")).text

    named = set(re.findall(r'href="#([A-Za-z]+)"', text))
    assert len(named) > 50
    for name in named - {"main"}:
        assert text.count(f'id="{name}"') == 1, name


async def test_members_are_told_with_what_they_take(service: Service) -> None:
    text = (await Visitor(service).get("/docs")).text

    trunk = text[text.index('id="TrunkCreation"') : text.index('id="TrunkList"')]
    assert re.search(r"<code>networks</code></dt><dd>list of string, may be left out", trunk)
    assert '<a href="#VerificationPolicy">' in trunk


async def test_the_reference_leads_to_what_this_service_serves_only(service: Service) -> None:
    text = (await Visitor(service).get("/docs")).text

    for target in re.findall(r'(?:src|href|action)="([^#"][^"]*)"', text):
        assert (await Visitor(service).get(target)).status in {200, 303}, target
