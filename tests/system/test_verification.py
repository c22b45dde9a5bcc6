"""Calls of others are verified by the real service, whatever their repositories do."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.diversions import header_of, signed
from tests.system.caller import Caller
from tests.system.inbound import (
    BRISK,
    DEST,
    ORIG,
    PATH,
    Callee,
    Carrier,
    Pending,
    Sign,
    ask,
    callee_of,
    fetched,
    identity,
    verdict,
    with_jose,
    with_openssl,
)
from tests.system.process import Service, read_demo, running, until
from tests.system.repository import MAX_FILE, Published, publishing
from trust.authority import Authority


@pytest.fixture(scope="module")
def callee(carrier: Carrier, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callee]:
    """A service with the settings of a lab, that waits for nobody long."""
    with running(tmp_path_factory.mktemp("callee"), "--demo", settings=BRISK) as service:
        yield callee_of(service, carrier.authority)


@pytest.mark.parametrize("sign", [with_jose, with_openssl], ids=["a JOSE library", "openssl"])
def test_a_call_signed_by_others_passes_and_its_signer_is_named(
    callee: Callee, carrier: Carrier, tmp_path: Path, sign: Sign
) -> None:
    url = carrier.publish()
    origid = "6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55"
    header = identity(carrier.issued, url, tmp_path, sign=sign, origid=origid)

    found = ask(callee.verifier, header)

    assert (found["verstat"], found["verstatValue"]) == ("TN-Validation-Passed",) * 2
    assert "reasoncode" not in found
    assert (found["attest"], found["origid"], found["ppt"]) == ("A", origid, "shaken")
    assert found["x5u"] == url
    assert found["signer"] == {
        "subject": "CN=SHAKEN 4321,O=SHAKEN lab",
        "issuer": "CN=Another CA,O=SHAKEN lab",
        "spc": ["4321"],
    }
    assert found["decision"] == {"action": "accept"}


def test_the_3gpp_form_is_answered_in_its_own_words(callee: Callee, carrier: Carrier) -> None:
    header = identity(carrier.issued, carrier.publish())
    call = {
        "from": {"tn": f"+{ORIG}"},
        "to": {"tn": f"+{DEST}"},
        "identityHeader": header,
        "requestId": "r-1",
    }

    found = verdict(callee.verifier.post(PATH, {"verificationRequest": call}))

    assert found["verstatValue"] == "TN-Validation-Passed"
    assert found["requestId"] == "r-1"
    (each,) = found["verifyResults"]
    assert each["verifyResult"]["status"] == "pass"
    assert each["verifyResult"]["validClaims"]["orig"] == {"tn": ORIG}


def test_a_diverted_call_passes_once_all_certificates_are_fetched(
    callee: Callee, carrier: Carrier
) -> None:
    diverter = carrier.authority.issue_sti(spc="5678", now=datetime.now(UTC))
    urls = carrier.publish(), carrier.repository.holds("/diverter.pem", diverter.chain_pem)
    target, parties = "12155550123", {"orig": {"tn": ORIG}, "iat": int(time.time())}
    claims = {**parties, "div": {"tn": DEST}, "dest": {"tn": [target]}}
    div = header_of(signed(diverter, "div", claims, x5u=urls[1]), "div", x5u=urls[1])
    call = {
        "from": {"tn": f"+{ORIG}"},
        "to": {"tn": f"+{DEST}"},
        "dest": {"tn": f"+{target}"},
        "identityHeader": identity(carrier.issued, urls[0]),
        "identityHeaders": [div],
    }

    found = verdict(callee.verifier.post(PATH, {"verificationRequest": call}))

    assert found["verstatValue"] == "TN-Validation-Passed"
    assert found["divResult"] == [
        {"div": {"tn": DEST}, "verstatValue": "TN-Validation-Passed"},
    ]
    assert (found["x5u"], found["diversions"][0]["x5u"]) == urls
    assert found["diversions"][0]["signer"]["spc"] == ["5678"]


def test_a_heartbeat_without_an_identity_is_no_failure(callee: Callee) -> None:
    found = ask(callee.verifier, None)

    assert found["verstat"] == "No-TN-Validation"
    assert "reasoncode" not in found


def test_a_call_signed_by_ourselves_passes_without_a_fetch_though_loopback_is_refused(
    tmp_path: Path,
) -> None:
    with running(tmp_path, "--demo") as service:
        demo = read_demo(service.data)
        signed = Caller(service.url, demo["signer"]["secret"]).sign()

        found = ask(
            Caller(service.url, demo["verifier"]["secret"]),
            signed.json()["signingResponse"]["identity"],
        )

    assert found["verstat"] == "TN-Validation-Passed"
    assert found["x5u"].startswith(f"{service.url}/certificates/")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:{port}/a.pem", "https://localhost:8443/a.pem", "https://[::1]/a.pem"]
)
def test_by_default_nothing_is_fetched_from_this_machine(
    service: Service, carrier: Carrier, url: str
) -> None:
    url = url.format(port=carrier.repository.port)
    callee = callee_of(service, carrier.authority)
    before = len(carrier.repository.asked)

    found = ask(callee.verifier, identity(carrier.issued, url))

    host = url.split("/")[2].removesuffix(f":{carrier.repository.port}").removesuffix(":8443")
    assert (found["verstat"], found["reasoncode"]) == ("TN-Validation-Failed", 436)
    assert found["reasondesc"] == (
        f"the certificate at {url} cannot be had: {host.strip('[]')} is at an address that is not"
        " fetched from: a private one, or another special one of RFC 6890"
    )
    assert len(carrier.repository.asked) == before


def unlike_files(repository: Published, chain: str) -> dict[str, tuple[str, str]]:
    """Everything that a repository may do wrong: the URL, and what is said of it."""
    three = "there are more than 2 redirections"
    return {
        "silent": (repository.hangs("/silent"), "there was no whole answer within 2 s"),
        "slow": (repository.drips("/slow"), "there was no whole answer within 2 s"),
        "huge": (
            repository.holds("/huge", b"-" * (MAX_FILE + 1)),
            f"the answer has more than {MAX_FILE} bytes",
        ),
        "endless": (repository.floods("/endless"), f"the answer has more than {MAX_FILE} bytes"),
        "redirecting in a circle": (repository.leads("/circle", "/circle"), three),
        "redirecting to plain http": (
            repository.leads("/astray", "http://127.0.0.1/a.pem"),
            "a redirection leads astray: verifiers fetch certificates from https URLs only",
        ),
        "gone": (f"{repository.url}/nothing", "the answer's status is 404"),
        "a page": (repository.holds("/page", "<html>"), "the file cannot be used: "),
        "empty": (repository.holds("/empty", ""), "the file cannot be used: "),
        "compressed": (
            repository.holds("/packed", chain, Content_Encoding="gzip"),
            "the answer is compressed, which was not asked for",
        ),
    }


CASES = [
    "silent",
    "slow",
    "huge",
    "endless",
    "redirecting in a circle",
    "redirecting to plain http",
    "gone",
    "a page",
    "empty",
    "compressed",
]


@pytest.mark.parametrize("case", CASES)
def test_a_certificate_that_cannot_be_had_fails_with_436_and_says_why(
    callee: Callee, carrier: Carrier, case: str
) -> None:
    url, why = unlike_files(carrier.repository, carrier.issued.chain_pem)[case]

    found = ask(callee.verifier, identity(carrier.issued, url))

    assert (found["verstat"], found["reasoncode"]) == ("TN-Validation-Failed", 436)
    assert found["reasontext"] == "Bad Identity Info"
    assert found["reasondesc"].startswith(f"the certificate at {url} cannot be had: {why}")
    assert "signer" not in found
    assert "attest" not in found


def test_two_redirections_are_followed(callee: Callee, carrier: Carrier) -> None:
    carrier.publish("/end.pem")
    carrier.repository.leads("/middle.pem", "/end.pem")
    url = carrier.repository.leads("/begin.pem", f"{carrier.repository.url}/middle.pem")

    assert ask(callee.verifier, identity(carrier.issued, url))["verstat"] == "TN-Validation-Passed"


def test_a_published_private_key_is_an_alarm_and_is_written_nowhere(
    callee: Callee, carrier: Carrier
) -> None:
    issued = carrier.authority.issue_sti(spc="9999", now=datetime.now(UTC))
    url = carrier.repository.holds("/leak.pem", issued.chain_pem + issued.key_pem)

    found = ask(callee.verifier, identity(issued, url))

    assert (found["reasoncode"], found["reasondesc"]) == (
        436,
        f"the certificate at {url} cannot be had: the file has a private key in it",
    )
    assert (
        f"ALARM: {url}: the private key of a certificate is published there: whoever fetches it"
        " can sign calls in its owner's name"
    ) in callee.log
    secret = issued.key_pem.splitlines()[1]
    assert secret not in callee.log
    ask(callee.verifier, identity(issued, url))
    for _ in until("the alarm is in the audit"):
        told = callee.admin.get("/api/v1/audit?action=private-key.published").json()["items"]
        if told:
            break
    (event,) = told
    assert (event["actor"], event["peer"], event["subject"]) == ("system", None, url)
    assert secret not in str(event)
    for _ in until("what was fetched is written"):
        carrier.publish("/after.pem")
        ask(callee.verifier, identity(carrier.issued, f"{carrier.repository.url}/after.pem"))
        if f"{carrier.repository.url}/after.pem" in fetched(callee.service):
            break
    assert url not in fetched(callee.service)
    for file in callee.service.data.glob("shaken.sqlite*"):
        assert secret.encode() not in file.read_bytes()


def test_an_intermediate_that_a_file_lacks_is_taken_from_the_store(
    callee: Callee, carrier: Carrier
) -> None:
    now = datetime.now(UTC)
    lower = carrier.authority.intermediate("Lower CA", now=now)
    issued = lower.issue_sti(spc="7777", now=now)
    leaf = issued.certificate.leaf.public_bytes(Encoding.PEM)
    before = ask(callee.verifier, identity(issued, carrier.repository.holds("/leaf.pem", leaf)))
    own = lower.issue_sti(spc="7778", now=now)
    added = callee.admin.post(
        "/api/v1/certificates",
        {"kind": "sti", "certificate": own.chain_pem, "private_key": own.key_pem},
    )
    assert added.status == 201, added.body

    found = ask(callee.verifier, identity(issued, carrier.repository.holds("/again.pem", leaf)))

    assert before["reasoncode"] == 437
    assert found["verstat"] == "TN-Validation-Passed"
    assert found["signer"]["issuer"] == "CN=Lower CA,O=SHAKEN lab"


def test_a_tls_certificate_of_nobody_known_is_refused(
    callee: Callee, carrier: Carrier, tmp_path: Path
) -> None:
    stranger = Authority.create("Stranger", now=datetime.now(UTC))
    with publishing(stranger, tmp_path) as repository:
        url = repository.holds("/a.pem", carrier.issued.chain_pem)

        found = ask(callee.verifier, identity(carrier.issued, url))

        assert found["reasoncode"] == 436
        assert "TLS with the host fails: " in found["reasondesc"]
        assert repository.asked == []


def test_a_signer_whose_root_is_not_trusted_fails_with_437(
    callee: Callee, carrier: Carrier
) -> None:
    stranger = Authority.create("Stranger", now=datetime.now(UTC))
    issued = stranger.issue_sti(spc="1111", now=datetime.now(UTC))
    url = carrier.repository.holds("/stranger.pem", issued.chain_pem)

    found = ask(callee.verifier, identity(issued, url))

    assert (found["reasoncode"], found["reasontext"]) == (437, "Unsupported Credential")


def test_a_signer_who_was_revoked_fails_with_437(callee: Callee, carrier: Carrier) -> None:
    issued, url, _ = carrier.revoked("revoked")

    found = ask(callee.verifier, identity(issued, url))

    assert (found["reasoncode"], found["reasontext"]) == (437, "Unsupported Credential")
    assert found["reasondesc"].startswith('"CN=SHAKEN 6666,O=SHAKEN lab" was revoked on ')


def test_a_revocation_list_that_cannot_be_had_is_passed_over_by_default(
    callee: Callee, carrier: Carrier
) -> None:
    issued, url, _ = carrier.revoked("listless")
    carrier.repository.fails("/listless.crl")

    assert ask(callee.verifier, identity(issued, url))["verstat"] == "TN-Validation-Passed"


def test_a_root_that_is_added_and_removed_counts_at_once(callee: Callee, carrier: Carrier) -> None:
    newcomer = Authority.create("Newcomer", now=datetime.now(UTC))
    issued = newcomer.issue_sti(spc="2222", now=datetime.now(UTC))
    url = carrier.repository.holds("/newcomer.pem", issued.chain_pem)
    before = ask(callee.verifier, identity(issued, url))
    added = callee.admin.post(
        "/api/v1/roots", {"purpose": "sti", "certificate": newcomer.root_pem}
    ).json()
    trusted = ask(callee.verifier, identity(issued, url))
    callee.admin.delete(f"/api/v1/roots/{added['id']}?purpose=sti")

    after = ask(callee.verifier, identity(issued, url))

    assert [each["verstat"].rpartition("-")[2] for each in (before, trusted, after)] == [
        "Failed",
        "Passed",
        "Failed",
    ]
    assert carrier.repository.asked.count("/newcomer.pem") == 1


def test_calls_that_wait_for_the_same_certificate_ask_for_it_once(
    callee: Callee, carrier: Carrier
) -> None:
    url = carrier.repository.hangs("/once.pem")

    waiting = [Pending(callee.verifier, identity(carrier.issued, url)) for _ in range(20)]

    assert {each.answer()["reasoncode"] for each in waiting} == {436}
    assert carrier.repository.asked.count("/once.pem") == 1
