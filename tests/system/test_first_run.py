"""`shaken serve --demo`: what a newcomer sees first, and what a second start leaves alone."""

import base64
import json
import re
import shutil
import signal
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.system.caller import Caller
from tests.system.process import Service, read_demo, run_program, run_shaken, running, start


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose first start was on an empty folder."""
    with running(tmp_path_factory.mktemp("first"), "--demo") as service:
        yield service


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder and the port of a demo that ran once and ended."""
    folder = tmp_path_factory.mktemp("ended")
    with running(folder, "--demo") as service:
        pass
    return folder, service.port


@pytest.fixture
def again(ended: tuple[Path, int], tmp_path: Path) -> tuple[Path, int]:
    """A copy of that folder, and the port, for a second start."""
    folder, port = ended
    shutil.copytree(folder / "data", tmp_path / "data")
    return tmp_path, port


def segments(token: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]


def lines_of(text: str, after: str) -> list[str]:
    """Return the indented lines that follow the line `after`."""
    lines = text.splitlines()
    found = []
    for line in lines[lines.index(after) + 1 :]:
        if not line.startswith("  "):
            break
        found.append(line.strip())
    return found


def printed(service: Service, heading: str) -> str:
    return "\n".join(lines_of(service.stdout.read_text(), heading))


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def sti_certificate(service: Service) -> dict[str, Any]:
    admin = Caller(service.url, read_demo(service.data)["admin"]["secret"])
    (found,) = admin.items("/api/v1/certificates?kind=sti")
    return found


