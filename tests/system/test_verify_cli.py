"""`shaken verify`: headers with a certificate at hand, or fetched, told step by step."""

import time
from pathlib import Path

import pytest

from tests.diversions import CALLED, DIVERTER, HOPS, Calls
from tests.system.inbound import Carrier
from tests.system.inbound import identity as signed_by
from tests.system.process import run_shaken
from tests.verification import ORIG as DIVERTED_ORIG

ORIG, DEST = "+1 (215) 555-0100", "+12155550199"
CALL = ("--orig", ORIG, "--dest", DEST)
X5U = "https://sti.example.com/1234.pem"


def shaken(folder: Path, *arguments: str | Path, stdin: str = "", code: int = 0) -> str:
    """Run a command that must end with this code; return what it prints."""
    run = run_shaken(*arguments, folder=folder, stdin=stdin)
    assert run.returncode == code, run
    assert "Traceback" not in run.stderr
    return run.stdout


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
    files = ("--certificate", "lab/sti.pem", "--key", "lab/sti.key", "--x5u", X5U)
    return shaken(lab, "sign", *CALL, *files).strip()


def test_a_signed_call_verifies_against_the_lab_root(lab: Path, identity: str) -> None:
    call = ("--orig", "+12155550100", "--dest", DEST)
    files = ("--certificate", "lab/sti.pem", "--roots", "lab/root.pem")

    assert identity.endswith(f";info=<{X5U}>;alg=ES256;ppt=shaken")
    assert shaken(lab, "verify", *call, *files, identity) == "TN-Validation-Passed\n"


def test_a_header_can_come_through_a_pipe_and_each_check_is_told(lab: Path, identity: str) -> None:
    call = ("--orig", ORIG, "--dest", DEST, "--certificate", "lab/sti.pem")

    said = shaken(lab, "verify", "-v", *call, "-", stdin=f"Identity: {identity}\r\n")

    lines = said.splitlines()
    assert lines[-1] == "TN-Validation-Passed"
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert f"info and x5u both name {X5U}" in said
    assert "orig and dest are those of the call: 12155550100 to 12155550199" in said


FAILURES = {
    "another caller": (["--orig", "+12155550101"], "438 Invalid Identity Header"),
    "another callee": (["--dest", "+12155550198"], "438 Invalid Identity Header"),
    "an hour later": (["--at", "HOUR"], "403 Stale Date"),
    "another root": (["--roots", "other/root.pem"], "437 Unsupported Credential"),
    "another certificate": (["--certificate", "other/sti.pem"], "438 Invalid Identity Header"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_header_that_does_not_hold_ends_with_one_and_says_why(
    lab: Path, identity: str, case: str
) -> None:
    changed, expected = FAILURES[case]
    options = {
        "--orig": ORIG,
        "--dest": DEST,
        "--certificate": "lab/sti.pem",
        **dict(zip(changed[::2], changed[1::2], strict=True)),
    }
    if "--at" in options:
        options["--at"] = str(int(time.time()) + 3600)

    said = shaken(
        lab, "verify", *(word for pair in options.items() for word in pair), identity, code=1
    )

    why, verdict = said.splitlines()
    assert why.startswith("FAILED ")
    assert verdict == f"TN-Validation-Failed: {expected}"


@pytest.mark.parametrize(
    ("dest", "claimed"),
    [
        ("URN:Service:SOS", {"uri": ["urn:service:sos"]}),
        ("sip:+12155550199@sip.example.com", {"tn": ["12155550199"]}),
    ],
)
def test_parties_are_read_as_the_service_reads_them(
    carrier: Carrier, tmp_path: Path, dest: str, claimed: dict[str, list[str]]
) -> None:
    (tmp_path / "sti.pem").write_text(carrier.issued.chain_pem)
    header = signed_by(carrier.issued, X5U, dest=claimed)
    call = ("--orig", ORIG, "--dest", dest, "--certificate", "sti.pem")

    assert shaken(tmp_path, "verify", *call, header) == "TN-Validation-Passed\n"


def test_a_header_signed_some_minutes_ago_is_stale_unless_more_is_allowed(lab: Path) -> None:
    call = ("--orig", ORIG, "--dest", DEST, "--certificate", "lab/sti.pem")
    minutes_ago = str(int(time.time()) - 200)
    old = shaken(
        lab, "sign", *call, "--key", "lab/sti.key", "--x5u", X5U, "--iat", minutes_ago
    ).strip()

    assert "403 Stale Date" in shaken(lab, "verify", *call, old, code=1)
    assert shaken(lab, "verify", *call, "--freshness", "300", old) == "TN-Validation-Passed\n"


def test_an_altered_header_does_not_hold(lab: Path, identity: str) -> None:
    head, _, rest = identity.partition(";")
    header, claims, signature = head.split(".")
    altered = f"{header}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]};{rest}"
    call = ("--orig", ORIG, "--dest", DEST, "--certificate", "lab/sti.pem")

    said = shaken(lab, "verify", *call, altered, code=1)

    assert "TN-Validation-Failed: 438 Invalid Identity Header" in said


def test_of_several_headers_the_one_that_holds_decides(lab: Path, identity: str) -> None:
    at_hand = ("--certificate", "lab/sti.pem")
    wrong = identity.replace(X5U, "https://other.example.com/1.pem")

    assert shaken(lab, "verify", *CALL, *at_hand, wrong, identity) == "TN-Validation-Passed\n"
    lines = f"Identity: {wrong}\r\nIdentity: {identity}\r\n"
    said = shaken(lab, "verify", "-v", *CALL, *at_hand, "-", stdin=lines).splitlines()

    assert said[0] == "PASSporT 1 of 2, shaken"
    assert "FAILED info <https://other.example.com/1.pem> is not the PASSporT's x5u" in said[2]
    assert said[3] == "PASSporT 2 of 2, shaken"
    assert said[-1] == "TN-Validation-Passed"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("..abc;info=<https://a.example/>;ppt=msgi", "No-TN-Validation: there is no Identity"),
        ("..abc;info=<https://a.example/>;ppt=div", "TN-Validation-Failed: 438 Invalid Identity"),
        ("x.y.z", "TN-Validation-Failed: 436 Bad Identity Info"),
        ("x.y.z;info=<https://a.example/>", "TN-Validation-Failed: 438 Invalid Identity Header"),
    ],
)
def test_what_is_no_header_for_a_shaken_passport_gets_the_verdict_of_the_service(
    lab: Path, text: str, verdict: str
) -> None:
    said = shaken(lab, "verify", *CALL, "--certificate", "lab/sti.pem", text, code=1)

    assert said.splitlines()[-1].startswith(verdict)


