"""Who presents a credential, and from where."""

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shaken.credentials import (
    MAX_AUTHORIZATION,
    SECRET_BYTES,
    Credential,
    CredentialIndex,
    Role,
    digest_of,
    new_secret,
)

SECRET, OTHER_SECRET = f"shk_{'s' * 43}", f"shk_{'o' * 43}"
INSIDE, OUTSIDE = "192.0.2.7", "198.51.100.7"


def credential(name: str, secret: str, networks: Sequence[str] = ()) -> Credential:
    return Credential(
        name=name,
        role=Role.SIGNER,
        digest=digest_of(secret),
        tenant=None,
        trunk=None,
        networks=tuple(ip_network(text) for text in networks),
    )


FREE = credential("pbx", SECRET)
BOUND = credential("sbc:büro", OTHER_SECRET, ["192.0.2.0/24", "2001:db8::/32"])
INDEX = CredentialIndex([FREE, BOUND])


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bearer {SECRET}",
        f"bearer {SECRET}",
        f"BEARER   {SECRET}  ",
        basic(f"pbx:{SECRET}"),
        basic(f"pbx:{SECRET}").replace("Basic", "basic"),
        basic(f"pbx:{SECRET}").replace(" ", "   "),
    ],
)
def test_the_secret_says_who_it_is(authorization: str) -> None:
    assert INDEX.authenticate(authorization, peer=OUTSIDE) is FREE


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        SECRET,
        f"Token {SECRET}",
        f"Digest {SECRET}",
        f"Bearer {SECRET}x",
        f"Bearer {SECRET[:-1]}",
        f"Bearer {SECRET.upper()}",
        f"Bearer {digest_of(SECRET).hex()}",
        f"Bearer pbx:{SECRET}",
        f"Bearer shk_{'x' * 43}",
        f"Bearer\t{SECRET}",
        "Bearer \ud800",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic ü",
        "Basic \ud800",
        "Basic cGJ4",  # pbx
        "Basic /w==",  # no UTF-8
        basic(":"),
        basic("pbx:"),
        basic("pbx"),
        basic(f":{SECRET}"),
        basic(f"PBX:{SECRET}"),
        basic(f"nobody:{SECRET}"),
        basic(f"pbx:{OTHER_SECRET}"),
        basic(f"pbx:{SECRET} "),
        basic(f"pbx:{SECRET}\n"),
        basic(f"pbx:{SECRET}")[:-1],
        basic(f"pbx:{SECRET}") + "!",
        SECRET.join(["Basic ", ""]),
    ],
)
def test_whoever_presents_anything_else_is_nobody(authorization: str | None) -> None:
    assert INDEX.authenticate(authorization, peer=INSIDE) is None


