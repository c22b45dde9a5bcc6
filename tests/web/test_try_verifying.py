"""Pasted Identity headers on a page: verified as calls are, each check told, nothing recorded."""

import re
from dataclasses import replace
from email.utils import formatdate
from html import unescape
from typing import Any

import msgspec
import pytest

from shaken.acceptance import Reaction, Replays
from shaken.audit import Action, AuditedChange
from shaken.store.tenants import replace_trunk
from shaken.tenants import Direction
from tests.verification import DEST, ORIG, identity
from tests.web.scenery import ALICE, BOUND, GLOBEX, HOUR, VICTOR, Service
from tests.web.test_try_signing import field_of, steps_of
from tests.web.visitor import Seen, Visitor, signed_in
from trust.roots import Purpose
from trust.store import roots

PAGE = "/admin/try/verify"
INVITE = (
    "INVITE sip:+1@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nIdentity: {header}\r\n"
    "From: <sip:a@b>\r\nContent-Length: 4\r\n\r\nv=0\r\n"
)
ELSEWHERE = "https://127.0.0.1/a.pem"
"""Where no certificate is fetched from: the address is no public one."""


async def signed(service: Service) -> str:
    """Return a header that this service has just signed, from ORIG to DEST."""
    visitor = await signed_in(service, ALICE)
    seen = await visitor.post("/admin/try/sign", {"trunk": "main", "orig": ORIG, "dest": DEST})
    service.records.clear()
    return field_of(seen, "identity")


def verdict_of(seen: Seen) -> str:
    """Return the verdict of a page."""
    found = re.search(r'<h2 id="verdict">(.*?)</h2>', seen.text)
    assert found, seen.text
    return unescape(found[1])


async def change_trunk(
    service: Service, *, direction: Direction | None = None, **policy: Any
) -> None:
    """Change the trunk's policy for calls that come in."""
    trunk = service.snapshots.current.trunks["main"]
    changed = replace(
        trunk,
        verification=msgspec.structs.replace(trunk.verification, **policy),
        direction=direction or trunk.direction,
    )

    def make(change: AuditedChange) -> None:
        replace_trunk(change, changed)
        change.audit(Action.TRUNK_UPDATE, changed.name, tenant=changed.tenant)

    await service.change(make)


async def paste(visitor: Visitor, text: str, **fields: str) -> Seen:
    """Send the form."""
    return await visitor.post(PAGE, {"identity": text, **fields})


async def test_a_header_that_holds_is_shown_check_by_check(service: Service) -> None:
    header = await signed(service)
    visitor = await signed_in(service, VICTOR)

    seen = await paste(visitor, header, orig=f"+{ORIG}", dest=f"+{DEST}")

    assert seen.status == 200
    assert verdict_of(seen) == "TN-Validation-Passed"
    checks = [words for tone, words in steps_of(seen) if tone == "good"]
    assert checks[0] == "the token is a PASSporT"
    assert "the certificate leads to the root CN=STI-PA Root 2025,O=SHAKEN lab" in checks
    assert "the signature fits the certificate's key" in checks
    assert f"orig and dest are those of the call: {ORIG} to {DEST}" in checks
    for words in (
        "This service publishes it itself",
        "provider 1234: speaks for this provider",
        "full: the signer knows the customer",
        "Trusted root",
        "marked as passed",
    ):
        assert words in seen.text, words
    assert "own claims" not in seen.text
    assert service.records == []


@pytest.mark.parametrize(
    "written",
    [
        "Identity: {header}",
        "  identity :\t{header}\r\n",
        "y: {header}",
        "Identity: {folded}",
        "{wrapped}",
        INVITE,
    ],
)
async def test_a_header_is_read_however_it_was_copied(service: Service, written: str) -> None:
    header = await signed(service)
    lines = [header[at : at + 70] for at in range(0, len(header), 70)]
    text = written.format(
        header=header, folded=header.replace(";", "\r\n ;"), wrapped="\n".join(lines)
    )
    visitor = await signed_in(service, VICTOR)

    seen = await paste(visitor, text, orig=ORIG, dest=DEST)

    assert verdict_of(seen) == "TN-Validation-Passed"
    assert "Check by check: shaken</h2>" in seen.text


