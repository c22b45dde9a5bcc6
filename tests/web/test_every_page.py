"""What holds for all pages: who may come, which headers answers have, that no key is shown."""

import re
from io import BytesIO

import pytest

from shaken.web.form_bodies import MAX_FORM, MAX_SMALL
from tests.web.scenery import ACME, ALICE, CREDENTIALS, MACHINE, RENEWED, VICTOR, Service
from tests.web.visitor import Visitor, signed_in

ASKING = "/admin/try/verify"
"""What viewers may send, too: it changes nothing, but asks more than an address holds."""

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def paths(service: Service, method: str, who: str = ALICE) -> list[str]:
    """List all pages for a method and a person, with the id of a certificate where one is needed.

    Of GET those that the person may see, of POST all.
    """
    role = CREDENTIALS[who][0]
    identity = service.scenery.certificates[ACME]
    root = next(iter(service.snapshots.current.root_rows.rows.values()))
    request = service.scenery.requests[ACME]
    return [
        page.path.replace("/trunks/{name}", "/trunks/main")
        .replace("/requests/{id}", f"/requests/{request}")
        .replace("/renewals/{id}", f"/renewals/{RENEWED.id}")
        .replace("/roots/{purpose}/", f"/roots/{root.purpose.value}/")
        .replace("{purpose}", "sti")
        .replace("{id}", root.id if "/roots/" in page.path else identity)
        .replace("{name}", MACHINE)
        .replace("{address}", ACME)
        for page in service.pages.pages
        if page.method == method and (method == "POST" or page.permits(role))
    ]


async def test_strangers_are_sent_to_sign_in(service: Service) -> None:
    visitor = Visitor(service)

    for method in ("GET", "POST"):
        for path in [*paths(service, method), "/admin/no-such-page"]:
            seen = await visitor.ask(method, path)
            assert seen.status == 303, path
            assert seen.location.startswith("/admin/sign-in"), path


async def test_a_token_that_is_none_opens_nothing(service: Service) -> None:
    for token in ("x", "x" * 43, "x" * 5000, "é"):
        visitor = Visitor(service, token=token)
        assert (await visitor.get("/admin")).status == 303


@pytest.mark.parametrize("who", [ALICE, VICTOR])
async def test_every_page_shows_itself_to_people(service: Service, who: str) -> None:
    visitor = await signed_in(service, who)

    for path in paths(service, "GET", who):
        seen = await visitor.get(path)
        assert seen.status == (303 if path == "/admin/" else 200), path
        if seen.status == 200 and seen.headers["Content-Type"].startswith("text/html"):
            assert seen.text.count("<h1>") == 1, path
            assert "<title>" in seen.text, path


async def test_viewers_get_no_form_that_changes_something(service: Service) -> None:
    visitor = await signed_in(service, VICTOR)

    for path in paths(service, "GET", VICTOR):
        forms = re.findall(r'<form[^>]*method="post"[^>]*>', (await visitor.get(path)).text)
        assert all("/admin/sign-out" in form or ASKING in form for form in forms), path
    for path in set(paths(service, "GET")) - set(paths(service, "GET", VICTOR)):
        assert (await visitor.get(path)).status == 403, path
    for path in set(paths(service, "POST")) - {ASKING}:
        seen = await visitor.post(path, {"id": service.scenery.certificates[ACME], "sure": "yes"})
        assert seen.status == 403, path


async def test_a_form_without_the_sessions_token_does_nothing(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    other = await signed_in(service, ALICE)
    foreign = (await other.get("/admin")).csrf

    for path in paths(service, "POST"):
        for token in ("", "0" * 64, foreign, "é"):
            seen = await visitor.post(path, {"id": "0" * 64, "sure": "yes"}, csrf=token)
            assert seen.status == 403, (path, token)


async def test_every_answer_says_what_a_browser_may_do_with_it(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    html = ["/admin", "/admin/certificates", "/admin/no-such-page", "/admin/sign-in"]

    for path in [*html, *paths(service, "GET")]:
        seen = await visitor.get(path)
        assert seen.headers["Content-Security-Policy"] == POLICY, path
        assert seen.headers["X-Content-Type-Options"] == "nosniff", path
        assert seen.headers["Referrer-Policy"] == "same-origin", path
        assert seen.headers["X-Frame-Options"] == "DENY", path
        assert seen.headers["Cache-Control"] == "no-store", path


async def test_pages_hold_no_style_and_script_of_their_own(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    for path in paths(service, "GET"):
        text = (await visitor.get(path)).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*src=)", text), path
        assert not re.findall(r'(?:src|href|action)="(?!/admin)[^#][^"]*"', text), path


async def test_style_and_script_may_be_kept_as_they_never_change(service: Service) -> None:
    visitor = Visitor(service)
    text = (await visitor.get("/admin/sign-in")).text

    found = re.findall(r'"(/admin/static/[^"]+)"', text)
    assert len(set(found)) == 3
    for path in found:
        seen = await visitor.get(path)
        assert seen.status == 200
        assert "immutable" in seen.headers["Cache-Control"]
        assert seen.headers["X-Content-Type-Options"] == "nosniff"
    assert (await visitor.get("/admin/static/../pages.py")).status != 200
    assert (await visitor.get("/admin/static/shaken.css")).status == 404


async def test_no_page_and_no_download_holds_a_key(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    for path in paths(service, "GET"):
        assert b"PRIVATE KEY" not in (await visitor.get(path)).body, path


async def test_what_is_not_there_has_a_page_too(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    for path in ("/admin/no-such-page", f"/admin/certificates/{'0' * 64}", "/admin/certificates/x"):
        seen = await visitor.get(path)
        assert seen.status == 404
        assert 'href="/admin"' in seen.text
    assert (await visitor.ask("DELETE", "/admin")).status == 404


async def test_a_head_request_is_answered_like_a_get(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.ask("HEAD", "/admin/certificates")

    assert seen.status == 200
    assert seen.body == b""


async def test_bodies_are_bounded_and_must_be_forms(service: Service) -> None:
    visitor = Visitor(service)

    fits, large = (f"name={'x' * (MAX_SMALL - 5 + more)}" for more in (0, 1))
    refused = await visitor.ask("POST", "/admin/sign-in", data=fits, headers=FORM)
    too_large = await visitor.ask("POST", "/admin/sign-in", data=large, headers=FORM)
    no_form = await visitor.ask("POST", "/admin/sign-in", json={"name": ALICE})
    too_many = await visitor.ask("POST", "/admin/sign-in", data="a&" * 2000, headers=FORM)
    nul = await visitor.ask("POST", "/admin/sign-in", data={"name": "a\0b", "secret": "x"})

    assert [seen.status for seen in (refused, too_large, no_form, too_many, nul)] == [
        403,
        413,
        415,
        400,
        400,
    ]


async def test_the_form_of_who_has_signed_in_is_bounded_too(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    for path in paths(service, "POST"):
        for more, status in ((0, 403), (1, 413)):
            body = BytesIO(b"csrf=" + b"x" * (MAX_FORM - 5 + more))
            seen = await visitor.ask("POST", path, data=body, headers=FORM)
            assert seen.status == status, path


async def test_a_nul_character_in_an_address_is_refused(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    for path in paths(service, "GET"):
        seen = await visitor.get(f"{path}?search=%00&period=%00")
        assert seen.status == 400, path
        assert "NUL" in seen.text, path
    for page in service.pages.pages:
        if "{" in page.path:
            path = re.sub(r"{\w+}", "a%00b", page.path)
            seen = await visitor.ask(page.method, path, data={"csrf": "x"})
            assert seen.status == 404, path
