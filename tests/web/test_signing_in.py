"""Signing in to the admin pages: who may, for how long, and what keeps others out."""

import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest

from shaken.audit import Action
from shaken.credentials import Credential, Role, digest_of
from shaken.store.credentials import add_credential, remove_credential
from shaken.web.routes import own_path
from shaken.web.security import is_of_own_site
from shaken.web.sessions import IDLE_SECONDS, LIFETIME_SECONDS, MAX_SESSIONS, Sessions
from tests.web.scenery import ACME, ALICE, BOUND, MACHINE, VICTOR, Service
from tests.web.visitor import Visitor, signed_in

FINE, TO_SIGN_IN = 200, 303


@pytest.mark.parametrize(
    ("name", "status"), [(ALICE, 303), (VICTOR, 303), (BOUND, 303), (MACHINE, 403)]
)
async def test_credentials_of_people_sign_in_and_those_of_machines_do_not(
    service: Service, name: str, status: int
) -> None:
    visitor = Visitor(service)

    seen = await visitor.sign_in(name)

    assert seen.status == status
    assert (visitor.token is not None) == (status == 303)
    assert (await visitor.get("/admin")).status == (FINE if status == 303 else TO_SIGN_IN)


@pytest.mark.parametrize(
    ("name", "secret"),
    [(ALICE, "shk_wrong"), ("nobody", "shk_wrong"), ("", ""), (ALICE, "x" * 2000), ("a:b", "é")],
)
async def test_a_wrong_secret_is_refused_and_the_name_kept(
    service: Service, name: str, secret: str
) -> None:
    seen = await Visitor(service).sign_in(name, secret, next="/admin/certificates")

    assert seen.status == 403
    assert "WWW-Authenticate" not in seen.headers
    assert f'value="{name}"' in seen.text
    assert 'value="/admin/certificates"' in seen.text
    assert len(secret) < 3 or secret not in seen.text


async def test_who_fails_too_often_is_slowed_down_here_and_at_the_api_alike(
    service: Service,
) -> None:
    visitor = Visitor(service)
    for _ in range(10):
        assert (await visitor.sign_in(ALICE, "shk_wrong")).status == 403

    slowed = await visitor.sign_in(ALICE, "shk_wrong")
    api = await visitor.ask("GET", "/api/v1/tenants", headers={"Authorization": "Bearer wrong"})

    assert slowed.status == 429
    assert int(slowed.headers["Retry-After"]) > 0
    assert api.status == 429
    assert (await visitor.sign_in(ALICE)).status == 303, "the right secret passes at once"


async def test_the_cookie_is_for_these_pages_only(service: Service) -> None:
    seen = await Visitor(service).sign_in(ALICE)

    cookie = seen.headers["Set-Cookie"]
    assert cookie.startswith("shaken-session=")
    assert {part.strip() for part in cookie.split(";")[1:]} == {
        "HttpOnly",
        "Path=/admin",
        "SameSite=Strict",
    }


async def test_over_https_the_cookie_is_secure_and_no_other_counts(proxied: Service) -> None:
    told = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    visitor = Visitor(proxied, told)

    seen = await visitor.sign_in(ALICE)

    assert seen.headers["Set-Cookie"].startswith("__Host-shaken-session=")
    assert "; Secure" in seen.headers["Set-Cookie"]
    assert (await visitor.get("/admin")).status == FINE
    visitor.cookie = "shaken-session"
    assert (await visitor.get("/admin")).status == TO_SIGN_IN
    visitor.cookie = "__Host-shaken-session"
    ended = await visitor.post("/admin/sign-out", {})
    assert ended.headers["Set-Cookie"].startswith('__Host-shaken-session=""')
    assert "; Secure" in ended.headers["Set-Cookie"], "browsers take it no other way"


@pytest.mark.parametrize(
    "told",
    [
        {"X-Forwarded-For": "192.0.2.7"},
        {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http"},
    ],
)
async def test_over_plain_http_no_page_is_shown(proxied: Service, told: dict[str, str]) -> None:
    visitor = Visitor(proxied, told)

    for path in ("/admin", "/admin/sign-in", "/admin/certificates"):
        seen = await visitor.get(path)
        assert seen.status == 403
        assert "https" in seen.text
    assert (await visitor.sign_in(ALICE)).status == 403


async def test_what_an_undeclared_proxy_carries_is_not_shown(service: Service) -> None:
    told = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}

    assert (await Visitor(service, told).sign_in(ALICE)).status == 403