def test_a_diverted_call_is_told_link_by_link(carrier: Carrier, tmp_path: Path) -> None:
    (tmp_path / "sti.pem").write_text(carrier.issued.chain_pem)
    calls = Calls(carrier.issued, carrier.issued, int(time.time()))
    call = ("--orig", DIVERTED_ORIG, "--dest", CALLED, "--certificate", "sti.pem")
    headers = [*calls.chain(2), calls.beside("rph", rph={"auth": ["ets.0"]})]
    priority = ("--protected", "Resource-Priority: ets.0")

    said = shaken(
        tmp_path, "verify", "-v", *call, "--target", HOPS[1], *priority, *headers
    ).splitlines()
    elsewhere = shaken(tmp_path, "verify", *call, "--target", HOPS[2], *headers, code=1)

    links = f"from {CALLED} to {HOPS[0]}, then from {HOPS[0]} to {HOPS[1]}"
    assert [line for line in said if line.startswith("PASSporT")] == [
        "PASSporT 1 of 4, shaken",
        "PASSporT 2 of 4, div",
        "PASSporT 3 of 4, div",
        "PASSporT 4 of 4, rph",
    ]
    assert f"ok     info and x5u both name {DIVERTER}" in said
    assert f"ok     the call was diverted {links}, where the call goes" in said
    assert "ok     rph grants ets.0, which covers Resource-Priority" in said
    assert said[-1] == "TN-Validation-Passed"
    last = f"the last diversion, from {HOPS[0]} to {HOPS[1]}, does not lead to {HOPS[2]}"
    assert elsewhere.splitlines() == [
        f"FAILED {last}, where the call goes",
        "TN-Validation-Failed: 438 Invalid Identity Header",
    ]


def test_a_diversion_of_nobodys_call_ends_with_one(carrier: Carrier, tmp_path: Path) -> None:
    (tmp_path / "sti.pem").write_text(carrier.issued.chain_pem)
    calls = Calls(carrier.issued, carrier.issued, int(time.time()))
    call = ("--orig", DIVERTED_ORIG, "--dest", HOPS[0], "--certificate", "sti.pem")

    for verbose in ([], ["-v"]):
        words = ("verify", *verbose, *call, calls.div(CALLED, HOPS[0]))
        said = shaken(tmp_path, *words, code=1).splitlines()
        assert said[-2:] == [
            "FAILED the call was diverted, but there is no shaken PASSporT of who made it",
            "TN-Validation-Failed: 438 Invalid Identity Header",
        ]