async def test_left_empty_orig_and_dest_are_those_of_the_claims_which_is_said(
    service: Service,
) -> None:
    header = await signed(service)
    visitor = await signed_in(service, VICTOR)

    both = await paste(visitor, header)
    one = await paste(visitor, header, orig="+12155550777")

    assert verdict_of(both) == "TN-Validation-Passed"
    assert "orig and dest were left empty, and taken from" in both.text
    assert verdict_of(one) == "TN-Validation-Failed: 438 Invalid Identity Header"
    assert "dest was left empty, and taken from" in one.text
    assert f"the call comes from {12155550777}" in one.text


async def test_an_old_header_fails_today_and_is_judged_as_of_its_iat(service: Service) -> None:
    header = await signed(service)
    iat = int(service.clock())
    service.clock.now += 5 * HOUR
    visitor = await signed_in(service, VICTOR)

    today = await paste(visitor, header, orig=ORIG)
    then = await paste(visitor, header, orig=ORIG, at=str(iat))

    assert verdict_of(today) == "TN-Validation-Failed: 403 Stale Date"
    assert "This header is old" in today.text
    assert f'name="at" value="{iat}"' in today.text
    assert "5 hours ago" in today.text
    assert verdict_of(then) == "TN-Validation-Passed"
    assert "In a call that comes in now it fails for its time (403 Stale Date)" in then.text
    assert "This header is old" not in then.text


async def test_the_time_of_the_message_counts(service: Service) -> None:
    header = await signed(service)
    late = service.clock() + HOUR
    visitor = await signed_in(service, VICTOR)

    for written in (formatdate(late, usegmt=True), str(int(late))):
        seen = await paste(visitor, header, time=written)

        assert verdict_of(seen) == "TN-Validation-Failed: 403 Stale Date"
        assert "3600 s before the message" in seen.text


async def test_a_certificate_that_cannot_be_fetched_is_told_with_its_reason(
    service: Service,
) -> None:
    header = identity(service.scenery.spare, int(service.clock()), x5u=ELSEWHERE)
    visitor = await signed_in(service, VICTOR)

    seen = await paste(visitor, header)

    assert verdict_of(seen) == "TN-Validation-Failed: 436 Bad Identity Info"
    tone, words = steps_of(seen)[-1]
    assert tone == "bad"
    assert f"the certificate at {ELSEWHERE} cannot be had" in words
    assert "Open the URL in a browser" in words


async def test_an_untrusted_certificate_is_shown_with_its_chain(service: Service) -> None:
    header = await signed(service)
    rows = service.snapshots.current.root_rows.rows.values()
    (sti,) = (row for row in rows if row.purpose is Purpose.STI)

    def distrust(change: AuditedChange) -> None:
        roots.remove(change, sti)
        change.audit(Action.ROOT_DELETE, sti.id, tenant=None)

    await service.change(distrust)
    visitor = await signed_in(service, VICTOR)

    seen = await paste(visitor, header)

    assert verdict_of(seen) == "TN-Validation-Failed: 437 Unsupported Credential"
    assert "is not among the trusted roots" in seen.text
    assert "add its root to the trusted roots" in seen.text
    assert "Example STI-CA" in seen.text


async def test_the_policy_of_a_trunk_decides(service: Service) -> None:
    header = await signed(service)
    await change_trunk(service, invalid=Reaction.REJECT, direction=Direction.SIGN)
    visitor = await signed_in(service, VICTOR)

    usual = await paste(visitor, header, orig="+12155550777")
    strict = await paste(visitor, header, orig="+12155550777", trunk="main")

    assert "Without a trunk&#39;s own settings the call goes on, marked as failed" in usual.text
    assert "By the policy of main the call is to be rejected with 438" in strict.text
    assert "This trunk signs, it does not verify" in strict.text


async def test_to_verify_a_header_here_makes_no_later_call_a_replay(service: Service) -> None:
    header = await signed(service)
    await change_trunk(service, replays=Replays.FAIL)
    visitor = await signed_in(service, VICTOR)

    for _ in range(2):
        seen = await paste(visitor, header, trunk="main")
        assert verdict_of(seen) == "TN-Validation-Passed"


async def test_of_several_headers_each_is_told(service: Service) -> None:
    header = await signed(service)
    other = identity(service.scenery.spare, int(service.clock()), x5u=ELSEWHERE)
    visitor = await signed_in(service, VICTOR)

    seen = await paste(visitor, f"{other}\n{header}", orig=ORIG, dest=DEST)

    assert verdict_of(seen) == "TN-Validation-Passed"
    assert "Check by check: shaken, 2 of 2" in seen.text
    assert "Header 2" in seen.text