async def test_the_store_holds_no_token(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    assert visitor.token is not None

    file = service.prepared.folder / "shaken.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("select * from sessions").fetchall()

    assert len(visitor.token) >= 43
    assert [row[0] for row in rows] == [sha256(visitor.token.encode()).digest()]
    assert visitor.token not in repr(rows)


async def test_another_worker_knows_the_session(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    assert visitor.token is not None

    with closing(service.prepared.open_database()) as database:
        session = Sessions(database).find(visitor.token, now=int(service.clock()))

    assert session is not None
    assert session.credential == ALICE


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([IDLE_SECONDS - 1], FINE),
        ([IDLE_SECONDS], TO_SIGN_IN),
        ([IDLE_SECONDS - 60] * 3, FINE),
        ([1700] * (LIFETIME_SECONDS // 1700), FINE),
        ([1700] * (LIFETIME_SECONDS // 1700 + 1), TO_SIGN_IN),
    ],
)
async def test_a_session_ends_when_it_is_idle_or_old(
    service: Service, steps: list[int], status: int
) -> None:
    visitor = await signed_in(service, ALICE)

    for seconds in steps:
        service.clock.now += seconds
        seen = await visitor.get("/admin/certificates")

    assert seen.status == status
    if status == TO_SIGN_IN:
        assert seen.location == "/admin/sign-in?next=%2Fadmin%2Fcertificates&why=ended"


async def test_a_session_ends_with_its_credential_even_if_another_gets_its_name(
    service: Service,
) -> None:
    visitor = await signed_in(service, ALICE)

    def revoke_and_make_again(change: object) -> None:
        remove_credential(change, ALICE)  # type: ignore[arg-type]
        again = Credential(ALICE, Role.ADMIN, digest_of("another"), None, None, ())
        add_credential(change, again, now=0)  # type: ignore[arg-type]
        change.audit(Action.CREDENTIAL_REVOKE, ALICE, tenant=None)  # type: ignore[attr-defined]

    await service.change(revoke_and_make_again)

    assert (await visitor.get("/admin")).status == TO_SIGN_IN


async def test_signing_in_gives_a_new_token_and_ends_the_old_session(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    old = visitor.token

    await visitor.sign_in(VICTOR)

    assert visitor.token != old
    visitor.token = old
    assert (await visitor.get("/admin")).status == TO_SIGN_IN


async def test_a_credential_has_so_many_sessions_and_the_oldest_ends(service: Service) -> None:
    first = await signed_in(service, ALICE)
    for _ in range(MAX_SESSIONS - 1):
        service.clock.now += 1
        await signed_in(service, ALICE)
    assert (await first.get("/admin")).status == FINE

    service.clock.now += 1
    await signed_in(service, ALICE)

    assert (await first.get("/admin")).status == TO_SIGN_IN


async def test_who_signs_out_is_out(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    token = visitor.token

    seen = await visitor.post("/admin/sign-out", {})

    assert seen.location == "/admin/sign-in?why=out"
    assert visitor.token is None
    visitor.token = token
    assert (await visitor.get("/admin")).status == TO_SIGN_IN


async def test_a_stranger_signs_nobody_out(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    assert (await visitor.post("/admin/sign-out", {}, csrf="0" * 64)).status == 403
    assert (await visitor.get("/admin")).status == FINE


async def test_after_signing_in_the_page_that_was_asked_for_comes(service: Service) -> None:
    visitor = Visitor(service)
    asked = await visitor.get("/admin/certificates?tab=system")

    assert asked.location == "/admin/sign-in?next=%2Fadmin%2Fcertificates%3Ftab%3Dsystem"
    assert 'value="/admin/certificates?tab=system"' in (await visitor.get(asked.location)).text
    seen = await visitor.sign_in(ALICE, next="/admin/certificates?tab=system")
    assert seen.location == "/admin/certificates?tab=system"


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ("/admin", "/admin"),
        ("/admin/certificates?tab=sti", "/admin/certificates?tab=sti"),
        ("/admin?period=week", "/admin?period=week"),
        ("", "/admin"),
        ("/administration", "/admin"),
        ("https://example.com/admin", "/admin"),
        ("//example.com/admin", "/admin"),
        ("/admin//example.com", "/admin"),
        ("/admin/\\example.com", "/admin"),
        ("/admin/\r\nSet-Cookie: a=b", "/admin"),
        ("/admin/é", "/admin"),
    ],
)
def test_only_our_own_pages_come_next(wanted: str, taken: str) -> None:
    assert own_path(wanted) == taken


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "https://pbx.example.com", "Host": "pbx.example.com"}, True),
        ({"Origin": "https://pbx.example.com:8443", "Host": "pbx.example.com"}, False),
        ({"Origin": "https://evil.example", "Host": "pbx.example.com"}, False),
        ({"Origin": "null", "Host": "pbx.example.com"}, False),
    ],
)
def test_forms_come_from_our_own_pages(headers: dict[str, str], own: object) -> None:
    assert is_of_own_site(headers) is own


async def test_a_form_of_another_site_does_nothing(service: Service) -> None:
    foreign = Visitor(service, {"Sec-Fetch-Site": "cross-site"})

    assert (await foreign.sign_in(ALICE)).status == 403
    assert foreign.token is None


async def test_a_link_of_another_site_leads_to_the_page_by_one_of_ours(service: Service) -> None:
    path = "/admin/certificates?tab=system&search=%22%3E"
    led = Visitor(service, {"Sec-Fetch-Site": "cross-site"})

    seen = await led.get(path)

    assert seen.status == 200
    assert 'content="0; url=/admin/certificates?tab=system&amp;search=%22%3E"' in seen.text
    again = await Visitor(service, {"Sec-Fetch-Site": "same-origin"}).get(path)
    assert again.status == TO_SIGN_IN


async def test_an_admin_of_one_tenant_sees_that_tenant_only(service: Service) -> None:
    visitor = await signed_in(service, BOUND)

    listed = (await visitor.get("/admin/certificates")).text
    other = service.scenery.certificates["globex.example.net"]

    assert ACME in listed
    assert "globex" not in listed
    assert (await visitor.get(f"/admin/certificates/{other}")).status == 404
    assert "globex" not in (await visitor.get("/admin")).text


@pytest.mark.parametrize("origin", ["http://[", "https://elsewhere.example", "null"])
async def test_a_form_of_another_origin_is_refused_however_it_is_written(
    service: Service, origin: str
) -> None:
    visitor = Visitor(service, headers={"Origin": origin})

    assert (await visitor.sign_in(ALICE)).status == 403


async def test_signing_in_and_out_takes_small_plain_forms_only(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    parts = {"Content-Type": "multipart/form-data; boundary=x"}
    plain = {"Content-Type": "application/x-www-form-urlencoded"}

    cut_up = await visitor.ask("POST", "/admin/sign-out", data=b"\n" * 15_000, headers=parts)
    large = await visitor.ask("POST", "/admin/sign-out", data=b"0" * 20_000, headers=plain)

    assert (cut_up.status, large.status) == (415, 413)