@pytest.mark.parametrize(
    ("peer", "welcome"),
    [
        (INSIDE, True),
        (OUTSIDE, False),
        ("::ffff:192.0.2.7", True),
        ("::ffff:198.51.100.7", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("", False),
        ("nowhere", False),
    ],
)
def test_a_credential_bound_to_networks_is_known_from_there_only(
    peer: str, *, welcome: bool
) -> None:
    found = INDEX.authenticate(f"Bearer {OTHER_SECRET}", peer=peer)

    assert found is (BOUND if welcome else None)


def test_the_name_ends_at_the_first_colon_as_rfc_7617_has_it() -> None:
    index = CredentialIndex([credential("sbc", "a:b")])

    assert index.authenticate(basic("sbc:a:b"), peer=INSIDE)
    assert INDEX.authenticate(basic(f"sbc:büro:{OTHER_SECRET}"), peer=INSIDE) is None


def test_names_and_secrets_are_utf_8() -> None:
    index = CredentialIndex([credential("büro", SECRET)])

    assert index.authenticate(basic(f"büro:{SECRET}"), peer=INSIDE)
    latin_1 = base64.b64encode(f"büro:{SECRET}".encode("latin-1")).decode()
    assert index.authenticate(f"Basic {latin_1}", peer=INSIDE) is None


def test_the_length_of_the_header_is_bounded() -> None:
    longest = f"Bearer {SECRET}".ljust(MAX_AUTHORIZATION)

    assert INDEX.authenticate(longest, peer=INSIDE) is FREE
    assert INDEX.authenticate(longest + " ", peer=INSIDE) is None


def test_without_credentials_everybody_is_nobody() -> None:
    assert CredentialIndex([]).authenticate(f"Bearer {SECRET}", peer=INSIDE) is None
    assert CredentialIndex([]).authenticate(basic(":"), peer=INSIDE) is None


def test_a_new_secret_is_random_and_marked_as_ours() -> None:
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert SECRET_BYTES == 32
    for secret in secrets:
        assert re.fullmatch(r"shk_[A-Za-z0-9_-]{43}", secret)


def test_a_credential_shows_no_secret_and_no_digest() -> None:
    assert SECRET not in repr(FREE)
    assert str(FREE.digest) not in repr(FREE)
    assert FREE.digest.hex() not in repr(FREE)


@given(
    st.text(st.characters(exclude_categories=()))
    | st.binary().map(lambda blob: "Basic " + base64.b64encode(blob).decode())
    | st.text(max_size=50).map("Bearer ".__add__)
)
@example(basic("pbx:\ud7ff"))
def test_any_header_is_nobodys(authorization: str) -> None:
    assert INDEX.authenticate(authorization, peer=INSIDE) is None


# Client certificates

SHOWN, ANOTHER = "5" * 64, "a" * 64


def certified(name: str, spki: str = SHOWN, role: Role = Role.SIGNER) -> Credential:
    return replace(
        credential(name, f"secret of {name}", ["192.0.2.0/24"]), role=role, client_spki=spki
    )


def who(
    *credentials: Credential, shows: str | None, authorization: str | None, peer: str = INSIDE
) -> Credential | None:
    index = CredentialIndex(credentials)
    return index.authenticate(authorization, peer=peer, client_spki=shows)


@pytest.mark.parametrize("authorization", ["Bearer secret of pbx", basic("pbx:secret of pbx")])
def test_a_bound_secret_needs_its_certificate(authorization: str) -> None:
    pbx = certified("pbx")

    assert who(pbx, shows=SHOWN, authorization=authorization) is pbx
    assert who(pbx, shows=ANOTHER, authorization=authorization) is None
    assert who(pbx, shows=None, authorization=authorization) is None
    assert who(pbx, shows=SHOWN, authorization=authorization, peer=OUTSIDE) is None


def test_a_certificate_does_not_make_a_wrong_secret_right() -> None:
    pbx = certified("pbx")

    assert who(pbx, shows=SHOWN, authorization="Bearer wrong") is None
    assert who(pbx, shows=SHOWN, authorization="") is None


def test_a_secret_that_is_not_bound_works_with_any_certificate() -> None:
    assert who(FREE, shows=ANOTHER, authorization=f"Bearer {SECRET}") is FREE


@pytest.mark.parametrize("role", Role)
def test_a_certificate_is_enough_for_those_that_place_calls(role: Role) -> None:
    pbx = certified("pbx", role=role)
    enough = role in {Role.SIGNER, Role.VERIFIER}

    assert who(pbx, shows=SHOWN, authorization=None) is (pbx if enough else None)
    assert who(pbx, shows=ANOTHER, authorization=None) is None
    assert who(pbx, shows=None, authorization=None) is None
    assert who(pbx, shows=SHOWN, authorization=None, peer=OUTSIDE) is None


def test_a_certificate_of_several_credentials_needs_a_secret_too() -> None:
    both = certified("signer"), certified("verifier", role=Role.VERIFIER)

    assert who(*both, shows=SHOWN, authorization=None) is None
    assert who(*both, shows=SHOWN, authorization="Bearer secret of verifier") is both[1]


def test_a_credential_without_certificate_is_nobodys_who_shows_none() -> None:
    assert who(FREE, shows=None, authorization=None) is None