def test_the_first_start_shows_a_signed_call(first: Service) -> None:
    identity = printed(first, "Identity header")
    header = json.loads(printed(first, "PASSporT header"))
    claims = json.loads(printed(first, "PASSporT claims"))
    certificate = sti_certificate(first)

    token, info = identity.split(";")[0], identity.split(";", 1)[1]
    x5u = f"{first.url}/certificates/{certificate['id']}.pem"
    assert [json.loads(part) for part in segments(token)[:2]] == [header, claims]
    assert info == f"info=<{x5u}>;alg=ES256;ppt=shaken"
    assert header == {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": x5u}
    assert claims["orig"] == {"tn": "12155550100"}
    assert claims["dest"] == {"tn": ["12155550199"]}
    assert claims["attest"] == "A"


def test_the_first_start_says_which_certificate_signed_and_why(first: Service) -> None:
    said = printed(first, "Certificate")

    assert said.startswith(sti_certificate(first)["id"])
    assert "chosen because it belongs to the tenant, pbx.example.com" in said


def test_the_first_start_verifies_the_call_and_shows_the_verdict(first: Service) -> None:
    verdict = printed(first, "Verdict").splitlines()
    claims = json.loads(printed(first, "PASSporT claims"))
    certificate = sti_certificate(first)

    assert verdict[0] == "TN-Validation-Passed"
    assert [line.split(maxsplit=1) for line in verdict[1:]] == [
        ["attest", "A"],
        ["origid", claims["origid"]],
        ["x5u", f"{first.url}/certificates/{certificate['id']}.pem"],
        ["signer", "CN=SHAKEN 1234,O=SHAKEN lab, provider 1234"],
        ["issuer", "CN=Lab STI Intermediate,O=SHAKEN lab"],
    ]


def test_the_printed_verification_command_verifies_when_run_by_a_shell(tmp_path: Path) -> None:
    with running(tmp_path, "--demo") as fresh:
        command = printed(fresh, "Verify this call yourself, within a minute: then it is stale")

        answer = json.loads(run_program("sh", "-c", command))["verificationResponse"]

    assert command.startswith("curl ")
    assert answer["verstat"] == "TN-Validation-Passed"
    assert "replayed" not in answer


def test_the_lab_root_is_among_those_that_callers_are_trusted_by(first: Service) -> None:
    document = read_demo(first.data)
    admin = Caller(first.url, document["admin"]["secret"])

    (root,) = admin.items("/api/v1/roots?purpose=sti")

    assert root["subject"] == "CN=Lab STI Root,O=SHAKEN lab"
    assert admin.get("/api/v1/roots.pem?purpose=sti").body.decode() == document["sti_root"]


def test_the_printed_signing_command_signs_when_run_by_a_shell(first: Service) -> None:
    command = printed(first, "Sign a call yourself")

    answer = json.loads(run_program("sh", "-c", command))

    assert command.startswith("curl ")
    assert answer["signingResponse"]["identity"].endswith(";alg=ES256;ppt=shaken")


def test_the_printed_listing_command_lists_when_run_by_a_shell(first: Service) -> None:
    command = printed(first, "List the certificates")

    answer = json.loads(run_program("sh", "-c", command))

    assert command.startswith("curl ")
    assert sti_certificate(first)["id"] in [item["id"] for item in answer["items"]]


def test_the_last_line_tells_where_the_service_is(first: Service) -> None:
    assert first.stdout.read_text().endswith(f"shaken serves on {first.url}; Ctrl-C ends it\n")
    assert first.stderr.read_text() == ""


def test_openssl_verifies_the_signature_and_the_chain(first: Service, tmp_path: Path) -> None:
    identity = printed(first, "Identity header")
    token = identity.split(";")[0]
    x5u = identity.split("<")[1].split(">")[0]
    chain, root, key = tmp_path / "chain.pem", tmp_path / "root.pem", tmp_path / "key.pem"
    root.write_text(read_demo(first.data)["sti_root"])
    run_program("curl", "-sS", "--fail", "-o", chain, x5u)
    signature = segments(token)[2]
    halves = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    (tmp_path / "signature").write_bytes(encode_dss_signature(*halves))
    key.write_text(run_program("openssl", "x509", "-in", chain, "-noout", "-pubkey"))

    fits = run_program(
        *("openssl", "dgst", "-sha256", "-verify", key, "-signature", tmp_path / "signature"),
        stdin=token.rpartition(".")[0].encode(),
    )
    trusted = run_program("openssl", "verify", "-CAfile", root, "-untrusted", chain, chain)

    assert len(signature) == 64
    assert fits == "Verified OK\n"
    assert trusted == f"{chain}: OK\n"


def test_the_lab_certificate_is_one_that_carriers_know_the_form_of(
    first: Service, tmp_path: Path
) -> None:
    chain = tmp_path / "chain.pem"
    certificate = sti_certificate(first)
    run_program(*("curl", "-sS", "-o", chain, f"{first.url}/certificates/{certificate['id']}.pem"))

    text = run_program("openssl", "x509", "-in", chain, "-noout", "-text", "-certopt", "no_sigdump")

    assert "NIST CURVE: P-256" in text
    assert re.search(r"Subject: .*CN ?= ?SHAKEN 1234\n", text)
    assert re.search(r"1\.3\.6\.1\.5\.5\.7\.1\.26: \n\s+0\.....1234\n", text)
    assert certificate["tn_auth_list"] == {"spc": ["1234"], "tn": [], "range": []}
    assert certificate["source"] == "lab"


def test_what_the_service_keeps_is_for_its_own_user_only(first: Service) -> None:
    assert mode(first.data) == "0o700"
    for path in first.data.rglob("*"):
        assert mode(path) == ("0o700" if path.is_dir() else "0o600"), path
    names = {str(path.relative_to(first.data)) for path in first.data.rglob("*")}
    assert names >= {"demo.json", "master.key", "shaken.sqlite", "lab", "lab/sti-root.pem"}


def test_demo_json_holds_what_scripts_need(first: Service) -> None:
    document = read_demo(first.data)

    roles = ("admin", "signer", "verifier", "listener")
    assert list(document) == ["url", "tenant", "trunk", *roles, "sti_root"]
    assert document["url"] == first.url
    assert document["tenant"] == "pbx.example.com"
    assert document["sti_root"].startswith("-----BEGIN CERTIFICATE-----\n")
    admin = Caller(first.url, document["admin"]["secret"])
    assert admin.get("/api/v1/trunks/" + document["trunk"]).json()["tenant"] == document["tenant"]
    stored = {item["name"]: item["role"] for item in admin.items("/api/v1/credentials")}
    assert stored == {document[role]["name"]: role for role in roles}


def test_each_secret_of_demo_json_is_let_in(first: Service) -> None:
    document = read_demo(first.data)

    answers = {
        role: Caller(first.url, document[role]["secret"]).get("/api/v1/certificates").status
        for role in ("admin", "signer", "verifier", "listener")
    }

    assert answers == {"admin": 200, "signer": 403, "verifier": 403, "listener": 403}
    assert Caller(first.url, document["signer"]["secret"]).sign().status == 200


def test_a_second_start_remakes_nothing(again: tuple[Path, int]) -> None:
    folder, port = again
    data = folder / "data"
    kept = {path: path.read_bytes() for path in data.rglob("*") if path.suffix in {".key", ".pem"}}
    document = read_demo(data)
    with running(folder, "--demo", port=port) as second:
        before = printed(second, "Certificate"), printed(second, "PASSporT claims")
        certificates = sti_certificate(second)["id"]
    with running(folder, "--demo", port=port) as third:
        after = printed(third, "Certificate"), printed(third, "PASSporT claims")

        assert sti_certificate(third)["id"] == certificates
        assert before[0] == after[0]
        assert json.loads(before[1])["origid"] == json.loads(after[1])["origid"]
        assert read_demo(data) == document
        assert {path: path.read_bytes() for path in kept} == kept
        assert len(kept) == 2


def damaged(text: str, member: str, value: object) -> str:
    return json.dumps({**json.loads(text), "signer": {"name": "demo-signer", member: value}})


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda file: file.unlink(), id="lost"),
        pytest.param(lambda file: file.write_bytes(file.read_bytes()[:200]), id="cut off"),
        pytest.param(lambda file: file.write_text("[]"), id="another document"),
        pytest.param(
            lambda file: file.write_text(damaged(file.read_text(), "secret", 5)), id="no text"
        ),
        pytest.param(
            lambda file: file.write_text(damaged(file.read_text(), "secret", "shk_" + "A" * 43)),
            id="a secret that does not work",
        ),
    ],
)
def test_a_lost_or_damaged_demo_json_is_made_anew_and_works(
    again: tuple[Path, int], damage: Any
) -> None:
    folder, port = again
    damage(folder / "data" / "demo.json")

    with running(folder, "--demo", port=port) as service:
        document = read_demo(service.data)

        assert mode(service.data / "demo.json") == "0o600"
        assert Caller(service.url, document["signer"]["secret"]).sign().status == 200
        admin = Caller(service.url, document["admin"]["secret"])
        assert admin.get("/api/v1/credentials").status == 200
        assert len(admin.items("/api/v1/certificates?kind=sti")) == 1


