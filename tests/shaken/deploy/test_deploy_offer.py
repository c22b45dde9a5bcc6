"""What the service offers, and when it is asked again: decisions about values."""

from datetime import timedelta

import pytest

from shaken.deploy.following import (
    LONGEST_PAUSE_SECONDS,
    UNHELD_PAUSE_SECONDS,
    WAIT_SECONDS,
    pause_after_answer,
    pause_after_failures,
)
from shaken.deploy.offer import OfferError, doubts, read_offer
from tests.shaken.deploy.host import MOMENT, NAME
from tests.shaken.deploy.listener_service import answer
from trust.authority import Authority, Issued


def test_an_offer_is_a_chain_with_the_key_of_its_leaf(first: Issued) -> None:
    offer = read_offer(answer(first))

    assert (offer.chain, offer.key) == (first.chain_pem, first.key_pem)
    assert "PRIVATE" not in repr(offer)


def test_what_does_not_belong_together_is_no_offer(first: Issued, second: Issued) -> None:
    for body in (
        answer(first, private_key=second.key_pem),
        answer(first, fingerprint=second.certificate.fingerprint),
        answer(first, private_key=first.chain_pem),
        answer(first, certificate="none"),
    ):
        with pytest.raises(OfferError, match="offers what cannot be used") as refused:
            read_offer(body)
        assert "PRIVATE KEY-----\nM" not in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"certificate": 1}', b"\xff"])
def test_what_is_no_answer_of_the_service_is_no_offer(body: bytes) -> None:
    with pytest.raises(OfferError, match="not this service"):
        read_offer(body)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([NAME], []),
        (["*.example.com"], []),
        (["other.example.com", NAME], []),
        (["*.com"], ["the service has none for pbx.example.com; this certificate is for *.com"]),
        (["*.pbx.example.com"], ["the service has none for pbx.example.com;"]),
        (["localhost", "127.0.0.1"], ["this certificate is for localhost, 127.0.0.1"]),
    ],
)
def test_a_chain_for_other_names_is_doubted(
    ca: Authority, names: list[str], expected: list[str]
) -> None:
    offer = read_offer(answer(ca.issue_server(names, now=MOMENT)))

    found = doubts(offer.certificate, NAME, now=MOMENT)

    assert len(found) == len(expected)
    assert all(part in sentence for part, sentence in zip(expected, found, strict=True))


def test_a_chain_out_of_its_time_is_doubted(first: Issued) -> None:
    offer = read_offer(answer(first))

    assert doubts(offer.certificate, NAME, now=MOMENT + timedelta(days=1000)) == ("it has expired",)
    (early,) = doubts(offer.certificate, NAME, now=MOMENT - timedelta(days=1))
    assert early.startswith("it is not valid before ")


def test_pauses_grow_to_a_bound_and_are_spread() -> None:
    assert [pause_after_failures(count, chance=1) for count in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_after_failures(1, chance=0) == 0.5
    assert pause_after_failures(10**6, chance=1) == LONGEST_PAUSE_SECONDS
    assert pause_after_failures(10**6, chance=0) == LONGEST_PAUSE_SECONDS / 2


def test_a_service_that_does_not_hold_answers_is_not_asked_all_the_time() -> None:
    assert pause_after_answer(news=False, seconds=0.01) == UNHELD_PAUSE_SECONDS
    assert pause_after_answer(news=False, seconds=WAIT_SECONDS) == 0
    assert pause_after_answer(news=True, seconds=0.25) == 0.75
    assert pause_after_answer(news=True, seconds=30) == 0
