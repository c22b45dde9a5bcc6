"""The `shaken` command as a person uses it: files, pipes, exit codes, words."""

import json
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.clients import client_id
from tests.system.process import Service, read_demo, run_shaken, running, until
from trust.certificate import Certificate
from trust.pem import read_pem

ORIG, DEST = "+1 (215) 555-0100", "+12155550199"
X5U = "https://sti.example.com/1234.pem"


def shaken(folder: Path, *arguments: str | Path, stdin: str = "", code: int = 0) -> str:
    """Run a command that must end with this code; return what it prints."""
    run = run_shaken(*arguments, folder=folder, stdin=stdin)
    assert run.returncode == code, run
    assert "Traceback" not in run.stderr
    return run.stdout


def complaint(folder: Path, *arguments: str | Path, stdin: str = "", **settings: str) -> str:
    """Run a command that must fail with code 1 and one line on stderr; return the line."""
    run = run_shaken(*arguments, folder=folder, stdin=stdin, **settings)
    assert (run.returncode, run.stdout) == (1, ""), run
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def misuse(folder: Path, *arguments: str | Path) -> str:
    """Run a command that must be refused as wrongly put, with code 2; return its last line."""
    run = run_shaken(*arguments, folder=folder)
    assert (run.returncode, run.stdout) == (2, ""), run
    assert run.stderr.startswith("Usage: ")
    return run.stderr.splitlines()[-1].removeprefix("Error: ")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of `shaken lab-ca` in `lab`, and of another one in `other`."""
    folder = tmp_path_factory.mktemp("cli")
    shaken(folder, "lab-ca", "--spc", "1234")
    shaken(folder, "lab-ca", "--tn", "+12155550100", "--out", "other")
    return folder


@pytest.fixture(scope="module")
def identity(lab: Path) -> str:
    """The Identity header of a call from ORIG to DEST."""
    parties = ("--orig", ORIG, "--dest", DEST)
    files = ("--certificate", "lab/sti.pem", "--key", "lab/sti.key", "--x5u", X5U)
    return shaken(lab, "sign", *parties, *files).strip()


HELP = {
    "": ["serve", "sign", "verify", "inspect", "lab-ca", "certificates", "tenants", "trunks"],
    "serve": ["--config", "--data-dir", "--workers", "--demo", "--check", "SHAKEN_SECTION__NAME"],
    "sign": ["--orig", "--dest", "--attest", "--certificate", "--key", "--x5u"],
    "verify": ["--orig", "--dest", "--roots", "--certificate", "IDENTITY", "exit 0"],
    "inspect": ["IDENTITY_OR_PEM", "standard input"],
    "lab-ca": ["--spc", "--tn", "--out", "not overwritten"],
    "certificates": ["list", "import", "show", "delete", "request", "requests"],
    "certificates request": ["--kind", "--name", "--spc", "--tn", "--tenant", "--out"],
    "certificates requests": ["list", "show", "delete"],
    "certificates import": ["--key", "--tenant", "--url", "--token", "--json", "SHAKEN_TOKEN"],
    "certificates list": ["--kind", "--tenant", "--name", "--expires-before"],
    "certificates show": ["--pem"],
    "certificates delete": ["ID"],
    "tenants": ["list", "create", "show", "update", "delete"],
    "tenants create": ["ADDRESS", "--alias", "--number", "--fallback"],
    "trunks": ["list", "create", "show", "update", "delete"],
    "trunks create": ["--tenant", "--attest", "--foreign-attest", "--network", "--country"],
    "trunks update": [
        "--identity-required",
        "--minimum-attest",
        "--on-stale",
        "--verify-freshness",
    ],
    "calls": ["list"],
    "calls list": ["--number", "--verstat", "--certificate", "--since", "--until"],
    "roots": ["list", "add", "show", "disable", "enable", "delete", "reset"],
    "roots add": ["CERTIFICATE", "--purpose"],
    "roots delete": ["ID", "--purpose", "until a reset"],
    "roots reset": ["--purpose", "--remove-added", "come back"],
    "credentials": ["list", "create", "revoke"],
    "deploy": ["--server-name", "--out", "--key", "--check", "--reload", "--watch", "SHAKEN_TOKEN"],
    "credentials create": [
        "--role",
        "--tenant",
        "--trunk",
        "--network",
        "--client-certificate",
        "once",
    ],
    "credentials revoke": ["NAME", "within a second"],
}


@pytest.mark.parametrize("command", HELP)
def test_each_command_explains_itself(lab: Path, command: str) -> None:
    said = shaken(lab, *command.split(), "--help")

    assert [text for text in HELP[command] if text not in said] == []


WRONG_CALLS = {
    "a number that is none": (["--orig", "Alice"], 2, "--orig"),
    "no such level": (["--attest", "D"], 2, "--attest"),
    "an origid that is no UUID": (["--origid", "1"], 2, "--origid"),
    "no such file": (["--certificate", "lab/nothing.pem"], 2, "lab/nothing.pem"),
    "no PEM": (["--certificate", "text"], 1, "no PEM block"),
    "a foreign key": (["--key", "other/sti.key"], 1, "belongs to none"),
    "a certificate without key": (["--key", "lab/root.pem"], 1, "private key is missing"),
    "a URL nobody fetches": (["--x5u", "ftp://sti.example.com/1"], 1, "https URLs only"),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_sign_refuses_what_it_cannot_sign(lab: Path, case: str) -> None:
    changed, code, expected = WRONG_CALLS[case]
    (lab / "text").write_text("hello")
    options = {
        "--orig": ORIG,
        "--dest": DEST,
        "--certificate": "lab/sti.pem",
        "--key": "lab/sti.key",
        "--x5u": X5U,
        **dict(zip(changed[::2], changed[1::2], strict=True)),
    }
    words = ["sign", *(word for pair in options.items() for word in pair)]

    said = misuse(lab, *words) if code == 2 else complaint(lab, *words)

    assert expected in said


def test_inspect_explains_a_header(lab: Path, identity: str) -> None:
    said = shaken(lab, "inspect", identity)

    for words in (
        X5U,
        "12155550100: who calls",
        "12155550199: who is called",
        "attest       A: full",
    ):
        assert words in said


def test_inspect_explains_a_file_and_warns_of_the_key_in_it(lab: Path) -> None:
    both = (lab / "lab/sti.pem").read_text() + (lab / "lab/sti.key").read_text()

    from_file = shaken(lab, "inspect", "lab/sti.pem")
    from_pipe = shaken(lab, "inspect", "-", stdin=both)

    assert "CN=SHAKEN 1234" in from_file
    assert "provider 1234" in from_file
    assert "It is fit to sign SHAKEN calls" in from_file
    assert "The text holds a private key too" in from_pipe
    assert "PRIVATE KEY-----" not in from_pipe


def test_inspect_says_nothing_on_the_side_about_a_strange_certificate(tmp_path: Path) -> None:
    strange = x509.NameAttribute(NameOID.COUNTRY_NAME, "Utopia", _validate=False)
    name, moment = x509.Name([strange]), datetime(2026, 6, 1, tzinfo=UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, moment, moment)
    certificate = builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode("ascii")

    run = run_shaken("inspect", "-", folder=tmp_path, stdin=certificate)

    assert "C=Utopia" in run.stdout
    assert run.stderr == ""


def test_inspect_says_what_a_text_is_not(lab: Path) -> None:
    assert "no Identity header" in complaint(lab, "inspect", "hello")


def test_lab_files_are_private_where_they_must_be(lab: Path) -> None:
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in (lab / "lab").iterdir()}

    assert modes == {
        "root.pem": "0o644",
        "root.key": "0o600",
        "intermediate.pem": "0o644",
        "intermediate.key": "0o600",
        "sti.pem": "0o644",
        "sti.key": "0o600",
    }
    assert oct(stat.S_IMODE((lab / "lab").stat().st_mode)) == "0o700"


def test_lab_files_that_exist_are_not_overwritten(lab: Path) -> None:
    before = {path: path.read_bytes() for path in (lab / "lab").iterdir()}

    said = complaint(lab, "lab-ca", "--spc", "9999")

    assert "exists; choose another folder with --out" in said
    assert {path: path.read_bytes() for path in (lab / "lab").iterdir()} == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--spc"),
        (["--spc", "1234\u00e9"], "printable ASCII"),
        (["--tn", "Alice"], "--tn"),
    ],
)
def test_lab_ca_says_what_it_needs(tmp_path: Path, options: list[str], expected: str) -> None:
    assert expected in misuse(tmp_path, "lab-ca", *options)
    assert list(tmp_path.iterdir()) == []


class Administrator:
    """Runs administration commands against one service."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.folder = folder
        self.settings = {
            "SHAKEN_URL": service.url,
            "SHAKEN_TOKEN": read_demo(service.data)["admin"]["secret"],
        }

    def run(self, *arguments: str | Path) -> str:
        """Run a command that must succeed; return what it prints."""
        run = run_shaken(*arguments, folder=self.folder, **self.settings)
        assert (run.returncode, run.stderr) == (0, ""), run
        return run.stdout

    def json(self, *arguments: str | Path) -> list[dict[str, object]]:
        """Run a command that lists records, with `--json`."""
        found: list[dict[str, object]] = json.loads(self.run(*arguments, "--json"))
        return found

    def complaint(self, *arguments: str | Path, **settings: str) -> str:
        """Run a command that must fail with one line; return the line."""
        return complaint(self.folder, *arguments, **{**self.settings, **settings})


