"""`shaken deploy` as a person meets it: answers of the service, names, options."""

import ssl
from pathlib import Path

import pytest

from tests.shaken.deploy.host import MOMENT, NAME, Host, complaint
from tests.shaken.deploy.listener_service import serving
from trust.authority import Authority, Issued


@pytest.mark.parametrize(
    ("status", "slug", "expected"),
    [
        (401, "unauthorized", "(401 unauthorized); give the secret of a credential of the role"),
        (403, "forbidden", "(403 forbidden); make a credential of the role listener"),
        (404, "not-found", "(404 not-found); a listener that is bound to a tenant"),
        (503, "store-unavailable", "it is store-unavailable (503 store-unavailable)"),
    ],
)
def test_what_the_service_refuses_is_said_in_one_line(
    host: Host, status: int, slug: str, expected: str
) -> None:
    host.service.refuse(NAME, status, slug)

    assert expected in complaint(host.deploy("--out", host.out))
    assert not host.out.exists()


def test_a_key_that_does_not_fit_is_not_written(host: Host, first: Issued, second: Issued) -> None:
    host.deploy("--out", host.out)
    before = host.out.read_text()
    host.service.offer(NAME, first, private_key=second.key_pem)

    assert "cannot be used" in complaint(host.deploy("--out", host.out))
    assert host.out.read_text() == before


def test_a_system_certificate_for_other_names_is_written_with_a_warning(
    host: Host, ca: Authority
) -> None:
    host.service.offer(NAME, ca.issue_server(["localhost"], now=MOMENT), chosen="system")

    run = host.deploy("--out", host.out)

    assert run.exit_code == 0
    assert f"{NAME}: warning: the service has none for {NAME}" in run.stdout
    assert "system certificate" in run.stdout


def test_several_names_have_files_of_their_own_and_one_reload(
    host: Host, ca: Authority, first: Issued
) -> None:
    other = ca.issue_server(["b.example.com"], now=MOMENT)
    host.service.offer("b.example.com", other)
    out, reload = host.folder / "{name}.pem", host.script("reload", "")

    run = host.deploy("--server-name", "B.example.com.", "--out", out, "--reload", reload)

    assert run.exit_code == 0, run.output
    assert (host.folder / f"{NAME}.pem").read_text() == first.chain_pem + first.key_pem
    assert (host.folder / "b.example.com.pem").read_text() == other.chain_pem + other.key_pem
    assert host.ran() == ["reload"]


def test_one_name_that_fails_does_not_hold_up_the_others(host: Host) -> None:
    host.service.refuse("b.example.com", 404, "not-found")

    run = host.deploy("--server-name", "b.example.com", "--out", host.folder / "{name}.pem")

    assert run.exit_code == 1
    assert run.stderr.startswith("Error: b.example.com: ")
    assert (host.folder / f"{NAME}.pem").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--out", "x", "--server-name", "b.example.com"), "write {name}"),
        (("--out", "x", "--key", "x"), "no path twice"),
        (("--out", "x", "--server-name", "*.example.com"), "not a DNS name"),
        (("--out", "x", "--mode", "0644"), "nobody else may read a key"),
        (("--out", "x", "--mode", "rw"), "nobody else may read a key"),
        (("--out", "x", "--group", "no-such-group"), "this host has no group 'no-such-group'"),
        (("--out", "x", "--reload", " "), "--reload: the command is empty"),
        (("--out", "x", "--check", "a 'b"), "--check: No closing quotation"),
        (("--out", "x", "--url", "http://sti.example.com"), "write https://sti.example.com"),
        (("--out", "x", "--url", "sti.example.com"), "'sti.example.com' is no URL of a service"),
        (("--out", "x", "--url", "https://[::1"), "'https://[::1' is no URL of a service"),
        ((), "Missing option '--out'"),
    ],
)
def test_misuse_is_refused_with_code_2(host: Host, options: tuple[str, ...], expected: str) -> None:
    run = host.deploy(*options)

    assert run.exit_code == 2
    assert expected in run.stderr
    assert host.service.asked == []


def test_the_secret_may_stand_in_a_file(host: Host) -> None:
    (host.folder / "token").write_text("shk_file\n")

    run = host.deploy("--out", host.out, "--token-file", host.folder / "token", secret="")
    without = host.deploy("--out", host.out, secret="")

    assert run.exit_code == 0
    assert host.service.asked[0]["Authorization"] == "Bearer shk_file"
    assert (without.exit_code, "--token-file" in without.stderr) == (2, True)


def test_a_service_with_a_root_of_its_own_is_trusted_by_its_file(
    tmp_path: Path, ca: Authority, first: Issued
) -> None:
    server = ca.issue_server(["127.0.0.1"], now=MOMENT)
    files = {"server": server.chain_pem + server.key_pem, "root": ca.root_pem, "none": "none"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server")

    with serving(context) as service:
        service.offer(NAME, first)
        host = Host(tmp_path, service)
        strange = complaint(host.deploy("--out", host.out))
        useless = complaint(host.deploy("--out", host.out, "--ca", tmp_path / "none"))
        assert service.asked == []
        trusted = host.deploy("--out", host.out, "--ca", tmp_path / "root")

    assert "certificate verify failed" in strange
    assert useless.startswith(f"cannot read certificates from {tmp_path}/none: ")
    assert trusted.exit_code == 0, trusted.output