def test_without_certificate_and_roots_there_is_nobody_to_trust(lab: Path, identity: str) -> None:
    run = run_shaken("verify", *CALL, identity, folder=lab)

    assert (run.returncode, run.stdout) == (2, "")
    assert "give the STI roots that signers are trusted by with --roots FILE" in run.stderr


# Fetched

LAB = ("--allow-private", "--allow-any-port")


@pytest.fixture
def roots(carrier: Carrier, tmp_path: Path) -> tuple[str, ...]:
    """The root that signs the carrier's certificates and its repository's, for both purposes."""
    (tmp_path / "root.pem").write_text(carrier.authority.root_pem)
    return ("--roots", "root.pem", "--tls-roots", "root.pem")


def test_the_certificate_is_fetched_from_where_the_header_says_and_each_step_told(
    carrier: Carrier, roots: tuple[str, ...], tmp_path: Path
) -> None:
    url = carrier.publish("/cli.pem", Cache_Control="max-age=600")
    header = signed_by(carrier.issued, url)

    said = shaken(tmp_path, "verify", "-v", *CALL, *roots, *LAB, header).splitlines()

    assert said[0] == f"fetch  {url}"
    assert said[1] == (
        f"fetch  {url}: certificates of CN=SHAKEN 4321,O=SHAKEN lab; CN=Another CA,O=SHAKEN lab;"
        " to be kept for 600 s"
    )
    assert said[2:6] == [
        "ok     the token is a PASSporT",
        f"ok     info and x5u both name {url}",
        "ok     the certificate leads to the root CN=Another root,O=SHAKEN lab",
        "ok     the signer is provider 4321",
    ]
    assert said[-1] == "TN-Validation-Passed"


def test_names_that_are_resolved_are_told(
    carrier: Carrier, roots: tuple[str, ...], tmp_path: Path
) -> None:
    carrier.publish("/cli.pem")
    url = f"https://localhost:{carrier.repository.port}/cli.pem"

    said = shaken(
        tmp_path, "verify", "-v", *CALL, *roots, *LAB, signed_by(carrier.issued, url), code=1
    )

    assert "fetch  localhost is at " in said
    assert f"fetch  {url}: TLS with the host fails: " in said
    assert said.endswith("TN-Validation-Failed: 436 Bad Identity Info\n")


def test_the_same_guard_stands_before_a_fetch_as_in_the_service(
    carrier: Carrier, roots: tuple[str, ...], tmp_path: Path
) -> None:
    header = signed_by(carrier.issued, carrier.publish("/guarded.pem"))

    said = shaken(tmp_path, "verify", *CALL, *roots, header, code=1)

    assert "127.0.0.1 is at an address that is not fetched from" in said
    assert "/guarded.pem" not in carrier.repository.asked


def test_revocation_lists_are_fetched_told_and_heeded(
    carrier: Carrier, roots: tuple[str, ...], tmp_path: Path
) -> None:
    issued, url, crl_url = carrier.revoked("cli-revoked")
    words = ("verify", "-v", *CALL, *roots, *LAB, signed_by(issued, url))

    said = shaken(tmp_path, *words, code=1)

    assert f"fetch  {crl_url}: a revocation list, 1 revoked, the next is due on " in said
    assert 'FAILED "CN=SHAKEN 6666,O=SHAKEN lab" was revoked on ' in said
    assert shaken(tmp_path, *words, "--revocation", "off").endswith("TN-Validation-Passed\n")
    carrier.repository.fails("/cli-revoked.crl")
    hard = shaken(tmp_path, *words, "--revocation", "hard", code=1)
    assert "FAILED Whether it is revoked cannot be found out: " in hard


def test_a_published_private_key_is_an_alarm(
    carrier: Carrier, roots: tuple[str, ...], tmp_path: Path
) -> None:
    both = carrier.issued.chain_pem + carrier.issued.key_pem
    url = carrier.repository.holds("/key.pem", both)

    run = run_shaken("verify", *CALL, *roots, *LAB, signed_by(carrier.issued, url), folder=tmp_path)

    assert run.returncode == 1
    assert run.stderr.startswith(f"ALARM: {url}: the private key of a certificate is published")