@pytest.fixture(scope="module")
def administrator(tmp_path_factory: pytest.TempPathFactory, lab: Path) -> Iterator[Administrator]:
    with running(tmp_path_factory.mktemp("administered"), "--demo") as service:
        yield Administrator(service, lab)


def test_a_certificate_is_imported_listed_shown_and_deleted(
    administrator: Administrator, lab: Path
) -> None:
    identity = read_certificate(lab / "lab/sti.pem").fingerprint
    files = ("lab/sti.pem", "--key", "lab/sti.key")

    imported = administrator.run(
        "certificates", "import", *files, "--tenant", "PBX.example.com", "--x5u", X5U
    )
    listed = administrator.json("certificates", "list", "--tenant", "pbx.example.com")
    table = administrator.run("certificates", "list", "--kind", "sti")
    shown = administrator.run("certificates", "show", identity)
    chain = administrator.run("certificates", "show", identity, "--pem")
    again = administrator.complaint("certificates", "import", *files)
    deleted = administrator.run("certificates", "delete", identity)
    gone = administrator.complaint("certificates", "show", identity)

    assert identity in imported
    assert [entry["x5u"] for entry in listed if entry["id"] == identity] == [X5U]
    assert table.splitlines()[0].split() == [
        *("id", "kind", "subject", "tenant", "not_after", "status")
    ]
    assert len([line for line in table.splitlines() if line.startswith(identity)]) == 1
    assert "CN=SHAKEN 1234" in shown
    assert "spc=1234" in shown
    assert chain == (lab / "lab/sti.pem").read_text()
    assert again.startswith(f"this certificate is stored as {identity}; with --replace")
    assert deleted == f"deleted {identity}\n"
    assert gone == "there is no such certificate (404 not-found)"


