"""The responses to INVITEs, by what was found and by the settings of the trunk."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.acceptance import Action, Decision, Verstat
from shaken.redirect import answers
from shaken.redirect.invite import read_invite
from shaken.redirection import HeaderForm, Redirection, VerstatForm
from sip.message import Request, Response
from sip.parsing import parse
from sip.uri import SipUri, parse_uri
from tests.shaken.redirect.invites import DEST, FROM, ORIG, invite

IDENTITY = "eyJ.eyJ.sig;info=<https://sti.example.com/a.pem>;alg=ES256;ppt=shaken"
ORIGID = "6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55"
PASSED = Decision(Action.ACCEPT, Verstat.PASSED)
TARGET = f"sip:+{DEST}@sip.example.com;user=phone"


def signed(request: Request | None = None, **settings: Any) -> Response:
    return over_the_wire(
        answers.signed(request or invite(), (IDENTITY,), Redirection(**settings), to_tag="tag")
    )


def verified(
    decision: Decision,
    claims: tuple[str, str] | None = None,
    *,
    caller: str = FROM,
    more: tuple[tuple[str, str], ...] = (),
    **settings: Any,
) -> Response:
    request, wanted = invite(*more, caller=caller), Redirection(**settings)
    read = read_invite(request, wanted, country=None)
    return over_the_wire(answers.verified(request, read, decision, claims, wanted, to_tag="tag"))


def over_the_wire(response: Response) -> Response:
    """Take a response as who receives it reads it."""
    read = parse(response.serialise())
    assert isinstance(read, Response)
    assert read.to.tag == "tag"
    assert read.headers[:5] == response.headers[:5]
    return read


def headers_of(response: Response) -> dict[str, str]:
    """Return what stands behind what is copied of the request."""
    return dict(response.headers[5:])


@pytest.mark.parametrize(
    ("uri", "settings", "contact"),
    [
        (TARGET, {}, TARGET),
        (TARGET, {"contact": "carrier.example.com"}, f"sip:+{DEST}@carrier.example.com;user=phone"),
        (
            f"sips:+{DEST}@a:5061",
            {"contact": "[2001:db8::1]:5080"},
            f"sips:+{DEST}@[2001:db8::1]:5080",
        ),
        (f"tel:+{DEST}", {}, f"tel:+{DEST}"),
        (f"tel:+{DEST}", {"contact": "carrier:5080"}, f"sip:+{DEST}@carrier:5080;user=phone"),
        (f"sip:+{DEST}@a?Subject=x", {}, f"sip:+{DEST}@a"),
        ("urn:service:sos", {"contact": "carrier:5080"}, "urn:service:sos"),
        (
            f"sip:+{DEST}@127.0.0.1:0;user=phone;;x=;user=phone;",
            {"contact": "carrier"},
            f"sip:+{DEST}@carrier;user=phone;x",
        ),
        (
            f"tel:+{DEST};npdi;rn=+12155550000;isub=a:[%5b]",
            {"contact": "carrier"},
            f"sip:+{DEST};npdi;rn=+12155550000;isub=a%3A%5B%5b%5D@carrier;user=phone",
        ),
        (
            "tel:5559999;phone-context=+1215",
            {"contact": "carrier"},
            "sip:5559999;phone-context=+1215@carrier;user=phone",
        ),
        (
            f"sip:+{DEST};npdi@a;user=phone;maddr=192.0.2.1;transport=tcp;ttl=1;lr;x=y",
            {"contact": "carrier"},
            f"sip:+{DEST};npdi@carrier;user=phone;x=y",
        ),
        (
            f"sip:+{DEST}@a;maddr=192.0.2.1;transport=tcp",
            {},
            f"sip:+{DEST}@a;maddr=192.0.2.1;transport=tcp",
        ),
    ],
)
@pytest.mark.parametrize(
    ("status", "phrase"), [(302, "Moved Temporarily"), (300, "Multiple Choices")]
)
def test_a_signed_call_is_redirected_with_its_identity(
    uri: str, settings: dict[str, str], contact: str, status: int, phrase: str
) -> None:
    answer = signed(invite(uri=uri), status=status, **settings)

    assert (answer.status, answer.reason) == (status, phrase)
    assert headers_of(answer) == {"Contact": f"<{contact}>", "Identity": IDENTITY}


def test_headers_may_stand_in_the_contact() -> None:
    answer = signed(form=HeaderForm.CONTACT, contact="carrier.example.com")

    (contact,) = answer.addresses("Contact")
    target = parse_uri(contact.uri)
    assert isinstance(target, SipUri)
    assert [(name, unquote(value)) for name, value in target.headers] == [("Identity", IDENTITY)]
    assert target.host == "carrier.example.com"
    assert answer.header("Identity") is None


def test_a_tel_uri_has_no_room_for_headers_so_they_stand_in_the_message() -> None:
    answer = signed(invite(uri=f"tel:+{DEST}"), form=HeaderForm.CONTACT)

    assert headers_of(answer) == {"Contact": f"<tel:+{DEST}>", "Identity": IDENTITY}


def test_several_identities_are_told_each() -> None:
    settings = Redirection()
    answer = answers.signed(invite(), ("one", "two"), settings, to_tag="tag")
    escaped = answers.signed(
        invite(), ("one", "two"), Redirection(form=HeaderForm.CONTACT), to_tag="tag"
    )

    assert answer.lines("Identity") == ("one", "two")
    assert escaped.addresses("Contact")[0].uri.endswith("?Identity=one&Identity=two")


def failed(
    code: int, action: Action = Action.ACCEPT, verstat: Verstat = Verstat.FAILED
) -> Decision:
    return Decision(action, verstat, code, "the words that say why")


def reason(code: int, phrase: str, protocol: str = "STIR") -> str:
    return f'{protocol};cause={code};text="{phrase}"'


WARNING = '399 shaken "the words that say why"'


@pytest.mark.parametrize(
    ("decision", "claims", "verstat", "more"),
    [
        (
            PASSED,
            ("A", ORIGID),
            "TN-Validation-Passed",
            {"P-Attestation-Indicator": "A", "P-Origination-ID": ORIGID},
        ),
        (Decision(Action.ACCEPT, Verstat.NONE), None, "No-TN-Validation", {}),
        (
            failed(436),
            None,
            "TN-Validation-Failed",
            {"Reason": reason(436, "Bad Identity Info"), "Warning": WARNING},
        ),
        (
            failed(403),
            None,
            "TN-Validation-Failed",
            {"Reason": reason(403, "Stale Date"), "Warning": WARNING},
        ),
        (
            failed(438, verstat=Verstat.NONE),
            None,
            "No-TN-Validation",
            {"Reason": reason(438, "Invalid Identity Header"), "Warning": WARNING},
        ),
    ],
)
def test_a_verified_call_goes_on_with_its_verdict(
    decision: Decision, claims: tuple[str, str] | None, verstat: str, more: dict[str, str]
) -> None:
    answer = verified(decision, claims)

    assert answer.status == 302
    assert headers_of(answer) == {
        "Contact": f"<{TARGET}>",
        "P-Asserted-Identity": f"<sip:+{ORIG};verstat={verstat}@pbx.example.com;user=phone>",
        **more,
    }


@pytest.mark.parametrize(
    ("decision", "phrase", "why"),
    [
        (failed(403, Action.REJECT), "Stale Date", reason(403, "Stale Date")),
        (failed(428, Action.REJECT), "Use Identity Header", reason(428, "Use Identity Header")),
        (
            failed(433, Action.REJECT),
            "Anonymity Disallowed",
            reason(433, "Anonymity Disallowed", "SIP"),
        ),
        (failed(436, Action.REJECT), "Bad Identity Info", reason(436, "Bad Identity Info")),
        (
            failed(437, Action.REJECT),
            "Unsupported Credential",
            reason(437, "Unsupported Credential"),
        ),
        (
            failed(438, Action.REJECT),
            "Invalid Identity Header",
            reason(438, "Invalid Identity Header"),
        ),
        (failed(608, Action.REJECT), "Rejected", reason(608, "Rejected", "SIP")),
    ],
)
def test_a_call_that_the_policy_rejects_ends(decision: Decision, phrase: str, why: str) -> None:
    answer = verified(decision)

    assert (answer.status, answer.reason) == (decision.code, phrase)
    assert headers_of(answer) == {"Reason": why, "Warning": WARNING}


def test_what_goes_on_may_stand_in_the_contact_and_what_is_for_a_trace_does_not() -> None:
    answer = verified(failed(437), form=HeaderForm.CONTACT)

    (contact,) = answer.addresses("Contact")
    target = parse_uri(contact.uri)
    assert isinstance(target, SipUri)
    assert [name for name, _ in target.headers] == ["P-Asserted-Identity", "Reason"]
    assert list(headers_of(answer)) == ["Contact", "Warning"]


@pytest.mark.parametrize(
    ("caller", "more", "settings", "expected"),
    [
        (f"<tel:+{ORIG}>", (), {}, f"<tel:+{ORIG};verstat=V>"),
        (f"<tel:+{ORIG};phone-context=x>", (), {}, f"<tel:+{ORIG};phone-context=x;verstat=V>"),
        (f'"Al" <sip:+{ORIG}@a>', (), {}, f'"Al" <sip:+{ORIG};verstat=V@a>'),
        (f"<sip:+{ORIG}@a>", (), {"verstat": VerstatForm.URI}, f"<sip:+{ORIG}@a;verstat=V>"),
        (f"<sip:+{ORIG}@a>", (), {"verstat_suffix": True}, f"<sip:+{ORIG};verstat=V-B@a>"),
        (
            FROM,
            (("P-Asserted-Identity", f"<tel:+1{ORIG}>"),),
            {},
            f"<tel:+1{ORIG};verstat=V>",
        ),
        # What the caller itself says of its verification goes.
        (f"<sip:+{ORIG};VERSTAT=No;x=1@a;verstat=No>", (), {}, f"<sip:+{ORIG};x=1;verstat=V@a>"),
        (f"<sip:+{ORIG};verstat@a;Verstat=No>", (), {}, f"<sip:+{ORIG};verstat=V@a>"),
        (f"<tel:+{ORIG};verstat=No>", (), {}, f"<tel:+{ORIG};verstat=V>"),
        (
            "<sip:anonymous@pbx.example.com>",
            (),
            {},
            '"Anonymous" <sip:anonymous;verstat=V@anonymous.invalid>',
        ),
        (
            "<sip:pbx.example.com>",
            (),
            {},
            '"Anonymous" <sip:anonymous;verstat=V@anonymous.invalid>',
        ),
        ("<sip:alice@pbx?Subject=x>", (), {}, "<sip:alice;verstat=V@pbx>"),
    ],
)
def test_the_verdict_stands_with_the_caller(
    caller: str, more: tuple[tuple[str, str], ...], settings: dict[str, Any], expected: str
) -> None:
    answer = verified(PASSED, ("B", ORIGID), caller=caller, more=more, **settings)

    expected = expected.replace("=V", "=TN-Validation-Passed")
    assert answer.lines("P-Asserted-Identity") == (expected,)


@pytest.mark.parametrize(
    ("method", "status"),
    [("REGISTER", 405), ("BYE", 405), ("UPDATE", 405), ("invite", 501), ("FOO", 501)],
)
def test_other_methods_are_not_allowed_or_not_implemented(method: str, status: int) -> None:
    answer = over_the_wire(answers.not_allowed(invite(method=method), to_tag="tag"))

    assert (answer.status, headers_of(answer)) == (status, {"Allow": answers.ALLOWED})


def test_options_say_what_there_is() -> None:
    answer = over_the_wire(answers.options(invite(method="OPTIONS"), to_tag="tag"))

    assert (answer.status, answer.header("Allow")) == (200, answers.ALLOWED)


@given(st.text(), st.integers(400, 699))
def test_any_words_can_be_said_in_one_line(words: str, status: int) -> None:
    answer = over_the_wire(answers.refusal(invite(), status, words, to_tag="tag"))
    rejected = verified(Decision(Action.REJECT, Verstat.FAILED, 438, words))

    assert answer.status == status
    assert len(answer.header("Reason") or "") < 700
    assert (rejected.header("Warning") or "").startswith("399 shaken ")


@pytest.mark.parametrize(
    ("caller", "asserted"),
    [
        ("<urn:service:sos>", "<urn:service:sos>"),
        (f'"\\\x01" {FROM}', f"<sip:+{ORIG};verstat=TN-Validation-Passed@"),
    ],
)
def test_whatever_a_caller_is_called_gets_its_verdict(caller: str, asserted: str) -> None:
    told = headers_of(verified(PASSED, ("A", ORIGID), caller=caller))

    assert told["P-Asserted-Identity"].startswith(asserted)


def test_an_origid_that_is_none_is_not_passed_on() -> None:
    told = headers_of(verified(PASSED, ("A", "x\r\nEvil: y")))

    assert told["P-Attestation-Indicator"] == "A"
    assert "P-Origination-ID" not in told
    assert "Evil" not in told
