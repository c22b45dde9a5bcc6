"""Test calls on a page: signed as a PBX's are, told step by step, recorded and in the audit."""

import json
import re
import shlex
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from itertools import pairwise
from threading import current_thread, main_thread
from typing import Any

import pytest

from shaken.api.stir import SIGNING_PATH
from shaken.attestation import AttestPolicy, ForeignAttest
from shaken.audit import Action, AuditedChange
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.importing import Importer, Upload
from shaken.passport import decode
from shaken.store.audit import AuditEntry, AuditFilter, find_entries
from shaken.store.calls import add_calls
from shaken.store.credentials import add_credential
from shaken.store.tenants import replace_trunk
from shaken.tenants import Direction
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, UMBRELLA, VICTOR, Service
from tests.web.visitor import Seen, signed_in
from trust.certificate import CertificateKind
from trust.store.database import StoreError

PAGE = "/admin/try/sign"
OWN, FOREIGN, CALLED = "+1 (215) 555-0100", "+12155550300", "+12155559999"
CALL = {"trunk": "main", "orig": OWN, "dest": CALLED}
ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"
OF_NO_TRUNK = {"trunk": "", "orig": OWN, "dest": CALLED, "attest": "A", "origid": ORIGID}


def field_of(seen: Seen, name: str) -> str:
    """Return what a text area holds."""
    found = re.search(rf'<textarea[^>]* id="{name}"[^>]*>\n(.*?)</textarea>', seen.text, re.DOTALL)
    assert found, name
    return unescape(found[1])


def claims_of(seen: Seen) -> dict[str, Any]:
    """Return the claims of the header on a page."""
    return decode(field_of(seen, "identity").partition(";")[0]).claims


def steps_of(seen: Seen) -> list[tuple[str, str]]:
    """List the steps of a page: tone and words."""
    found = re.findall(r'<li class="(good|bad|idle)">(.*?)</li>', seen.text, re.DOTALL)
    return [
        (tone, unescape(" ".join(re.sub("<.*?>", " ", inner).split()))) for tone, inner in found
    ]


def audited(service: Service) -> list[AuditEntry]:
    """List what the audit has of test calls."""
    with closing(service.prepared.open_database()) as database, database.reading() as connection:
        wanted = AuditFilter(action=Action.CALL_TEST.value)
        return [*find_entries(connection, wanted, before=None, limit=100)]


async def change_trunk(service: Service, **settings: Any) -> None:
    """Change settings of the trunk."""
    changed = replace(service.snapshots.current.trunks["main"], **settings)

    def make(change: AuditedChange) -> None:
        replace_trunk(change, changed)
        change.audit(Action.TRUNK_UPDATE, changed.name, tenant=changed.tenant)

    await service.change(make)