def test_errors_name_what_is_typed_and_not_what_programs_send(administrator: Administrator) -> None:
    (only,) = administrator.json("certificates", "list", "--kind", "sti")

    deleting = administrator.complaint("certificates", "delete", str(only["id"]))
    settings = administrator.complaint("acme", "settings", "show")
    account = administrator.complaint("acme", "account", "show")

    assert "delete it all the same with --force (409 in-use)" in deleting
    for said in (settings, account):
        assert "`shaken acme settings set`" in said
    for said in (deleting, settings, account):
        assert "?" not in said
        assert "PUT" not in said


def test_a_certificate_that_is_refused_is_explained(administrator: Administrator) -> None:
    said = administrator.complaint("certificates", "import", "lab/sti.pem")

    assert said.endswith("(400 no-key)")
    assert "private key" in said


def test_a_tenant_and_its_trunk_are_made_changed_and_deleted(administrator: Administrator) -> None:
    numbers = ("--number", "+12155550100", "--number", "+1215777*")
    administrator.run("tenants", "create", "b\u00fccher.example", "--alias", "b.example", *numbers)
    administrator.run("trunks", "create", "books", "--tenant", "b.example", "--attest", "B")

    administrator.run("tenants", "update", "b.example", "--fallback", "none")
    changed = administrator.run("trunks", "update", "books", "--network", "192.0.2.0/24")
    tenants = {each["address"]: each for each in administrator.json("tenants", "list")}
    (trunk,) = [each for each in administrator.json("trunks", "list") if each["name"] == "books"]
    in_use = administrator.complaint("tenants", "delete", "b.example")

    assert tenants["xn--bcher-kva.example"] == {
        "address": "xn--bcher-kva.example",
        "aliases": ["b.example"],
        "numbers": ["+12155550100", "+1215777*"],
        "fallback": "none",
        "managed": False,
    }
    assert (trunk["attest"], trunk["networks"]) == ("B", ["192.0.2.0/24"])
    assert str(trunk["origid"]) in changed
    assert "(409 in-use)" in in_use
    assert administrator.run("trunks", "delete", "books") == "deleted books\n"
    assert administrator.run("tenants", "delete", "b.example") == "deleted b.example\n"


