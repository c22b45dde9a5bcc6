"""Keys and secrets do not travel over plain HTTP, and only declared proxies speak for others."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from shaken.credentials import Role
from tests.shaken.api_admin.arranging import (
    new_credential,
    new_tenant,
    new_trunk,
    problem,
    state,
    unused,
    upload,
)
from tests.system.caller import Answer, Caller
from tests.system.process import Service, running, seed_credential
from trust.authority import Authority

FAR, FARTHER, NEAR = "203.0.113.7", "198.51.100.9", "127.0.0.1"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """A service behind a proxy on this machine that it was told to believe."""
    folder: Path = tmp_path_factory.mktemp("proxied")
    secret = seed_credential(folder / "data", role=Role.ADMIN, name="root")
    settings = {"SHAKEN_HTTP__TRUSTED_PROXIES": "127.0.0.1/32, 10.0.0.0/8"}
    with running(folder, settings=settings) as service:
        yield service, secret


@pytest.fixture
def bodies(sti_ca: Authority, moment: datetime) -> dict[str, dict[str, object]]:
    """What holds a key or is answered with a secret."""
    return {
        "/api/v1/certificates": upload(sti_ca.issue_sti(spc="1234", now=moment)),
        "/api/v1/credentials": {"name": unused("viewer"), "role": "viewer"},
    }


SECRET_ROUTES = ("/api/v1/certificates", "/api/v1/credentials")

PLAIN: dict[str, dict[str, str]] = {
    "from afar": {"X-Forwarded-For": FAR},
    "from afar, said to be http": {"X-Forwarded-For": FAR, "X-Forwarded-Proto": "http"},
    "from nearby, said to be http": {"X-Forwarded-For": NEAR, "X-Forwarded-Proto": "http"},
    "by two proxies": {"X-Forwarded-For": f"{FAR}, 10.0.0.1"},
    "with the machine's own address before": {"X-Forwarded-For": f"{NEAR}, {FAR}"},
    "from an address that is none": {"X-Forwarded-For": "unknown"},
    "for a client that is not named": {"X-Real-IP": FAR},
    "said to be https on half of the way": {
        "X-Forwarded-For": FAR,
        "X-Forwarded-Proto": "https, http",
    },
    "in another proxy's words": {"X-Forwarded-For": FAR, "Forwarded": "proto=https"},
}

CONFIDENTIAL: dict[str, dict[str, str]] = {
    "https": {"X-Forwarded-For": FAR, "X-Forwarded-Proto": "https"},
    "HTTPS in capitals": {"X-Forwarded-For": FAR, "X-Forwarded-Proto": "HTTPS"},
    "https by two proxies": {"X-Forwarded-For": f"{FAR}, 10.0.0.1", "X-Forwarded-Proto": "https"},
    "from the machine itself": {},
}


@pytest.mark.parametrize("path", SECRET_ROUTES)
@pytest.mark.parametrize("case", PLAIN)
def test_a_key_or_secret_over_plain_http_is_refused(
    service: Service, admin: Caller, bodies: dict[str, dict[str, object]], path: str, case: str
) -> None:
    before = state(service.data)

    answer = Caller(admin.url, admin.secret, PLAIN[case]).post(path, bodies[path])

    assert "https" in problem(answer, 403, "insecure-transport")
    assert state(service.data) == before


@pytest.mark.parametrize("path", SECRET_ROUTES)
@pytest.mark.parametrize("case", CONFIDENTIAL)
def test_a_key_or_secret_that_nobody_can_read_on_the_way_is_taken(
    admin: Caller, bodies: dict[str, dict[str, object]], path: str, case: str
) -> None:
    answer = Caller(admin.url, admin.secret, CONFIDENTIAL[case]).post(path, bodies[path])

    assert answer.status == 201


def test_what_holds_no_secret_may_be_read_over_plain_http(admin: Caller) -> None:
    from_afar = admin.saying(X_Forwarded_For=FAR)

    for resource in ("certificates", "tenants", "trunks", "credentials"):
        assert from_afar.get(f"/api/v1/{resource}").status == 200


def test_a_stranger_learns_nothing_of_the_way(admin: Caller) -> None:
    stranger = admin.having("shk_wrong").saying(X_Forwarded_For=FAR)

    for path in SECRET_ROUTES:
        problem(stranger.post(path, {}), 401, "unauthorized")


def send_lines(caller: Caller, path: str, body: object, *lines: tuple[str, str]) -> Answer:
    """Send POST with header lines that may be there more than once."""
    connection = caller.connect()
    payload = json.dumps(body).encode()
    connection.putrequest("POST", path)
    for name, text in (
        ("Authorization", f"Bearer {caller.secret}"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(payload))),
        *lines,
    ):
        connection.putheader(name, text)
    connection.endheaders(payload)
    answer = connection.getresponse()
    found = Answer(
        answer.status,
        {name.lower(): text for name, text in answer.headers.items()},
        answer.read(),
    )
    connection.close()
    return found


def test_a_line_that_the_client_put_before_the_proxys_own_is_not_believed(admin: Caller) -> None:
    body = {"name": unused("viewer"), "role": "viewer"}
    spoofed, own = ("X-Forwarded-For", NEAR), ("X-Forwarded-For", FAR)

    answer = send_lines(admin, "/api/v1/credentials", body, spoofed, own)

    problem(answer, 403, "insecure-transport")


def test_a_client_cannot_say_https_before_its_proxy_says_http(admin: Caller) -> None:
    body = {"name": unused("viewer"), "role": "viewer"}
    lines = (("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http"))

    answer = send_lines(admin, "/api/v1/credentials", body, ("X-Forwarded-For", FAR), *lines)

    problem(answer, 403, "insecure-transport")


NETWORKS: dict[str, tuple[str | None, int]] = {
    "the client's own": (FAR, 200),
    "the client's own, by two proxies": (f"{FAR}, 10.0.0.1", 200),
    "the client's own, written by the client": (f"{FAR}, {FARTHER}", 401),
    "another": (FARTHER, 401),
    "the proxy's": (None, 401),
    "none at all": ("unknown", 401),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_credential_is_fenced_in_by_the_address_behind_the_proxy(
    admin: Caller, case: str
) -> None:
    forwarded, status = NETWORKS[case]
    _, viewer = new_credential(admin, "viewer", networks=["203.0.113.0/24"])
    caller = viewer if forwarded is None else viewer.saying(X_Forwarded_For=forwarded)

    assert caller.get("/api/v1/tenants").status == status


def test_a_trunk_is_fenced_in_by_the_address_behind_the_proxy(admin: Caller) -> None:
    trunk = new_trunk(admin, new_tenant(admin), networks=["203.0.113.0/24"])["name"]
    _, signer = new_credential(admin, "signer", trunk=trunk)
    body = {"signingRequest": {"orig": {"tn": "12155550100"}, "dest": {"tn": ["12155550199"]}}}
    own, another = ("X-Forwarded-For", FAR), ("X-Forwarded-For", FARTHER)

    known = send_lines(signer, "/stir/v1/signing", body, own)
    foreign = send_lines(signer, "/stir/v1/signing", body, another)
    spoofed = send_lines(signer, "/stir/v1/signing", body, own, another)

    assert known.status == 500  # let in; there is no certificate
    assert (foreign.status, spoofed.status) == (403, 403)


def test_without_a_declared_proxy_nobody_speaks_for_another(tmp_path: Path) -> None:
    secret = seed_credential(tmp_path / "data", role=Role.ADMIN)
    with running(tmp_path) as alone:
        admin = Caller(alone.url, secret)
        _, viewer = new_credential(admin, "viewer", networks=["203.0.113.0/24"])

        assert viewer.saying(X_Forwarded_For=FAR).get("/api/v1/tenants").status == 401