def test_the_log_tells_times_in_utc(tmp_path: Path) -> None:
    with running(tmp_path, settings={"TZ": "EST5"}) as service:
        line = service.stderr.read_text().splitlines()[0]

    time, level, _ = line.split(" ", 2)
    assert abs(datetime.fromisoformat(time) - datetime.now(UTC)) < timedelta(minutes=5)
    assert level in {"INFO", "WARNING"}


def test_a_demo_may_be_at_any_url(tmp_path: Path) -> None:
    checked = run_shaken(
        *("serve", "--demo", "--check"),
        folder=tmp_path,
        SHAKEN_PUBLIC_URL="http://192.0.2.10:8080",
    )

    assert (checked.returncode, checked.stdout) == (0, "the configuration is good\n")


@pytest.mark.parametrize("how", ["SIGTERM to the service", "Ctrl-C in a terminal"])
def test_it_ends_cleanly(again: tuple[Path, int], how: str) -> None:
    folder, port = again
    service = start(folder, "--demo", "--workers", "2", port=port)
    service.wait_until_ready()

    if how.startswith("SIGTERM"):
        service.tell(signal.SIGTERM)
    else:
        service.tell_group(signal.SIGINT)

    assert service.wait() == 0
    assert service.stderr.read_text() == ""
    assert not service.listens()


def test_a_first_start_without_demo_leaves_one_admin_and_a_second_start_leaves_it(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as service:
        file = service.data / "admin.json"
        document = json.loads(file.read_text())
        admin = Caller(service.url, document["secret"])
        said = service.stderr.read_text()

        assert f"the first admin credential is in {file}; keep its secret" in said
        assert document["secret"] not in said
        assert mode(file) == "0o600"
        (only,) = admin.items("/api/v1/credentials")
        assert (only["name"], only["role"]) == (document["name"], "admin")
    with running(tmp_path, port=service.port):
        assert json.loads(file.read_text()) == document
        assert admin.items("/api/v1/credentials") == [only]