def test_an_option_that_is_refused_is_named_and_explained(administrator: Administrator) -> None:
    create = ("trunks", "create", "--tenant", "pbx.example.com")

    assert administrator.complaint(*create, "my trunk") == (
        "name: a name has letters, digits, dots, hyphens and underscores, 64 at most; a letter or"
        " digit comes first (400 invalid-request)"
    )
    assert administrator.complaint(*create, "t1", "--country", "usa").startswith("country: ")


def test_a_trunk_is_told_what_to_do_with_calls_that_come_in(administrator: Administrator) -> None:
    def policy() -> dict[str, object]:
        shown = json.loads(administrator.run("trunks", "show", "strict", "--json"))
        told: dict[str, object] = shown["verification"]
        return {name: value for name, value in told.items() if value not in (None, "flag")}

    settings = ("--on-stale", "reject", "--on-unreachable", "ignore", "--on-invalid", "reject")
    more = ("--identity-required", "--anonymous", "reject", "--minimum-attest", "B")
    times = ("--verify-freshness", "300", "--verify-skew", "0", "--replays", "fail")
    table = administrator.run(
        *("trunks", "create", "strict", "--tenant", "pbx.example.com"), *settings, *more, *times
    )
    created = policy()
    administrator.run("trunks", "update", "strict", "--attest", "B")
    kept = policy()
    administrator.run(
        *("trunks", "update", "strict", "--no-identity-required", "--on-stale", "flag"),
        *("--minimum-attest", "default", "--verify-freshness", "default", "--replays", "default"),
    )

    assert created == {
        "identity_required": True,
        "anonymous": "reject",
        "minimum_attest": "B",
        "stale": "reject",
        "unreachable": "ignore",
        "invalid": "reject",
        "freshness": 300,
        "skew": 0,
        "replays": "fail",
    }
    assert "identity_required=yes anonymous=reject minimum_attest=B stale=reject" in table
    assert "skew=0" in table
    assert kept == created
    assert policy() == {
        "identity_required": False,
        "anonymous": "reject",
        "unreachable": "ignore",
        "invalid": "reject",
        "skew": 0,
    }
    assert "86400" in misuse(
        administrator.folder, "trunks", "update", "strict", "--verify-freshness", "86401"
    )
    administrator.run("trunks", "delete", "strict")


def test_a_trunk_is_told_how_it_is_met_over_sip(administrator: Administrator) -> None:
    def told() -> dict[str, object]:
        shown = json.loads(administrator.run("trunks", "show", "met", "--json"))
        settings: dict[str, object] = shown["sip"]
        return settings

    sources = ("--sip-source", "192.0.2.7", "--sip-source", "198.51.100.0/24", "--sip-by-host")
    forms = ("--sip-status", "300", "--sip-form", "contact", "--sip-contact", "carrier:5080")
    parties = ("--sip-origin", "from", "--sip-destination", "request-uri", "--sip-divert")
    verdict = ("--sip-verstat", "uri", "--sip-verstat-suffix")
    administrator.run(
        *("trunks", "create", "met", "--tenant", "pbx.example.com"),
        *("--network", "192.0.2.0/24"),
        *(*sources, *forms, *parties, *verdict),
    )
    created = told()
    administrator.run("trunks", "update", "met", "--sip-status", "302", "--sip-contact", "")
    changed = told()
    administrator.run("trunks", "update", "met", "--sip-source", "", "--no-sip-by-host")

    assert created == {
        "sources": ["192.0.2.7", "198.51.100.0/24"],
        "by_host": True,
        "status": 300,
        "form": "contact",
        "origin": "from",
        "destination": "request-uri",
        "contact": "carrier:5080",
        "divert": True,
        "verstat": "uri",
        "verstat_suffix": True,
    }
    assert changed == {**created, "status": 302, "contact": ""}
    assert told() == {**changed, "sources": [], "by_host": False}
    administrator.run("trunks", "delete", "met")