async def test_a_test_call_is_signed_and_each_step_told(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    trunk = service.snapshots.current.trunks["main"]

    seen = await visitor.post(PAGE, CALL)

    assert seen.status == 200, seen.text
    assert claims_of(seen) == {
        "attest": "A",
        "dest": {"tn": ["12155559999"]},
        "iat": int(service.clock()),
        "orig": {"tn": "12155550100"},
        "origid": trunk.origid,
    }
    told = " ".join(words for tone, words in steps_of(seen) if tone == "good")
    for words in (
        f"Trunk main is a line of the tenant {ACME}.",
        "orig: +1 (215) 555-0100 is 12155550100, without plus and separators.",
        "The request names none, so the trunk's own counts: A.",
        "12155550100 is one of the numbers that the tenant lists",
        "So the call is attested A, full",
        "Of 3 STI certificates the tenant's own.",
        f"https://sti.example.com/certificates/{service.scenery.certificates[ACME]}.pem",
    ):
        assert words in told, words
    for words in ("It has expired.", "Not the tenant&#39;s own, and the tenant has one."):
        assert words in seen.text
    assert "good on the network" in seen.text


async def test_the_header_is_what_the_signing_route_gives_for_the_command(service: Service) -> None:
    secret = new_secret()

    def add(change: AuditedChange) -> None:
        credential = Credential("line", Role.SIGNER, digest_of(secret), ACME, "main", ())
        add_credential(change, credential, now=0)
        change.audit(Action.CREDENTIAL_CREATE, "line", tenant=ACME)

    await service.change(add)
    visitor = await signed_in(service, ALICE)
    seen = await visitor.post(PAGE, {**CALL, "iat": str(int(service.clock()) - 5)})

    command = shlex.split(field_of(seen, "curl").replace("\\\n", ""))
    headers = dict(
        text.replace("SECRET_OF_A_SIGNER", secret).split(": ", 1)
        for option, text in pairwise(command)
        if option == "-H"
    )
    path = command[2].removeprefix("https://sti.example.com")
    assert path == SIGNING_PATH
    async with service.client.post(path, data=command[-1], headers=headers) as answer:
        signed = await answer.json()

    identity = signed["signingResponse"]["identity"]
    assert decode(identity.partition(";")[0]).claims == claims_of(seen)
    assert identity.partition(";")[2] == field_of(seen, "identity").partition(";")[2]


async def test_a_test_call_is_recorded_as_a_test_and_in_the_audit(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    await visitor.post(PAGE, CALL)

    (record,) = service.records
    assert (record.kind, record.orig, record.trunk) == ("signed", "12155550100", "main")
    assert (record.credential, record.tenant) == (ALICE, ACME)
    assert record.request_id.startswith("admin-test-")
    (entry,) = audited(service)
    assert (entry.actor, entry.peer, entry.tenant) == (ALICE, "127.0.0.1", ACME)
    assert entry.subject == record.request_id
    assert "12155550100" not in json.dumps(entry.detail), "numbers may be hashed on record"


async def test_the_list_of_calls_says_that_it_was_a_test(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    before = (await visitor.get("/admin/calls")).text
    await visitor.post(PAGE, CALL)

    with closing(service.prepared.open_database()) as database:
        add_calls(database, service.records)

    assert "as a test" not in before
    assert f"as a test, by {ALICE}" in (await visitor.get("/admin/calls")).text


async def test_a_test_call_is_signed_where_all_calls_are(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    monkeypatch.setattr(
        service.pages._desk.signing, "_record", lambda _: threads.append(current_thread())
    )
    visitor = await signed_in(service, ALICE)

    await visitor.post(PAGE, CALL)

    assert threads == [main_thread()], "what signs is not for several threads"


async def test_without_an_audit_no_signature_is_shown(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("disk full")

    visitor = await signed_in(service, ALICE)
    monkeypatch.setattr("shaken.audit.add_entries", fail)

    seen = await visitor.post(PAGE, CALL)

    assert seen.status == 503
    assert "alg=ES256" not in seen.text


async def test_a_foreign_number_is_attested_less_and_told_why(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, {**CALL, "orig": FOREIGN, "attest": "A"})

    assert claims_of(seen)["attest"] == "B"
    assert "gives others B at most (foreign_attest)" in seen.text


async def test_a_call_that_is_refused_shows_the_step_and_what_to_do(service: Service) -> None:
    policy = service.snapshots.current.trunks["main"].attest
    await change_trunk(service, attest=AttestPolicy(policy.default, ForeignAttest.REFUSE))
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, {**CALL, "orig": FOREIGN})

    assert seen.status == 422
    *before, (tone, words) = steps_of(seen)
    assert [each for each, _ in before] == ["good", "good"]
    assert tone == "bad"
    assert words.startswith("Attestation")
    assert "Add the number to the numbers of the tenant" in words
    assert (service.records, audited(service)) == ([], [])


async def test_a_call_that_the_certificate_may_not_sign_is_refused_there(service: Service) -> None:
    delegate = service.scenery.authority.issue_sti(numbers=["12155550101"], now=datetime.now(UTC))
    upload = Upload(
        CertificateKind.STI, delegate.chain_pem, private_key=delegate.key_pem, tenant=ACME
    )

    def bring(change: AuditedChange) -> None:
        importer = Importer(service.prepared.master, lab=True)
        now = int(time.time())
        importer.add(change, importer.read(upload, now=now), scope=None, now=now)

    await service.change(bring)
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, CALL)

    assert seen.status == 422
    tone, words = steps_of(seen)[-1]
    assert (tone, words.partition(" ")[0]) == ("bad", "Certificate")
    assert "does not cover 12155550100" in words
    assert "import a certificate that covers this one" in words
    assert service.records == []


async def test_a_trunk_that_verifies_signs_nothing(service: Service) -> None:
    await change_trunk(service, direction=Direction.VERIFY)
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, CALL)

    assert seen.status == 422
    assert steps_of(seen)[-1][0] == "bad"
    assert "this trunk verifies, it does not sign" in seen.text.lower()


async def test_without_a_certificate_it_says_why_none_may_sign(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, {**OF_NO_TRUNK, "tenant": UMBRELLA})

    assert seen.status == 422
    tone, words = steps_of(seen)[-1]
    assert (tone, words.partition(" ")[0]) == ("bad", "Certificate")
    assert "Import an STI certificate" in words
    assert "no other may sign (fallback is none)" in seen.text
    assert service.records == []


async def test_without_a_trunk_the_host_names_the_tenant(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, {**OF_NO_TRUNK, "host": GLOBEX.upper()})

    assert seen.status == 200, seen.text
    assert f"The tenant is {GLOBEX}." in seen.text
    assert service.records[0].tenant == GLOBEX
    assert service.records[0].certificate == service.scenery.certificates[GLOBEX]


async def test_without_a_tenant_the_first_certificate_signs(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, OF_NO_TRUNK)

    assert seen.status == 200, seen.text
    assert "It is no tenant&#39;s in particular" in seen.text
    assert "the first one available" in seen.text


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"orig": "call me"}, "orig", "A telephone number may not hold"),
        ({"orig": ""}, "orig", "orig"),
        ({"dest": ""}, "dest", "dest"),
        ({"dest": "+12155559999\nnobody"}, "dest", "may not hold"),
        ({"iat": "yesterday"}, "iat", "iat is a number of Unix seconds"),
        ({"iat": "1000000000"}, "iat", "is not within 60 s before"),
        ({"origid": "<b>mine</b>"}, "origid", "A UUID is expected"),
        ({"trunk": "no-such"}, "trunk", "There is no such trunk"),
        ({"trunk": "", "attest": "", "origid": ORIGID}, "attest", "attest"),
        ({"trunk": "", "attest": "A"}, "origid", "origid"),
        ({**OF_NO_TRUNK, "tenant": "no.example.org"}, "tenant", "No tenant of yours"),
    ],
)
async def test_what_is_wrong_is_named_and_what_was_typed_is_kept(
    service: Service, typed: dict[str, str], field: str, words: str
) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, {**CALL, **typed})

    assert seen.status == 422, seen.text
    found = re.search(rf'id="{field}-error">.*?</svg>(.*?)</p>', seen.text, re.DOTALL)
    assert found, seen.text
    assert words in unescape(found[1])
    assert OWN in seen.text or typed.get("orig") is not None
    assert "<b>mine" not in seen.text
    assert "PASSporT header" not in seen.text


