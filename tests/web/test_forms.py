"""Forms of browsers, read as fields, and who is still welcome with a session."""

from contextlib import suppress
from ipaddress import ip_network
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.api.forms import Part
from shaken.api.peer import Peer
from shaken.api.problems import Problem
from shaken.credentials import Credential, Role
from shaken.web.drafts import Secrets, read_draft
from shaken.web.forms import MAX_FIELDS, Submitted, read_parts, read_urlencoded
from shaken.web.signing_in import is_welcome
from trust.certificate import CertificateRefused

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=10))
def test_what_browsers_write_is_read(fields: list[tuple[str, str]]) -> None:
    assert read_urlencoded(urlencode(fields).encode()).fields == tuple(fields)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_form_or_a_problem(body: bytes) -> None:
    with suppress(Problem):
        read_urlencoded(body)


@pytest.mark.parametrize(("count", "fits"), [(MAX_FIELDS, "yes"), (MAX_FIELDS + 1, "no")])
def test_a_form_has_so_many_fields_at_most(count: int, fits: str) -> None:
    body = "&".join(["a=b"] * count).encode()

    if fits == "yes":
        assert len(read_urlencoded(body).fields) == count
    else:
        with pytest.raises(Problem):
            read_urlencoded(body)


def test_fields_and_files_are_told_apart() -> None:
    parts = [
        Part("name", "binary", " é ".encode()),
        Part("id", "binary", b"1"),
        Part("id", "binary", b"2"),
        Part("files", "binary", b"\0\xff"),
        Part("files", "binary", b""),
        Part(None, "binary", b"nobody's"),
    ]

    form = read_parts(parts, files=frozenset({"files"}))

    assert form.text("name") == "é"
    assert form.texts("id") == ("1", "2")
    assert form.contents("files") == (b"\0\xff",)
    assert (form.text("files"), form.texts("no"), form.contents("no")) == ("", (), ())


@pytest.mark.parametrize("content", [b"\xff", b"a\0b"])
def test_text_is_utf_8_without_nul(content: bytes) -> None:
    with pytest.raises(Problem):
        read_parts([Part("name", "binary", content)], files=frozenset())


KEY = "-----BEGIN {0}PRIVATE KEY-----\nMIIsecret\n-----END {0}PRIVATE KEY-----"


@given(
    st.sampled_from(["", "EC ", "RSA ", "ENCRYPTED ", "OPENSSH "]),
    st.sampled_from([None, -1, -9, -20]),
    TEXT,
    TEXT,
)
def test_no_key_stays_in_what_goes_back_into_the_form(
    label: str, cut: int | None, before: str, after: str
) -> None:
    pasted = before + KEY.format(label)[:cut] + (after if cut is None else "")

    draft = read_draft(Submitted((("material", pasted),)), Secrets(), now=1)

    assert "MIIsecret" not in draft.material
    assert "MIIsecret" in draft.secrets.keys
    assert "MIIsecret" not in repr(draft)


@given(st.binary(max_size=100))
def test_whatever_file_comes_is_read_or_refused(content: bytes) -> None:
    with suppress(CertificateRefused):
        read_draft(Submitted(files=(("files", content),)), Secrets(), now=1)


INSIDE, OUTSIDE = "192.0.2.7", "203.0.113.7"


@pytest.mark.parametrize(
    ("role", "address", "spki", "welcome"),
    [
        (Role.ADMIN, INSIDE, "aa", True),
        (Role.VIEWER, INSIDE, "aa", True),
        (Role.SIGNER, INSIDE, "aa", False),
        (Role.VERIFIER, INSIDE, "aa", False),
        (Role.LISTENER, INSIDE, "aa", False),
        (Role.ADMIN, OUTSIDE, "aa", False),
        (Role.ADMIN, INSIDE, "bb", False),
        (Role.ADMIN, INSIDE, None, False),
    ],
)
def test_a_session_is_good_for_whom_its_credential_is(
    role: Role, address: str, spki: str | None, welcome: object
) -> None:
    networks = (ip_network("192.0.2.0/24"),)
    who = Credential("name", role, b"digest", None, None, networks, client_spki="aa")

    assert is_welcome(who, Peer(address, confidential=True, client_spki=spki)) is welcome
