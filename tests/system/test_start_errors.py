"""A start that cannot succeed: one line that says what is wrong and what to do, and exit code 2."""

import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shaken.credentials import Role
from tests.ports import free_port
from tests.system.process import run_shaken, running, seed_credential


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that a service has used."""
    data = tmp_path_factory.mktemp("store") / "data"
    seed_credential(data, role=Role.ADMIN)
    return data


def refusal(folder: Path, *options: str | Path, **settings: str) -> str:
    """Start the service, which must end with exit code 2 and one line; return the line."""
    return ending(2, folder, *options, **settings)


def ending(code: int, folder: Path, *options: str | Path, **settings: str) -> str:
    """Start the service, which must end with this exit code and one line; return the line."""
    if "--check" not in options:
        settings.setdefault("SHAKEN_HTTP__ADDRESS", f"127.0.0.1:{free_port()}")
    run = run_shaken("serve", *options, folder=folder, **settings)
    assert run.returncode == code, run
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert line.startswith("shaken: ")
    return line.removeprefix("shaken: ")


def test_a_taken_port_is_named_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        said = refusal(tmp_path, "--demo", SHAKEN_HTTP__ADDRESS=address)

    assert said == (
        f"cannot listen on {address}: Address already in use;"
        " choose another address with [http] address or SHAKEN_HTTP__ADDRESS"
    )
    assert not (tmp_path / "data").exists()


def test_the_same_port_of_all_ipv4_and_of_all_ipv6_addresses_is_not_the_same(
    tmp_path: Path,
) -> None:
    port = free_port()
    both = f"0.0.0.0:{port},[::]:{port}"
    # What is found wrong, the last of the ports, comes after all others.
    with socket.create_server(("127.0.0.1", 0)) as other:
        said = refusal(
            tmp_path,
            SHAKEN_SIP__UDP=both,
            SHAKEN_SIP__TCP=both,
            SHAKEN_SIP__TLS=f"127.0.0.1:{other.getsockname()[1]}",
        )

    assert "[sip] tls" in said


def test_a_taken_port_for_challenges_is_named_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        said = refusal(tmp_path, SHAKEN_ACME__HTTP_ADDRESS=address)

    assert said == (
        f"cannot listen on {address}: Address already in use;"
        " choose another address with [acme] http_address or SHAKEN_ACME__HTTP_ADDRESS"
    )
    assert not (tmp_path / "data").exists()


def test_a_taken_https_port_is_named_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        said = refusal(tmp_path, SHAKEN_HTTPS__ADDRESS=address)

    assert said == (
        f"cannot listen on {address}: Address already in use;"
        " choose another address with [https] address or SHAKEN_HTTPS__ADDRESS"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM), ("tls", socket.SOCK_STREAM)],
)
@pytest.mark.parametrize("is_shared", [False, True])
def test_a_taken_sip_port_is_named_before_anything_is_made(
    tmp_path: Path, name: str, kind: socket.SocketKind, *, is_shared: bool
) -> None:
    with socket.socket(type=kind) as other:
        # Also one that the other program would share.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, is_shared)
        other.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"

        said = refusal(tmp_path, "--workers", "2", **{f"SHAKEN_SIP__{name.upper()}": address})

    assert said == (
        f"cannot listen on {address}: Address already in use;"
        f" choose another address with [sip] {name} or SHAKEN_SIP__{name.upper()}"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("folder", ["file/data", "file", "/proc/data", "/proc/1/data"])
def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")

    said = refusal(tmp_path, "--data-dir", folder)

    assert said.startswith(f"cannot use the data folder {folder}: ")
    assert said.endswith("; choose another one with --data-dir")


CONFIGURATIONS = {
    "unknown section": ("[htpp]\naddress = '127.0.0.1:1'", ["unknown setting 'htpp'", "http"]),
    "unknown setting": (
        "[http]\nadress = '127.0.0.1:1'",
        ["[http]", "unknown setting 'adress'", "address, trusted_proxies"],
    ),
    "not an address": ("[http]\naddress = 'localhost'", ["[http] address", "127.0.0.1:8080"]),
    "no number": ("[signing]\nfreshness = 'a minute'", ["[signing] freshness", "an integer"]),
    "too large": ("[signing]\nfreshness = 86401", ["[signing] freshness", "<= 86400"]),
    "unknown word": ("[log]\nlevel = 'LOUD'", ["[log] level", "DEBUG, INFO, WARNING, ERROR"]),
    "no section": ("http = 8080", ["http", "a section"]),
    "no network": ("[http]\ntrusted_proxies = ['lan']", ["[http] trusted_proxies", "'lan'"]),
    "plain http": ("public_url = 'http://sti.example.com'", ["public_url", "https://", "lab_urls"]),
    "no database": ("[database]\nurl = 'postgres'", ["[database] url", "sqlite:///"]),
    "malformed": ("[http\naddress = 1", ["shaken.toml", "line 1"]),
    "not UTF-8": ("# \udcff", ["shaken.toml", "utf-8"]),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_wrong_settings_file_is_refused_and_the_setting_named(tmp_path: Path, case: str) -> None:
    text, expected = CONFIGURATIONS[case]
    (tmp_path / "shaken.toml").write_text(text, "utf-8", errors="surrogateescape")

    said = refusal(tmp_path, "--check")

    assert [part for part in expected if part not in said] == [], said


VARIABLES = {
    "unknown setting": ({"SHAKEN_HTTP__ADRESS": "127.0.0.1:1"}, ["'adress'", "address"]),
    "unknown section": ({"SHAKEN_HTPP__ADDRESS": "127.0.0.1:1"}, ["'htpp'"]),
    "no section": ({"SHAKEN_HTTP": "127.0.0.1:1"}, ["http", "a section"]),
    "bad value": ({"SHAKEN_SIGNING__FRESHNESS": "soon"}, ["[signing] freshness", "an integer"]),
    "bad address": ({"SHAKEN_HTTP__ADDRESS": "8080"}, ["[http] address", "127.0.0.1:8080"]),
    "no master key": ({"SHAKEN_KEYS__MASTER_KEY": "c2hvcnQ="}, ["openssl rand -base64 32"]),
    "no database": ({"SHAKEN_DATABASE__URL": "me:secret@host"}, ["[database] url", "sqlite:///"]),
}


@pytest.mark.parametrize("case", VARIABLES)
def test_a_wrong_variable_of_the_environment_is_refused(tmp_path: Path, case: str) -> None:
    settings, expected = VARIABLES[case]

    said = refusal(tmp_path, **settings)

    assert [part for part in expected if part not in said] == [], said
    assert "secret" not in said


@pytest.mark.parametrize("path", ["nowhere.toml", ".", "/proc/self/mem"])
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path, path: str) -> None:
    said = refusal(tmp_path, "--check", "--config", path)

    assert said.startswith(f"cannot read {path}: ")


def replaced_key(data: Path) -> None:
    (data / "master.key").write_text("A" * 43 + "=\n")


def lost_key(data: Path) -> None:
    (data / "master.key").unlink()


def damaged_key(data: Path) -> None:
    (data / "master.key").write_text("A" * 10)


def no_database(data: Path) -> None:
    (data / "shaken.sqlite").write_bytes(b"this is a letter to my grandmother " * 99)


def newer_database(data: Path) -> None:
    with sqlite3.connect(data / "shaken.sqlite") as connection:
        connection.execute("UPDATE trust_version SET version_num = '9999'")
    connection.close()


STORES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "another master key": (
        replaced_key,
        ["not the master key", "put the right one back", "SHAKEN_KEYS__MASTER_KEY"],
    ),
    "no master key": (lost_key, ["no master key at", "master.key", "put", "back"]),
    "a damaged master key": (damaged_key, ["master.key", "openssl rand -base64 32"]),
    "no database": (no_database, ["shaken.sqlite", "file is not a database", "--data-dir"]),
    "a newer database": (newer_database, ["shaken.sqlite", "not known to this version", "9999"]),
}


@pytest.mark.parametrize("case", STORES)
def test_a_store_that_does_not_fit_is_refused_and_left_alone(
    store: Path, tmp_path: Path, case: str
) -> None:
    damage, expected = STORES[case]
    shutil.copytree(store, tmp_path / "data")
    damage(tmp_path / "data")
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}

    said = refusal(tmp_path)

    assert [part for part in expected if part not in said] == [], said
    after = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    assert {name: after.get(name) for name in before} == before
    assert ("master.key" in after) == ("master.key" in before)


def test_an_address_that_is_not_there_yet_may_be_tried_again(tmp_path: Path) -> None:
    said = ending(1, tmp_path, SHAKEN_HTTP__ADDRESS="192.0.2.1:8080")

    assert said.startswith("cannot listen on 192.0.2.1:8080: Cannot assign requested address")


def test_a_locked_database_may_be_tried_again(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "shaken.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")

        said = ending(1, tmp_path)

    assert "database is locked; another program holds it" in said


def test_check_says_that_a_configuration_is_good_and_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "shaken.toml").write_text(
        'public_url = "https://sti.example.com"\n[signing]\nfreshness = 15\n'
    )

    run = run_shaken("serve", "--check", folder=tmp_path, SHAKEN_LOG__LEVEL="DEBUG")

    assert (run.returncode, run.stdout) == (0, "the configuration is good\n")
    assert [path.name for path in tmp_path.iterdir()] == ["shaken.toml"]


def test_a_start_without_public_url_warns_that_nobody_will_find_certificates(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as service:
        said = service.stderr.read_text()

    warnings = [line for line in said.splitlines() if " WARNING " in line]
    assert len([line for line in warnings if "public_url is not set" in line]) == 1
    assert len([line for line in warnings if "no STI certificate" in line]) == 1


def test_a_start_with_public_url_does_not_warn_about_it(tmp_path: Path) -> None:
    settings = {"SHAKEN_PUBLIC_URL": "https://sti.example.com"}
    with running(tmp_path, settings=settings) as service:
        assert "public_url is not set" not in service.stderr.read_text()