async def test_viewers_make_no_signature(service: Service) -> None:
    visitor = await signed_in(service, VICTOR)

    assert (await visitor.get(PAGE)).status == 403
    assert (await visitor.post(PAGE, CALL)).status == 403
    assert PAGE not in (await visitor.get("/admin/trunks/main")).text
    assert (service.records, audited(service)) == ([], [])


async def test_a_tenants_admin_signs_for_this_tenant_only(service: Service) -> None:
    trunk = service.snapshots.current.trunks["main"]
    await change_trunk(service, tenant=GLOBEX)
    visitor = await signed_in(service, BOUND)

    hidden = await visitor.post(PAGE, CALL)
    other = await visitor.post(PAGE, {**OF_NO_TRUNK, "tenant": GLOBEX})
    host = await visitor.post(PAGE, {**OF_NO_TRUNK, "host": GLOBEX})
    await change_trunk(service, tenant=trunk.tenant)
    own = await visitor.post(PAGE, CALL)

    assert (hidden.status, other.status) == (422, 422)
    assert 'value="main"' not in hidden.text
    assert "No tenant of yours" in other.text
    assert f"The tenant is {ACME}." in host.text
    assert own.status == 200
    assert "SHAKEN 5678" not in own.text, "certificates of others are not for them to see"
    assert "2 other certificates" in own.text
    assert {record.tenant for record in service.records} == {ACME}


async def test_a_national_number_is_read_by_the_trunks_country(service: Service) -> None:
    await change_trunk(service, country="US")
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, {**CALL, "orig": "(215) 555-0100"})

    assert "12155550100, read as a national number of US" in seen.text


async def test_a_command_quotes_what_was_typed(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(PAGE, {**CALL, "dest": "sip:o'hara;x=$(id)@example.com"})

    command = shlex.split(field_of(seen, "curl").replace("\\\n", ""))
    sent = json.loads(command[-1])
    assert sent["signingRequest"]["dest"] == {"uri": ["sip:o'hara;x=$(id)@example.com"]}


async def test_the_page_of_a_trunk_leads_here(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    assert f'href="{PAGE}?trunk=main"' in (await visitor.get("/admin/trunks/main")).text
    assert '<option value="main" selected>' in (await visitor.get(f"{PAGE}?trunk=main")).text