async def test_an_anonymous_caller_has_no_number_to_verify(service: Service) -> None:
    header = await signed(service)
    visitor = await signed_in(service, VICTOR)

    seen = await paste(visitor, header, orig="anonymous", dest=DEST)

    assert verdict_of(seen) == "No-TN-Validation"
    assert "The caller is anonymous" in seen.text


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"identity": ""}, "identity", "Paste an Identity header"),
        ({"identity": "<b>hello</b>"}, "identity", "This is no Identity header"),
        ({"identity": "ey.ey.x"}, "identity", "This is the token alone"),
        ({"identity": "a.b.c;info=<https://a.example/>"}, "identity", "cannot be read out of it"),
        ({"identity": "x" * 200_000}, "identity", "at most 128 KiB"),
        ({"identity": "ey.a.a;info=<https://a.example/>\n" * 17}, "identity", "17 headers"),
        ({"orig": "+1 call me"}, "orig", "may not hold"),
        ({"dest": "sip:"}, "dest", "host"),
        ({"target": "me"}, "target", "may not hold"),
        ({"trunk": "no-such"}, "trunk", "There is no such trunk"),
        ({"time": "noon"}, "time", "Write Unix seconds"),
        ({"at": "999999999999999"}, "at", "Write Unix seconds"),
        ({"at": "1900-01-01T00:00:00Z"}, "at", "Write Unix seconds"),
    ],
)
async def test_what_is_wrong_is_named_and_what_was_typed_is_kept(
    service: Service, typed: dict[str, str], field: str, words: str
) -> None:
    header = identity(service.scenery.spare, int(service.clock()), x5u=ELSEWHERE)
    visitor = await signed_in(service, VICTOR)

    seen = await visitor.post(PAGE, {"identity": header, **typed})

    assert seen.status == 422, seen.text
    found = re.search(rf'id="{field}-error">.*?</svg>(.*?)</p>', seen.text, re.DOTALL)
    assert found, seen.text
    assert words in unescape(found[1])
    assert "<b>hello" not in seen.text
    assert field_of(seen, "identity") == typed.get("identity", header).strip()


@pytest.mark.parametrize(
    "claims",
    [
        {"iat": 10**15},
        {"iat": -1},
        {"iat": "now"},
        {"iat": None},
        {"orig": {"tn": "<script>alert(1)</script>"}},
        {"orig": "x"},
        {"orig": {"tn": ["12155550100"]}},
        {"dest": {"tn": []}},
        {"attest": "\u202e\x1b[31mA"},
        {"origid": {"a": [None]}},
        {"rcd": {"nam": "<i>Bank</i>"}},
    ],
)
async def test_whatever_a_stranger_claims_there_is_a_page(
    service: Service, claims: dict[str, Any]
) -> None:
    made: dict[str, Any] = {"iat": int(service.clock()), **claims}
    header = identity(service.scenery.spare, made.pop("iat"), x5u=ELSEWHERE, **made)
    visitor = await signed_in(service, VICTOR)

    for parties in ({}, {"orig": ORIG, "dest": DEST}):
        seen = await paste(visitor, header, **parties)
        assert seen.status in {200, 422}, seen.text
        assert "<script>alert" not in seen.text
        assert "<i>Bank" not in seen.text
        assert not re.search("[\u202e\x1b]", seen.text)


async def test_a_tenants_people_choose_among_their_own_trunks(service: Service) -> None:
    header = await signed(service)
    trunk = service.snapshots.current.trunks["main"]

    def give_away(change: AuditedChange) -> None:
        replace_trunk(change, replace(trunk, tenant=GLOBEX))
        change.audit(Action.TRUNK_UPDATE, "main", tenant=GLOBEX)

    await service.change(give_away)
    visitor = await signed_in(service, BOUND)

    seen = await paste(visitor, header, trunk="main")

    assert seen.status == 422
    assert "There is no such trunk" in seen.text
    assert 'value="main"' not in (await visitor.get(PAGE)).text


async def test_the_page_of_a_trunk_leads_here(service: Service) -> None:
    visitor = await signed_in(service, VICTOR)

    assert f'href="{PAGE}?trunk=main"' in (await visitor.get("/admin/trunks/main")).text
    assert '<option value="main" selected>' in (await visitor.get(f"{PAGE}?trunk=main")).text
