"""Who calls, and what a source is told that presents wrong credentials too often."""

import logging

import pytest

from shaken.api.authenticator import Authenticator, Stranger
from shaken.credentials import Credential, CredentialIndex, Role, digest_of
from shaken.throttle import FAILURES, FailureThrottle

PEER, ANOTHER = "192.0.2.7", "198.51.100.7"
PBX = Credential("pbx", Role.SIGNER, digest_of("right"), None, None, ())
INDEX = CredentialIndex([PBX])


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator(FailureThrottle())


def present(
    authenticator: Authenticator, authorization: str | None, *, peer: str = PEER, now: int = 0
) -> Credential | int | None:
    """Return who it is; of a stranger, how long it is told to wait."""
    try:
        return authenticator.authenticate(INDEX, authorization, peer=peer, now=now)
    except Stranger as stranger:
        return stranger.retry_after


def test_a_right_credential_says_who_it_is(authenticator: Authenticator) -> None:
    assert present(authenticator, "Bearer right") is PBX


@pytest.mark.parametrize(
    ("authorization", "advice"),
    [(None, "send a credential: "), ("Bearer wrong", "this credential is not known, ")],
)
def test_a_stranger_is_told_whether_a_credential_was_missing_or_not_known(
    authenticator: Authenticator, authorization: str | None, advice: str
) -> None:
    with pytest.raises(Stranger) as stranger:
        authenticator.authenticate(INDEX, authorization, peer=PEER, now=0)

    assert str(stranger.value).startswith(advice)


def test_a_source_that_fails_too_often_is_told_to_wait(authenticator: Authenticator) -> None:
    told = [present(authenticator, "Bearer wrong") for _ in range(FAILURES + 2)]

    assert told == [*[None] * FAILURES, 60, 60]
    assert present(authenticator, "Bearer wrong", peer=ANOTHER) is None
    assert present(authenticator, "Bearer wrong", now=60) is None


def test_a_right_credential_passes_however_many_wrong_ones_came_from_there(
    authenticator: Authenticator,
) -> None:
    for _ in range(1000):
        present(authenticator, "Bearer wrong")

    assert present(authenticator, "Bearer right") is PBX
    assert present(authenticator, "Bearer wrong") == 60


def test_a_request_without_credential_is_no_failure(authenticator: Authenticator) -> None:
    told = [present(authenticator, None) for _ in range(FAILURES * 2)]

    assert set(told) == {None}
    assert present(authenticator, "Bearer wrong") is None


def test_the_log_says_once_which_source_fails_and_never_with_what(
    authenticator: Authenticator, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for _ in range(FAILURES * 3):
            present(authenticator, "Bearer wrong")

    (line,) = caplog.messages
    assert PEER in line
    assert "wrong" not in line
