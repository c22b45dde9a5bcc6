"""The audit in words: no slug, no name of a field, no JSON."""

import re
from html import unescape

from shaken.audit import Action
from shaken.web.audit_words import ACTIONS, MAX_VALUES, action_words, details_of
from tests.web.scenery import ACME, ALICE, VICTOR, Service
from tests.web.test_trunks import EDIT, FORM
from tests.web.visitor import signed_in


def test_each_action_has_words() -> None:
    assert set(ACTIONS) == set(Action)
    assert action_words("of.tomorrow") == "of.tomorrow"


def test_a_change_is_a_table_of_what_differs() -> None:
    detail = {
        "before": {"numbers": [], "managed": False, "fallback": "first"},
        "after": {"numbers": ["+1215*", "+44*"], "managed": True, "fallback": "none"},
    }

    details = details_of("tenant.update", detail)

    assert details.heads == ["Before", "After"]
    assert details.rows[:2] == [
        ("Numbers", [["none"], ["+1215*", "+44*"]]),
        ("TLS certificates by ACME", [["no"], ["yes"]]),
    ]


def test_settings_of_a_trunk_are_told_as_its_page_tells_them() -> None:
    detail = {
        "before": {"sip": {"status": 302, "by_host": False}, "direction": "auto"},
        "after": {"sip": {"status": 300, "by_host": True}, "direction": "sign"},
    }

    rows = dict(details_of("trunk.update", detail).rows)

    assert rows["Response code"] == [["302 Moved Temporarily"], ["300 Multiple Choices"]]
    assert rows["What is done with them"][1] == ["they are signed"]
    assert rows["The tenant's address as host of the Request-URI"][0] == ["does not lead here"]


def test_a_setting_that_changes_alone_is_told_like_others() -> None:
    detail = {"before": {"sip": {"status": 302}}, "after": {"sip": {"status": 300}}}

    (row,) = details_of("trunk.update", detail).rows

    assert row == ("Response code", [["302 Moved Temporarily"], ["300 Multiple Choices"]])


def test_what_counts_by_name_is_a_list() -> None:
    detail = {"event": {"failures": 2, "sources": {"192.0.2.1": 2}, "credentials": {}}}

    details = details_of("session.refuse", detail)

    assert details.heads == ["What is known"]
    assert dict(details.rows)["From"] == [["192.0.2.1: 2"]]
    assert dict(details.rows)["With the name of"] == [["none"]]


def test_long_lists_are_cut_and_counted() -> None:
    numbers = [f"+{each}" for each in range(1000, 2000)]

    (row,) = details_of("tenant.create", {"after": {"numbers": numbers}}).rows

    assert row[1][0][MAX_VALUES:] == ["and 980 more"]


async def test_the_page_of_the_audit_shows_words(service: Service) -> None:
    admin = await signed_in(service, ALICE)
    assert (await admin.post(EDIT, {**FORM, "sip.divert": "yes"})).status == 303
    assert (await admin.post(f"/admin/tenants/{ACME}", {"fallback": "none"})).status == 303
    visitor = await signed_in(service, VICTOR)

    seen = await visitor.get("/admin/audit")

    table = unescape(re.sub(r"<[^>]+>", " ", seen.text.partition("<tbody>")[2]))
    assert "Trunk changed" in table
    assert "signed for who diverted them" in table
    for raw in (*Action, "verification.", "sip.", "foreign_attest", "{", '"'):
        assert raw not in table, raw