def test_calls_on_record_are_listed(administrator: Administrator) -> None:
    asked = ("calls", "list", "--kind", "signed", "--number", "+1 215 555 0100")
    for _ in until("the demo's call is on record"):
        found = administrator.json(*asked)
        if found:
            break
    table = administrator.run(*asked, "--tenant", "pbx.example.com", "--limit", "1")

    assert {each["orig"] for each in found} == {"12155550100"}
    heading, row = table.splitlines()
    assert heading.split() == [
        *("at", "kind", "tenant", "orig", "dest", "attest", "verstat", "code", "certificate")
    ]
    assert row.split()[1:4] == ["signed", "pbx.example.com", "12155550100"]
    assert administrator.run("calls", "list", "--number", "1").count("\n") == 1
    assert "(400 invalid-request)" in administrator.complaint("calls", "list", "--number", "bob")


def test_a_credential_is_bound_to_a_client_certificate(administrator: Administrator) -> None:
    one = client_id()
    (administrator.folder / "client.pem").write_text(one.pem)

    bound = ("--role", "signer", "--client-certificate", "client.pem")
    made = json.loads(administrator.run("credentials", "create", "sbc", *bound, "--json"))

    assert made["client_spki"] == one.spki
    assert one.spki in administrator.run("credentials", "list")
    administrator.run("credentials", "revoke", "sbc")


def test_a_credential_is_made_used_and_revoked(administrator: Administrator) -> None:
    made = json.loads(
        administrator.run("credentials", "create", "looker", "--role", "viewer", "--json")
    )
    looks = run_shaken(
        "tenants",
        "list",
        folder=administrator.folder,
        SHAKEN_URL=administrator.settings["SHAKEN_URL"],
        SHAKEN_TOKEN=made["secret"],
    )
    table = administrator.run("credentials", "list")
    may_not = administrator.complaint("tenants", "create", "c.example", SHAKEN_TOKEN=made["secret"])
    revoked = administrator.run("credentials", "revoke", "looker")
    shut_out = administrator.complaint("tenants", "list", SHAKEN_TOKEN=made["secret"])

    assert looks.returncode == 0
    assert "looker" in table
    assert made["secret"] not in table
    assert may_not.endswith("(403 forbidden)")
    assert revoked == "revoked looker\n"
    assert shut_out.endswith("(401 unauthorized)")


NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"SHAKEN_URL": NOWHERE}, "is the service up?"),
        ({"SHAKEN_URL": "http://127.0.0.1:http"}, "'http://127.0.0.1:http' is no URL of a service"),
        ({"SHAKEN_URL": "http://[::1"}, "'http://[::1' is no URL of a service"),
        ({"SHAKEN_URL": "127.0.0.1:8080"}, "as in http://127.0.0.1:8080"),
        ({"SHAKEN_TOKEN": "shk_wrong"}, "(401 unauthorized)"),
        ({"SHAKEN_TOKEN": "shk_\u00fc\u4e16"}, "token"),
        ({"SHAKEN_TOKEN": "two\nlines"}, "token"),
    ],
)
def test_what_stands_in_the_way_is_said_in_one_line(
    administrator: Administrator, settings: dict[str, str], expected: str
) -> None:
    assert expected in administrator.complaint("tenants", "list", **settings)


@pytest.mark.parametrize(
    "words",
    [
        ("certificates", "show", "0" * 64),
        ("certificates", "delete", "0" * 64),
        ("tenants", "show", "nobody.example"),
        ("trunks", "delete", "nothing"),
        ("credentials", "revoke", "nobody"),
    ],
)
def test_what_is_not_there_is_not_found(administrator: Administrator, words: tuple[str]) -> None:
    assert administrator.complaint(*words).endswith("(404 not-found)")


class _OtherServer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>It works!</html>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_another_web_server_is_not_taken_for_the_service(lab: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _OtherServer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        settings = {"SHAKEN_URL": f"http://127.0.0.1:{server.server_port}", "SHAKEN_TOKEN": "shk_"}

        said = complaint(lab, "tenants", "list", **settings)

        thread.join()
    assert "answers, but not as this service does" in said


def read_certificate(file: Path) -> Certificate:
    return Certificate(read_pem(file.read_text()).certificates)
