"""What an authority says when it refuses, in readable words; when it says to come back."""

from datetime import UTC, datetime, timedelta

import pytest
from acme import messages
from hypothesis import given
from hypothesis import strategies as st

from trust.acme.problem_documents import from_document, of_names
from trust.acme.problems import (
    MAX_TEXT,
    AuthorityFailed,
    AuthorityRefused,
    Problem,
    clean,
    is_transient,
    read_retry_after,
)

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ACME = "urn:ietf:params:acme:error:"


def document(**members: object) -> messages.Error:
    read: messages.Error = messages.Error.from_json(members)
    return read


def test_a_compound_problem_is_told_name_by_name() -> None:
    """The document of RFC 8555 §6.7.1."""
    problem = from_document(
        document(
            type=f"{ACME}malformed",
            detail="Some of the identifiers requested were rejected",
            subproblems=[
                {
                    "type": f"{ACME}malformed",
                    "detail": 'Invalid underscore in DNS name "_example.org"',
                    "identifier": {"type": "dns", "value": "_example.org"},
                },
                {
                    "type": f"{ACME}rejectedIdentifier",
                    "detail": 'This CA will not issue for "example.net"',
                    "identifier": {"type": "dns", "value": "example.net"},
                },
            ],
        ),
        status=403,
    )

    assert problem.type == "malformed"
    assert [(each.name, each.type) for each in problem.names] == [
        ("_example.org", "malformed"),
        ("example.net", "rejectedIdentifier"),
    ]
    assert problem.words == (
        "The request message was malformed: Some of the identifiers requested were rejected;"
        " _example.org: The request message was malformed:"
        ' Invalid underscore in DNS name "_example.org";'
        " example.net: The server will not issue certificates for the identifier:"
        ' This CA will not issue for "example.net"'
    )


def test_names_that_failed_alike_have_that_problem() -> None:
    refused = document(type=f"{ACME}connection", detail="Timeout")

    alike = of_names([("a.example", refused), ("b.example", refused)])
    unlike = of_names([("a.example", refused), ("b.example", document(type=f"{ACME}dns"))])

    assert alike.type == "connection"
    assert alike.names[1].name == "b.example"
    assert unlike.type == "compound"


def test_a_problem_without_words_is_told_by_its_type() -> None:
    assert from_document(document(type="urn:x:odd")).words == "urn:x:odd"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("120", NOW + timedelta(seconds=120)),
        ("-5", None),
        ("9" * 50, NOW + timedelta(days=366)),
        ("Wed, 01 Jul 2026 13:00:00 GMT", NOW + timedelta(hours=1)),
        ("Wed, 01 Jul 2020 13:00:00 GMT", NOW),
        ("soon", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(value: str | None, expected: datetime | None) -> None:
    """RFC 9110 §10.2.3."""
    assert read_retry_after(value, now=NOW) == expected


@given(st.text())
def test_any_retry_after_is_read_or_left(value: str) -> None:
    found = read_retry_after(value, now=NOW)

    assert found is None or NOW <= found <= NOW + timedelta(days=366)


@given(st.text())
def test_a_strangers_text_is_printable_and_bounded(text: str) -> None:
    cleaned = clean(text)

    assert len(cleaned) <= MAX_TEXT
    assert cleaned.isprintable()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AuthorityFailed(Problem("unreachable", "")), True),
        (AuthorityRefused(Problem("rateLimited", "", status=429)), True),
        (AuthorityRefused(Problem("serverInternal", "", status=500)), True),
        (AuthorityRefused(Problem("odd", "", status=503)), True),
        (AuthorityRefused(Problem("rejectedIdentifier", "", status=400)), False),
        (AuthorityRefused(Problem("caa", "")), False),
    ],
)
def test_what_says_nothing_about_the_request_may_pass_later(
    error: AuthorityFailed | AuthorityRefused, expected: object
) -> None:
    assert is_transient(error) is expected
